"""What settlement does about a fact, inside the transaction of the event that tells it."""
