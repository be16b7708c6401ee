"""Settings of other libraries as ours: one table per library, which converts and which the documentation shows."""
