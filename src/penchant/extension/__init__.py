"""Code of the user's in place of a built-in name: `module:attribute` of an installed package, or of a file by its path.

A loss, a reward, a judge, a task or a weak classifier can be named so. The current folder never goes on the module
path.
"""

from __future__ import annotations

from penchant.extension.door import Door, is_extension
from penchant.extension.user_code import describe_error, suggest

__all__ = ["Door", "describe_error", "is_extension", "suggest"]
