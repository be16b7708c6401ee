"""Samples of responses to pictures: what the model itself would write, whatever rows go on together."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import pytest
import torch
from torch import nn

from penchant.data.rendering.rendered import Branch
from penchant.engine import media_decoding, verdicts
from penchant.engine.generate import draw_media
from penchant.engine.media_decode_probe import media_decoding_way
from penchant.engine.media_decoding import MediaStart
from penchant.engine.media_score import own_logps
from penchant.engine.media_tree import MediaRow
from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from tiny_vision import FAMILIES, family

GREEDY = Sampling(n=1, temperature=0, max_new_tokens=6)


@pytest.fixture(autouse=True)
def _verdicts_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path))
    monkeypatch.setattr(verdicts, "_process_verdicts", {})


@lru_cache
def tiny(name: str) -> tuple[nn.Module, MediaRow]:
    model, prompt, features, kinds = family(name)
    return model, MediaRow(prompt, (), features, kinds)


def start_of(row: MediaRow, content: str = "a picture") -> MediaStart:
    return MediaStart(row.prompt_ids, content, ("image",), partial(replace, row))


def longer(row: MediaRow, *tokens: int) -> MediaRow:
    """The same prompt with text behind it."""
    kinds = {name: nn.functional.pad(numbers, (0, len(tokens))) for name, numbers in row.token_kinds.items()}
    return replace(row, prompt_ids=(*row.prompt_ids, *tokens), token_kinds=kinds)


def own_tokens(model: nn.Module, row: MediaRow, count: int) -> tuple[int, ...]:
    """What the model's own `generate` writes."""
    ids = torch.tensor([row.prompt_ids])
    marks = [[token] for token in (299, 298)] if hasattr(model.config, "video_token_id") else [[299]]
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), **row.features, **row.token_kinds, do_sample=False,
        max_new_tokens=count, eos_token_id=None, pad_token_id=0, bad_words_ids=marks,
    )  # fmt: skip
    return tuple(out[0, len(row.prompt_ids) :].tolist())


@pytest.mark.parametrize("name", FAMILIES)
def test_the_likeliest_tokens_are_what_the_model_itself_writes(name: str, caplog: pytest.LogCaptureFixture) -> None:
    model, row = tiny(name)
    rows = [row, longer(row, 7, 8), longer(row, 9)]
    with caplog.at_level(logging.WARNING, "penchant"):
        drawn = draw_media(model, [start_of(r) for r in rows], GREEDY, end_ids=frozenset())
    assert not caplog.text
    assert [samples[0][0] for samples in drawn] == [own_tokens(model, r, 6) for r in rows]


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_are_drawn_from_what_is_scored(name: str) -> None:
    model, row = tiny(name)
    sampling = Sampling(n=3, max_new_tokens=5, seed=2)
    together = draw_media(model, [start_of(row), start_of(longer(row, 9))], sampling, end_ids=frozenset())
    seen: list[tuple[tuple[int, ...], torch.Tensor]] = []
    way = media_decoding_way(model, start_of(row), 0)
    drawing = media_decoding.MediaDrawing(
        model, sampling, frozenset(), way, observe=lambda _, tokens, logits: seen.append((tokens, logits.clone()))
    )
    with torch.no_grad():
        (alone,) = drawing.run([start_of(row)])
    assert alone == together[0]  # whatever is drawn beside it
    assert len({tokens for tokens, _ in alone}) == 3
    logits = dict(seen)
    branches = tuple(Branch(tokens, ((0, len(tokens)),)) for tokens, _ in alone)
    with torch.no_grad():
        scored = own_logps(model, replace(row, branches=branches))
    for branch, expected in zip(branches, scored, strict=True):
        drawn = [logits[branch.ids[:i]].log_softmax(-1)[token] for i, token in enumerate(branch.ids)]
        assert (torch.stack(drawn) - expected).abs().max() < 1e-3


@pytest.mark.parametrize("name", ["llava", "qwen2_vl"])
def test_the_slow_ways_draw_the_same_and_are_said_aloud(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, row = tiny(name)
    sampling = Sampling(n=2, max_new_tokens=5, seed=4)
    starts = [start_of(row), start_of(longer(row, 9))]
    expected = draw_media(model, starts, sampling, end_ids=frozenset())
    plain = media_decoding.MediaDrawing._step
    broken: list[str] = []

    def wrong(drawing, rows, prefixes, live):  # type: ignore[no-untyped-def]
        logits = plain(drawing, rows, prefixes, live)
        return logits + torch.randn(logits.shape) if drawing.way in broken else logits

    monkeypatch.setattr(media_decoding.MediaDrawing, "_step", wrong)
    for ways, words in (
        (("cache",), "one after the other: cache: it draws from another distribution"),
        (("cache", "cache by prompt"), "without a cache, a whole pass per token: cache: it draws from another"),
    ):
        broken[:] = ways
        monkeypatch.setattr(verdicts, "_process_verdicts", {})
        monkeypatch.setattr(verdicts, "_read", lambda _: None)
        with caplog.at_level(logging.WARNING, "penchant"):
            assert draw_media(model, starts, sampling, end_ids=frozenset()) == expected
        assert words in caplog.text


def test_a_prompt_goes_through_the_tower_once_for_all_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    model, row = tiny("llava")
    draw_media(model, [start_of(row)], GREEDY, end_ids=frozenset())  # the probe
    passes: list[int] = []
    hook = model.model.vision_tower.register_forward_hook(lambda *_: passes.append(1))
    try:
        samples = draw_media(model, [start_of(row)] * 2, Sampling(n=5, max_new_tokens=3), end_ids=frozenset())
        assert len(passes) == 1  # the same prompt twice has the same samples
        assert samples[0] == samples[1]
        # more samples than are decoded together
        monkeypatch.setattr(media_decoding, "MAX_ROWS", 2)
        assert draw_media(model, [start_of(row)], Sampling(n=5, max_new_tokens=3), end_ids=frozenset()) == samples[:1]
        assert len(passes) == 2
    finally:
        hook.remove()


def test_the_picture_decides_the_samples_and_their_random_numbers() -> None:
    model, row = tiny("llava")
    sampling = Sampling(n=4, max_new_tokens=6)
    other = replace(row, features={"pixel_values": -row.features["pixel_values"]})
    first, second, same_pixels = draw_media(
        model,
        [start_of(row), start_of(other, "another"), start_of(row, "a third")],
        sampling,
        end_ids=frozenset(),
    )
    assert first != second
    assert first != same_pixels  # by the digest of its content
    text = replace(row, prompt_ids=(1, 2, 3), features={})
    drawn = draw_media(model, [start_of(text, "")], sampling, end_ids=frozenset())
    assert all(0 < len(tokens) <= 6 for tokens, _ in drawn[0])


def test_samples_end_and_report_their_progress() -> None:
    model, row = tiny("llava")
    sampling = Sampling(n=8, max_new_tokens=12, seed=1)
    free = draw_media(model, [start_of(row)], sampling, end_ids=frozenset())[0]
    end = free[0][0][3]
    reported: list[int] = []
    ended = draw_media(model, [start_of(row)], sampling, end_ids=frozenset({end}), progress=reported.append)[0]
    assert sum(reported) == 8
    for (whole, _), (tokens, finished) in zip(free, ended, strict=True):
        stop = whole.index(end) + 1 if end in whole else 12
        assert tokens == whole[:stop]
        assert finished == (end in whole)


def test_a_mark_of_a_picture_is_never_drawn() -> None:
    model, row = tiny("llava")
    model.lm_head.weight.data[299] *= 40
    try:
        drawn = draw_media(model, [start_of(row)], Sampling(n=16, max_new_tokens=4), end_ids=frozenset())[0]
    finally:
        model.lm_head.weight.data[299] /= 40
    assert all(299 not in tokens for tokens, _ in drawn)


def test_rows_grow_over_a_window() -> None:
    model, row = tiny("gemma3")  # its window has 64 tokens
    long = longer(row, *range(10, 64))
    drawn = draw_media(model, [start_of(long), start_of(row)], replace(GREEDY, max_new_tokens=20), end_ids=frozenset())
    assert drawn[0][0][0] == own_tokens(model, long, 20)


def test_what_cannot_be_sampled_is_refused() -> None:
    model, row = tiny("qwen2_vl")
    without = replace(row, features={"pixel_values": row.features["pixel_values"]})
    with pytest.raises(InputError, match="cannot be run on such a prompt"):
        draw_media(model, [start_of(without)], GREEDY, end_ids=frozenset())
    with pytest.raises(InputError, match="more than the model's context of 256"):
        draw_media(model, [start_of(row)], Sampling(max_new_tokens=300), end_ids=frozenset())
