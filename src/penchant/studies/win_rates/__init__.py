"""Who wins: TL;DR, dialogue, and news after posts."""
