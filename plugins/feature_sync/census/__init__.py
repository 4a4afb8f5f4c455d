"""Census over HTTP, and how its syncs must be configured. No operator lives here."""
