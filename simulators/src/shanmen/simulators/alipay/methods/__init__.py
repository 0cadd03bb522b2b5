"""The gateway's methods, one handler each, and the table that knows them all."""
