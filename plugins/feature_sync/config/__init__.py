"""What may be set, and what things are called."""
