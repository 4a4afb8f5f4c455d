"""The worlds that the sandbox can play: tables, Salesforce object, syncs, and the package's settings for them."""
