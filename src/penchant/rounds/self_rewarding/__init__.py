"""Self-rewarding: a policy writes its own prompts, judges its own answers, and learns from the best and the worst."""
