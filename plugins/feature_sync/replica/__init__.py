"""The warehouse's copy of Salesforce: how fresh it is, and waiting for it."""
