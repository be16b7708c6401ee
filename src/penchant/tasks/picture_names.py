"""Names of picture sets, apart from what reads them: settings are checked against them without NumPy."""

SETS = ("digits", "fashion_mnist")
"""Sets that are read by name; anything else is a folder, or `hub:` and the id of a data set."""
HUB = "hub:"
"""Before the id of a data set of the hub."""
