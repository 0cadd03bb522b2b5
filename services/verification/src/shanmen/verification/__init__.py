"""Verification: who may enter, what every gate decided, and what became of each right to enter."""
