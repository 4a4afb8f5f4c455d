"""What a run relies on in each system: every check looks, writes nothing, and returns findings."""
