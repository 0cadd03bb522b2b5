"""The outside world of the platform: a payment channel and an SMS gateway, as real servers."""
