"""What a Python session hands over in place of a name: rows, functions, models. Imports no torch.

Settings are text, so that they can be written, compared and repeated. An object becomes the name `session:NAME`, and
what is behind it a file whose name ends in a digest of its content: in the cache, and in `inputs` of each run folder
that used it.
"""
