"""The study of instruction tuning: a model tuned with and without a cluster of tasks, measured on it."""
