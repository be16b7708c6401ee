"""Evaluation by what others made: tasks of lm-eval, and benchmarks of reward models and judges."""
