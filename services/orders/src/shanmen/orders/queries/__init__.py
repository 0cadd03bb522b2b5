"""Orders' SQL, by what it is about."""
