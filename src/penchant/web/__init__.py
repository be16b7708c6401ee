"""The page where people compare responses: `penchant collect`. What it needs beyond Penchant is the extra `web`.

`settings.py` imports without it; everything else asks for it first.
"""

from __future__ import annotations

from importlib.util import find_spec

from penchant.errors import InputError

# Names of modules, as `find_spec` looks for them: `multipart` is what reads the admin's form.
REQUIRED_PACKAGES = ("fastapi", "sqlmodel", "uvicorn", "multipart", "nh3", "markdown_it")


def require_web() -> None:
    """Raise an InputError that names the extra if a package of it is missing."""
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"the page for people needs {', '.join(missing)}, which Penchant does not install by itself: "
            "pip install 'penchant[web]'"
        )
