"""Collages of Fashion-MNIST: every field is a picture of the kind that is said, and parts share no picture."""

from __future__ import annotations

import gzip
import struct
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.tasks import collages as module
from penchant.tasks import idx
from penchant.tasks.collages import CLOTHES_WORLD, KINDS, collages, read_clothes
from penchant.tasks.scenes import PARTS, caption, mentions


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small files in the format of Fashion-MNIST; pictures of kind k have the brightness 20 k + 10 and their place."""
    monkeypatch.setattr(idx, "FOLDERS", ())
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path))
    monkeypatch.setattr(module, "LEARN_FROM", 40)
    monkeypatch.setattr(module, "CHOOSE_FROM", 60)
    for stems, count in zip(idx.STEMS, (80, 40), strict=True):
        labels = np.arange(count) % 10
        pixels = np.repeat((20 * labels + 10).astype(np.uint8), 28 * 28)
        for stem, content, header in (
            (stems[0], pixels, struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28)),
            (stems[1], labels.astype(np.uint8), struct.pack(">4BI", 0, 0, 8, 1, count)),
        ):
            (tmp_path / f"{stem}.gz").write_bytes(gzip.compress(header + content.tobytes()))
    return tmp_path


def test_every_field_is_of_the_kind_that_the_caption_names(files: Path) -> None:
    for scene in islice(collages(read_clothes("base"), "0", "base"), 30):
        rows = [
            tuple(
                KINDS[(int(scene.pixels[16 * row + 8, 16 * column + 8, 0]) - 10) // 20]
                for column in range(2)
                if scene.pixels[16 * row + 8, 16 * column + 8, 0]
            )
            for row in range(2)
        ]
        assert tuple(rows) == scene.rows
        # a rim of one pixel
        assert not scene.pixels[[0, 15, 16, 31]].any()
        assert mentions(CLOTHES_WORLD, caption(scene.rows)) == list(scene.objects)


def test_parts_share_no_picture(files: Path) -> None:
    sizes = {part: len(read_clothes(part).pixels) for part in PARTS}
    assert sizes == {"base": 40, "learn": 20, "choose": 20, "test": 40}
    assert all(len(indices) == 4 for indices in read_clothes("base").indices.values())


def test_the_same_seed_gives_the_same_collages(files: Path) -> None:
    clothes = read_clothes("test")
    one, again, other = (next(collages(clothes, seed, "test", "apart")) for seed in ("1", "1", "2"))
    assert (one.pixels == again.pixels).all()
    assert not (one.pixels == other.pixels).all()
    assert one.missing_companions


def test_missing_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "FOLDERS", ())
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path))
    with pytest.raises(InputError, match="dataset-fashion-mnist"):
        read_clothes("base")
