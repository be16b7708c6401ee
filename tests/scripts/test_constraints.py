"""Which versions are pinned."""

from __future__ import annotations

import constraints


def test_pins_are_what_is_installed_without_local_builds_and_the_package_itself() -> None:
    installed = [("torch", "2.13.0+cpu"), ("penchant", "0.4.0"), ("numpy", "2.1.0")]
    assert constraints.pins_of(installed) == ["numpy==2.1.0", "torch==2.13.0"]
