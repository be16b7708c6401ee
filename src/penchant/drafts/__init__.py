"""Draft a configuration from a file: what is in it, which method fits, and what that takes."""
