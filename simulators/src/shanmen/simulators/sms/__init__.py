"""A small SMS gateway that keeps every message instead of sending it."""
