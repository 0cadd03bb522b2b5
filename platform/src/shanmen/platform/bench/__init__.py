"""`make bench`: bounded load on the separate processes, beside what bare PostgreSQL does here."""
