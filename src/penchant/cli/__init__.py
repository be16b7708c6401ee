"""The command line: `main` starts it, and one file holds one command."""
