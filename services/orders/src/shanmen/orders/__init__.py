"""The orders service: orders, tickets and their numbers, the order timeline."""
