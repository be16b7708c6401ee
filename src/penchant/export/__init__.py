"""The way out: a trained model as merged weights, adapters or GGUF, with a model card, and onto a hub.

`write_export` of `penchant.export.folder` writes a folder, `penchant.export.push` uploads one.
"""
