"""`shanmen demo`: one single ticket from the pool to the spot's account, before your eyes."""
