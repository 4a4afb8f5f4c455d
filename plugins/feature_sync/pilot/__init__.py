"""Strategy pilot: which records go first, and what a person is shown before the others follow."""
