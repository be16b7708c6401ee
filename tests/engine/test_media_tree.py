"""Responses to pictures: trees give what the model itself gives, or the probe says that they do not."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import pytest
import torch

from penchant.data.rendering.media_prompt import MediaInputs
from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine import media_tree
from penchant.engine.media_score import MediaScorer, own_logps
from penchant.engine.media_tree import MediaRow
from penchant.engine.score import batches
from penchant.engine.tree import all_responses
from penchant.errors import InputError
from tiny_vision import FAMILIES, family

RESPONSES = ((5, 6, 7, 8), (9, 10, 11), (9, 10, 12, 13, 14))
BLOCKS = {"gemma3": "media", "paligemma": "prompt"}


@dataclass(frozen=True)
class FixedPictures:
    """Pictures of a prompt whose features are there."""

    row: MediaRow
    kinds: tuple[str, ...] = ("a picture",)
    digest: str = "fixed"

    def load(self) -> MediaInputs:
        return MediaInputs(self.row.features, self.row.token_kinds)


KINDS = FixedPictures.kinds


def scores_of(scorer: MediaScorer, *rows: MediaRow) -> torch.Tensor:
    """The scores of all responses of some rows, forwarded together."""
    rendered = [Rendered(row.prompt_ids, row.branches, media=FixedPictures(row)) for row in rows]
    parts = batches(all_responses(rendered), budget=4096, packing=scorer.packing_for(rendered))
    return torch.stack([scorer(part) for part in parts]).sum(0)


def row_of(
    name: str, responses: tuple[tuple[int, ...], ...] = RESPONSES, pictures: int = 1
) -> tuple[MediaScorer, MediaRow]:
    model, prompt, features, kinds = family(name, pictures)
    branches = tuple(Branch(ids, ((0, len(ids)),)) for ids in responses)
    return MediaScorer(model), MediaRow(prompt, branches, features, kinds)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("count", "pictures"), [(3, 1), (1, 2), (6, 3)])
def test_scores_are_the_models_own(name: str, count: int, pictures: int, caplog: pytest.LogCaptureFixture) -> None:
    scorer, row = row_of(name, (RESPONSES * 2)[:count], pictures)
    with caplog.at_level(logging.WARNING), torch.no_grad():
        scores = scores_of(scorer, row)
        expected = torch.stack([logps.sum() for logps in own_logps(scorer.model, row)])
    assert (scores - expected).abs().max() < 1e-3
    assert not scorer.plain_reasons
    assert scorer.blocks == {KINDS: BLOCKS.get(name, "none")}
    assert not caplog.text


@pytest.mark.parametrize("rate", [0.5, 4.0])
def test_a_video_of_frames_is_read_as_the_model_reads_it(rate: float) -> None:
    model, _, _, _ = family("qwen2_5_vl")
    # four frames of 16 x 16 pixels: two pairs of 2 x 2 tokens, between the marks of a video
    prompt = (1, 297, *[298] * 8, 296, 2, 3)
    features = {
        "pixel_values_videos": torch.randn(32, 96, generator=torch.Generator().manual_seed(1)),
        "video_grid_thw": torch.tensor([[2, 4, 4]]),
        "second_per_grid_ts": torch.tensor([2 / rate]),
    }
    kinds = {"mm_token_type_ids": (torch.tensor([prompt]) == 298).long() * 2}
    branches = tuple(Branch(ids, ((0, len(ids)),)) for ids in RESPONSES)
    scorer, row = MediaScorer(model), MediaRow(prompt, branches, features, kinds)
    with torch.no_grad():
        scores = scores_of(scorer, row)
        expected = torch.stack([logps.sum() for logps in own_logps(model, row)])
        other_rate = replace(row, features=features | {"second_per_grid_ts": torch.tensor([20.0])})
        assert (scores_of(scorer, other_rate) - scores).abs().max() > 1e-3  # the rate tells it when a frame was
    assert (scores - expected).abs().max() < 1e-3
    assert not scorer.plain_reasons


def test_a_picture_goes_through_its_tower_once_per_group() -> None:
    scorer, row = row_of("llava")
    passes: list[int] = []
    with torch.no_grad():
        scores_of(scorer, row)  # the probe
        scorer.model.model.vision_tower.register_forward_hook(lambda *_: passes.append(1))
        scores_of(scorer, row)
        assert len(passes) == 1
        scorer.plain_reasons[KINDS] = "for the test"
        scores_of(scorer, row)
    assert len(passes) == 1 + len(RESPONSES)


@pytest.mark.parametrize("name", ["gemma3", "qwen2_vl"])
def test_the_probe_finds_what_a_tree_gets_wrong(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # as if we knew nothing of blocks that see both ways, and of positions in three dimensions
    monkeypatch.setattr(media_tree, "_block_numbers", lambda row, _: torch.full((len(row.prompt_ids),), -1))
    length = len(row_of(name)[1].prompt_ids)
    monkeypatch.setattr(media_tree, "prompt_positions", lambda *_: (torch.arange(length)[None], length))
    scorer, row = row_of(name)
    with caplog.at_level(logging.WARNING), torch.no_grad():
        scores = scores_of(scorer, row)
        expected = torch.stack([logps.sum() for logps in own_logps(scorer.model, row)])
    assert (scores - expected).abs().max() < 1e-3
    assert "trees with a picture differ from single rows by" in scorer.plain_reasons[KINDS]
    assert "every response is forwarded with its own prompt and pictures" in caplog.text


def test_rows_beyond_a_window_are_forwarded_one_by_one() -> None:
    long = tuple(range(10, 80))
    scorer, row = row_of("gemma3", (long, long[:5]))  # its window has 64 tokens
    with torch.no_grad():
        scores = scores_of(scorer, row)
        expected = torch.stack([logps.sum() for logps in own_logps(scorer.model, row)])
    assert not scorer.plain_reasons
    assert (scores - expected).abs().max() < 1e-3


def test_another_picture_gives_other_scores() -> None:
    scorer, row = row_of("llava")
    other = MediaRow(row.prompt_ids, row.branches, {"pixel_values": -row.features["pixel_values"]}, {})
    with torch.no_grad():
        assert (scores_of(scorer, row) - scores_of(scorer, other)).abs().min() > 1e-3


def test_gradients_of_a_tree_are_those_of_rows_one_by_one() -> None:
    scorer, row = row_of("llava")
    with torch.no_grad():
        scores_of(scorer, row)
    weights = [w for w in scorer.model.parameters() if w.requires_grad]
    gradients = []
    for is_plain in (False, True):
        scorer.plain_reasons = {KINDS: "for the test"} if is_plain else {}
        loss = (scores_of(scorer, row) * torch.tensor([1.0, -2.0, 0.5])).sum()
        gradients.append(torch.autograd.grad(loss, weights, allow_unused=True))
    reached = [(tree, plain) for tree, plain in zip(*gradients, strict=True) if tree is not None]
    assert len(reached) > 20  # the tower and the projector too
    for tree, plain in reached:
        torch.testing.assert_close(tree, plain, atol=2e-4, rtol=1e-3)


def test_only_scored_tokens_count() -> None:
    scorer, row = row_of("llava")
    part = MediaRow(row.prompt_ids, (Branch((5, 6, 7, 8), ((1, 3),)),), row.features, {})
    with torch.no_grad():
        expected = own_logps(scorer.model, row)[0][1:3].sum()
        assert float(scores_of(scorer, part)[0]) == pytest.approx(float(expected), abs=1e-4)


def test_a_prompt_whose_picture_is_missing_is_refused() -> None:
    scorer, row = row_of("qwen2_vl")
    with pytest.raises(InputError, match="cannot be run on such a prompt"):
        scores_of(
            scorer,
            MediaRow(row.prompt_ids, row.branches, {"pixel_values": row.features["pixel_values"]}, row.token_kinds),
        )
