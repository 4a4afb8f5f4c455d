"""Where a run reads and writes: the warehouse, its tables, the run's files."""
