"""What a run measures while it trains: preferences, labels, rewards."""
