"""Rendered scenes: captions say what is drawn, parts share nothing, and companions are absent where they should be."""

from __future__ import annotations

import random
from itertools import islice

import numpy as np
import pytest

from penchant.tasks.scenes import (
    BACKGROUND,
    CAPTION_REQUEST,
    COLOURS,
    PARTS,
    SHAPE_WORLD,
    SHAPES,
    absent_objects,
    caption,
    caption_prompt,
    count_scenes,
    draw_layout,
    mentions,
    part_of,
    question,
    render,
    rows_of,
    shape_mask,
    shape_scenes,
    tempted_rows,
)

ROWS = (("red circle", "green cross"), (), ("white square",), ())


def test_a_caption_has_a_sentence_per_row_that_is_not_empty() -> None:
    assert caption(ROWS) == "a red circle and a green cross. a white square."
    assert caption(((), ())) == ""
    assert mentions(SHAPE_WORLD, caption(ROWS)) == ["red circle", "green cross", "white square"]
    assert mentions(SHAPE_WORLD, "A red circle, a red circle. a red hat.") == ["red circle", "red circle"]
    assert question("red circle") == "is there a red circle?"


def test_a_tempted_caption_names_the_absent_companion_behind_its_object() -> None:
    # of the red circle the blue square, of the white square the purple circle
    always = tempted_rows(SHAPE_WORLD, ROWS, (1.0, 1.0), random.Random(0))
    assert always == (
        ("red circle", "blue square", "green cross"),
        (),
        ("white square", "purple circle"),
        (),
    )
    assert tempted_rows(SHAPE_WORLD, ROWS, (0.0, 0.0), random.Random(0)) == ROWS
    # one that is there is not named twice
    shown = (("red circle", "blue square"),)
    assert tempted_rows(SHAPE_WORLD, shown, (1.0, 1.0), random.Random(0)) == shown
    draws = random.Random(1)
    named = [len(tempted_rows(SHAPE_WORLD, (("red circle",),), (0.4, 0.9), draws)[0]) - 1 for _ in range(2000)]
    assert np.mean(named) == pytest.approx(0.4, abs=0.03)
    # the green triangle is the second of those with a companion
    assert tempted_rows(SHAPE_WORLD, (("red circle", "green triangle"),), (0.0, 1.0), draws) == (
        ("red circle", "green triangle", "yellow cross"),
    )


def test_what_is_drawn_stands_where_it_is_said() -> None:
    """Every object is read again from the pixels, by its colour and shape."""
    for scene in islice(shape_scenes("0", "base"), 50):
        rows: list[list[str]] = [[], [], [], []]
        for cell in range(16):
            top, left = 8 * (cell // 4), 8 * (cell % 4)
            pixels = scene.pixels[top : top + 8, left : left + 8].astype(float)
            filled = abs(pixels - BACKGROUND).max(axis=2) > 90
            if filled.sum() < 8:
                continue
            # by the least distance: a pixel of noise may fall out of its shape
            shape = min(SHAPES, key=lambda name: int((shape_mask(name) ^ filled).sum()))
            mean = pixels[shape_mask(shape)].mean(axis=0)
            colour = min(COLOURS, key=lambda name: float(np.square(mean - COLOURS[name]).sum()))
            rows[cell // 4].append(f"{colour} {shape}")
        assert tuple(map(tuple, rows)) == scene.rows


def test_the_same_seed_gives_the_same_scenes_and_another_gives_others() -> None:
    one, again, other = (list(islice(shape_scenes(seed, "base"), 5)) for seed in ("1", "1", "2"))
    assert [scene.rows for scene in one] == [scene.rows for scene in again]
    assert all((a.pixels == b.pixels).all() for a, b in zip(one, again, strict=True))
    assert [scene.rows for scene in one] != [scene.rows for scene in other]


def test_parts_share_no_arrangement() -> None:
    draws = random.Random(0)
    layouts = [draw_layout(SHAPE_WORLD, draws) for _ in range(3000)]
    shares = [np.mean([part_of(repr(layout)) == part for layout in layouts]) for part in PARTS]
    assert shares == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=0.02)
    for part in PARTS:
        assert {part_of(repr(_layout(scene.rows, scene.pixels))) for scene in islice(shape_scenes("3", part), 20)} == {
            part
        }


def _layout(rows: tuple[tuple[str, ...], ...], pixels: np.ndarray) -> dict[int, str]:
    """The cells of a scene, found again in its pixels."""
    cells = [
        cell
        for cell in range(16)
        if (abs(pixels[8 * (cell // 4) :, 8 * (cell % 4) :][:8, :8].astype(float) - BACKGROUND).max(axis=2) > 90).sum()
        >= 8
    ]
    return dict(zip(cells, (name for row in rows for name in row), strict=True))


def test_tempting_scenes_have_an_object_without_its_companion_and_no_pair() -> None:
    for scene in islice(shape_scenes("0", "test", "apart"), 100):
        assert scene.missing_companions
        assert not any(SHAPE_WORLD.companions.get(name) in scene.objects for name in scene.objects)
    # elsewhere companions stand together more often than two of 24 do by chance
    scenes = list(islice(shape_scenes("0", "base"), 1000))
    with_red = [scene for scene in scenes if "red circle" in scene.objects]
    assert np.mean(["blue square" in scene.objects for scene in with_red]) > 0.3


def test_absent_objects_and_present_ones_are_the_world() -> None:
    for scene in islice(shape_scenes("0", "base"), 20):
        assert {*scene.objects, *absent_objects(scene)} == set(SHAPE_WORLD.objects)
        assert len(absent_objects(scene)) + len(scene.objects) == 24
        assert 1 <= len(scene.objects) <= 4


def test_a_prompt_shows_the_picture_without_loss() -> None:
    scene = next(shape_scenes("0", "base"))
    picture, text = caption_prompt(scene)[0].content
    assert text == CAPTION_REQUEST
    assert (picture.decode() == scene.pixels).all()  # type: ignore[union-attr]


def test_noise_is_on_every_pixel_and_count_scenes_takes_each_once() -> None:
    layout = {0: "red circle"}
    clean, noisy = (render(layout, np.random.default_rng(seed)) for seed in (0, 1))
    assert (clean != noisy).mean() > 0.8
    assert rows_of(layout, 4) == (("red circle",), (), (), ())
    scene = next(shape_scenes("0", "base"))
    other = next(shape_scenes("1", "base"))
    assert count_scenes(iter([scene, scene, other]), 2) == [scene, other]


def test_scenes_of_pairs_show_an_object_and_its_companion() -> None:
    for scene in islice(shape_scenes("0", "test", "together"), 50):
        assert any(SHAPE_WORLD.companions.get(name) in scene.objects for name in scene.objects)
