"""The clearing channels, each behind the port of `providers.base`."""
