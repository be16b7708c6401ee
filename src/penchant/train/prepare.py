"""Turn groups that were read into the data of the gradient loop: rendered, split by prompt, with warnings."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.data.rendering.render_groups import RenderReport, render_all
from penchant.data.rendering.templates import template_warnings
from penchant.engine.score import token_budget
from penchant.errors import InputError
from penchant.files import cache_folder
from penchant.models.added_tokens import added_tokens
from penchant.models.learner import Learner
from penchant.train.batch import Dataset
from penchant.train.mismatched import Mismatched, mismatch
from penchant.train.plan import split_by_prompt, split_key
from penchant.train.recipe import Counts, Prepared, Recipe, Source
from penchant.train.settings import GradientConfig


def read_source(config: GradientConfig, recipe: Recipe) -> Source:
    """Read the data of a run.

    Raises:
        InputError: it cannot be read, or holds nothing that the method learns from.
    """
    source = recipe.read()
    # a file of demonstrations given to DPO has rows, and none of them compares anything
    if not any(recipe.units(group) for group in source.groups):
        raise InputError(f"{config.data.path} holds no {recipe.objective.learns_from} to train on")
    return source


def prepare(config: GradientConfig, recipe: Recipe, source: Source, learner: Learner) -> Prepared:
    """Render the groups and split them by prompt.

    Raises:
        InputError: nothing is left to train on, or early stopping has nothing to look at.
    """
    # tokens are kept on disk by content: a second run on the same data does not tokenize it again (decision 0006)
    usable_groups = [group for group in source.groups if recipe.units(group)]
    groups, rendered, report = render_all(usable_groups, learner.renderer, cache=cache_folder() / "tokens")
    # rendering drops rows: what was read may be too long, or two responses may be the same tokens
    if not groups:
        reason = "says nothing: the two responses of each pair are the same tokens"
        if report.dropped_too_long:
            reason = f"is longer than max_length={learner.renderer.max_length}"
        raise InputError(f"{config.data.path}: every row {reason}")
    prompts = len({split_key(group) for group in groups})
    if config.data.held_out >= max(prompts, 1) > 1:
        raise InputError(
            f"data.held_out={config.data.held_out:g} of {prompts} prompts leaves nothing to train on; hold out fewer "
            "(below 1 is a share)"
        )
    # after rendering: a row that was dropped must not take a held-out prompt's place
    train_side, held_side = split_by_prompt(groups, config.data.held_out, config.seed)
    _check_early_stopping(config, held_side)
    train_groups, held_groups = [groups[i] for i in train_side], [groups[i] for i in held_side]
    mismatched: tuple[Mismatched | None, Mismatched | None] = (None, None)
    if recipe.objective.needs.mismatched:
        mismatched = mismatch(train_groups, held_groups, learner.renderer, seed=config.seed)
    # in the order in which things happened: reading, rendering, splitting
    warnings = [*source.warnings, *_render_warnings(report)]
    # a base model's text has no template that could be wrong
    if learner.renderer.chat_template is not None:
        warnings += template_warnings(learner.renderer.chat_template, groups)
    if (added := added_tokens(learner.model)) is not None:
        tokens = " ".join(learner.renderer.tokenizer.convert_ids_to_tokens(list(added.ids)))
        warnings.append(
            f"the model lacked {len(added.ids)} tokens of the chat template ({tokens}): they were added; each began "
            f"as the mean of the {added.known} rows that were there"
        )
    if not held_side:
        warnings.append("no prompts were held out: nothing here tells how well the model generalises")
    counts: Counts = {
        "groups": len(groups),
        "responses": sum(len(group.responses) for group in groups),
        "comparisons": sum(len(group.comparisons) for group in groups),
        "held_out_groups": len(held_side),
    }
    return Prepared(
        rendered=rendered,
        train_side=train_side,
        held_side=held_side,
        train_groups=train_groups,
        train_data=Dataset(rendered.pick(train_side), mismatched=mismatched[0]),
        held_groups=held_groups,
        held_data=Dataset(rendered.pick(held_side), mismatched=mismatched[1]),
        counts=source.counts | counts | vars(report),
        # the longest group decides it, held out or not: one budget serves training and evaluation
        budget=config.tokens_per_batch or token_budget(learner.scorer.device, rendered),
        warnings=tuple(warnings),
    )


def _check_early_stopping(config: GradientConfig, held_side: Sequence[int]) -> None:
    """Refuse early stopping without held-out prompts or without evaluations to look at."""
    if config.early_stopping and not held_side:
        raise InputError(
            "early_stopping looks at the loss on held-out prompts, but none are held out: set data.held_out"
        )
    if config.early_stopping and config.evaluate.every_steps is None and not config.evaluate.at_steps:
        raise InputError(
            "early_stopping looks at evaluations while training, but there are none: set evaluate.every_steps"
        )


def _render_warnings(report: RenderReport) -> list[str]:
    warnings = []
    if report.dropped_too_long:
        warnings.append(f"{report.dropped_too_long} groups were longer than max_length and were dropped")
    if report.truncated:
        warnings.append(f"{report.truncated} prompts were cut from the left to fit max_length")
    if report.equal_pairs:
        warnings.append(
            f"{report.equal_pairs} comparisons were of responses that are the same tokens, and were dropped"
        )
    if report.moved_boundaries:
        warnings.append(
            f"in {report.moved_boundaries} groups the chat template writes another header before a response than the "
            "one that asks for it: the responses are scored from their texts on, and the header is not"
        )
    if report.stripped_thoughts:
        warnings.append(
            f"in {report.stripped_thoughts} groups the chat template takes the thoughts of earlier turns out"
        )
    if report.unstable_boundaries:
        warnings.append(
            f"in {report.unstable_boundaries} responses a token straddles the boundary to the prompt; it is scored "
            "with the response"
        )
    return warnings
