"""The study of oversight: what a weak reader's labels are worth by each protocol, and what a student learns of them."""
