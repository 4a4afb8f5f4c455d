"""One record's story, from our own tables: why does this property show what it shows."""
