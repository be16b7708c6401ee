"""Labels from many weak sources: their votes, models of which source is right how often, and what can be said of it."""
