"""The outside world of the platform: two payment channels and an SMS gateway, as real servers."""
