"""Settings of the study of kinds: presets, and prompts that do not suffice."""

from __future__ import annotations

from pathlib import Path

import pytest

from penchant.config import load_config
from penchant.errors import InputError
from penchant.studies.core.definition import preset_file
from penchant.studies.kinds.grid import kinds_grid
from penchant.studies.kinds.settings import KindsConfig

SOUNDS = {"prompts": "sounds", "reward": "sound_seconds", "max_new_tokens": 40}


def test_fewer_prompts_than_are_asked_for_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "few.txt"
    file.write_text("one\ntwo\nthree\n")
    kind = {"prompts": str(file), "reward": "vader", "max_new_tokens": 4, "train": 2, "test": 2}
    with pytest.raises(InputError, match=r"`kinds\.text`: .*few\.txt has 3 prompts, fewer than the 2 to train on"):
        kinds_grid(KindsConfig(kinds={"text": kind, "sounds": SOUNDS}))
    with pytest.raises(ValueError, match="`train` and `test` go together"):
        KindsConfig(kinds={"text": {**kind, "test": None}, "sounds": SOUNDS})


def test_presets_differ_in_how_much_they_do_alone() -> None:
    demo, small = (load_config(KindsConfig, preset_file(name, "kinds")) for name in ("demo", "small"))
    assert set(demo.kinds) == {"text", "pictures", "sounds"}
    assert (demo.pairs, len(demo.seeds)) < (small.pairs, len(small.seeds))
    same = {"pairs": small.pairs, "steps": small.steps, "seeds": small.seeds}
    assert demo.replace(**same, measured_samples=small.measured_samples) == small
