"""Lists that people read: which property, which record, why; as a CSV file and as a spreadsheet beside it."""
