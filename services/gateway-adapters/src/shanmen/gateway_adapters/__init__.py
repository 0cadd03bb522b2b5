"""The gateway-adapters service: operations with the clearing channels, exactly once."""
