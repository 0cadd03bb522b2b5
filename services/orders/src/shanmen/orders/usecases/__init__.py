"""What orders does."""
