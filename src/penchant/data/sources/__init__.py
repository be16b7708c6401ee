"""Read bytes as rows: files of every container, data sets of the hub, collections of judgments."""
