"""What settlement answers. Amounts are in fen, instants in UTC."""
