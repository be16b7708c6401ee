"""Compare what the hub has with what `hub_table.yaml` says, and pin its commits."""
