"""Look after an installation: what the machine has, and what the cache keeps."""
