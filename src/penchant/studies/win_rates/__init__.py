"""The studies of win rates: TL;DR, dialogue, and transfer measured by a judge."""
