"""What operations and text messages are, what answers mean, and what to do next: all pure."""
