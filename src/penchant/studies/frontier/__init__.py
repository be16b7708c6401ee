"""True reward against KL for every method over its sweep."""
