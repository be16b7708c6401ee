"""What `count_code.py` counts: names, docstrings, `Any`, comments and sizes."""
