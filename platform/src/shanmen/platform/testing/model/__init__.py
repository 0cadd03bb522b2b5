"""One order's whole life in memory: every service's facts, its real tables and pure functions."""
