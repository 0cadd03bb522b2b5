"""Settlement's SQL. Pages hold up to `limit + 1` rows, newest first unless said otherwise."""
