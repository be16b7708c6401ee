"""Changes of an example that should leave its class as it is."""
