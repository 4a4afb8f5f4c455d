"""What every task gets. It knows all errors, so it is the roof."""
