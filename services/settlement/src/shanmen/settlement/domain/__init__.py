"""What settlement knows without asking anybody: statuses, and how money is posted. Pure."""
