"""Bytes to rows: files of every container, hub ids, collections."""
