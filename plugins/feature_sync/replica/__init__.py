"""The warehouse's copy of Salesforce: how fresh it is, waiting for it, and why it differs."""
