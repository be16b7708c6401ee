"""What carries over to another domain."""
