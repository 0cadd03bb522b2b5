"""What a test needs around a simulator: a server, a merchant, a receiver of notifications."""
