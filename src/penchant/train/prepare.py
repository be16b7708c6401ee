"""Turn groups that were read into the data of the gradient loop: rendered, split by prompt, with warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penchant.data.group_table import chain_groups, pick_groups
from penchant.data.marks import joined_words
from penchant.data.rendering.kept_warnings import kept_template_warnings
from penchant.data.rendering.render_groups import RenderReport, render_all
from penchant.data.rendering.rendered import RenderedRows
from penchant.data.rendering.renderer import Renderer
from penchant.data.rendering.templates import boundary_warnings
from penchant.engine.score import token_budget
from penchant.errors import InputError
from penchant.files import cache_folder
from penchant.models.added_tokens import added_tokens
from penchant.models.learner import Learner
from penchant.runs.progress import progress_bar
from penchant.train.batch import Dataset
from penchant.train.best import check_best
from penchant.train.mismatched import Mismatched, mismatch
from penchant.train.mixture import describe_mixture, held_by_source, source_renderer, split_sources, train_sources
from penchant.train.plan import Unit
from penchant.train.recipe import Counts, Mixture, MixturePart, Prepared, Recipe
from penchant.train.scan import GroupFacts, GroupScan
from penchant.train.settings import GradientConfig
from penchant.train.step_counts import few_steps_advice
from penchant.types import PromptGroup

SHOWN_PROMPTS = 20_000
NOTHING_HELD_OUT = "no prompts were held out: nothing here tells how well the model generalises"
"""The warning where a run holds no prompts out; training in rounds holds them out itself."""
LOOKED_AT = 1000  # prompts of a source in which joined words are looked for


def prepare(config: GradientConfig, recipe: Recipe, mixture: Mixture, learner: Learner) -> Prepared:
    """Render the groups of all sources and split them by prompt.

    Raises:
        InputError: nothing is left to train on, or early stopping has nothing to look at.
    """
    scan = GroupScan(recipe.units, seed=config.seed, by_content=len(mixture.parts) > 1)
    parts = [_render_part(config, scan, part, learner) for part in mixture.parts]
    groups = chain_groups([part.groups for part in parts])
    facts = [group_facts for part in parts for group_facts in part.facts]
    rendered = RenderedRows.chained([part.rendered for part in parts])
    report = RenderReport(*map(sum, zip(*(vars(part.report).values() for part in parts), strict=True)))
    evaluation = [part.evaluation for part in mixture.parts]
    keys_by_part = [[group_facts.key for group_facts in part.facts] for part in parts]
    _check_held_out(config, [keys for keys, is_held in zip(keys_by_part, evaluation, strict=True) if not is_held])
    # after rendering: a row that was dropped must not take a held-out prompt's place
    sides = split_sources(keys_by_part, evaluation, config.data.held_out)
    _check_early_stopping(config, sides.held)
    check_best(config, held_out=bool(sides.held), samples=getattr(config.evaluate, "samples", None) is not None)
    train_groups, held_groups = pick_groups(groups, sides.train), pick_groups(groups, sides.held)
    mismatched: tuple[Mismatched | None, Mismatched | None] = (None, None)
    if recipe.objective.needs.mismatched:
        _refuse_templates(config, parts, learner)
        mismatched = mismatch(train_groups, held_groups, learner.renderer, seed=config.seed)
    # in the order in which things happened: reading, rendering, splitting
    joined = list(_joined_words(mixture, parts))
    warnings = [*mixture.warnings, *_render_warnings(report, are_joined=bool(joined)), *joined]
    for part in parts:
        # a base model's text has no template that could be wrong
        if part.renderer.chat_template is not None:
            warnings += kept_template_warnings(part.renderer.chat_template, part.groups, cache_folder() / "groups")
    if (added := added_tokens(learner.model)) is not None:
        tokens = " ".join(learner.renderer.tokenizer.convert_ids_to_tokens(list(added.ids)))
        warnings.append(
            f"the model lacked {len(added.ids)} tokens of the chat template ({tokens}): they were added; each began "
            f"as the mean of the {added.vocabulary} rows that were there"
        )
    sizes = [len(part.groups) for part in parts]
    mixing, source_counts, mixture_warnings = describe_mixture(
        mixture, sizes, sides, config.data.mixing, one_source=config.data.batches == "one_source"
    )
    warnings += mixture_warnings
    if not sides.held:
        warnings.append(NOTHING_HELD_OUT)
    counts: Counts = {
        "groups": len(groups),
        "responses": int(rendered.branch_counts.sum()),
        "comparisons": sum(group_facts.comparisons for group_facts in facts),
        "held_out_groups": len(sides.held),
    }
    units = [facts[number].units for number in sides.train]
    return Prepared(
        rendered=rendered,
        train_side=sides.train,
        held_side=sides.held,
        train_groups=train_groups,
        units=units,
        train_data=Dataset(rendered.pick(sides.train), mismatched=mismatched[0]),
        held_groups=held_groups,
        held_data=Dataset(rendered.pick(sides.held), mismatched=mismatched[1]),
        counts=mixture.counts | counts | vars(report) | source_counts,
        # the longest group decides it, held out or not: one budget serves training and evaluation
        budget=config.tokens_per_batch or learner.scorer.usual_budget or token_budget(learner.scorer.device, rendered),
        warnings=tuple(warnings),
        advice=(*joined, *_few_steps(config, units)),
        train_sources=train_sources(mixture, sizes, sides),
        held_sources=held_by_source(mixture, sizes, sides),
        mixing=mixing,
    )


@dataclass(frozen=True)
class _RenderedPart:
    """The groups of one source that were kept, as token ids, and what rendered them."""

    groups: Sequence[PromptGroup]
    facts: Sequence[GroupFacts]
    rendered: RenderedRows
    report: RenderReport
    renderer: Renderer


def _render_part(config: GradientConfig, scan: GroupScan, part: MixturePart, learner: Learner) -> _RenderedPart:
    # tokens are kept on disk by content: a second run on the same data does not tokenize it again (decision 0006)
    read_facts = scan.all_facts(part.source.groups)
    usable = [number for number, group_facts in enumerate(read_facts) if group_facts.units]
    usable_groups = pick_groups(part.source.groups, usable)
    renderer = source_renderer(learner.renderer, part, config.data)
    # a bar where tokenizing takes more than some seconds
    with progress_bar("tokenizing", len(usable), "prompts", quiet=len(usable) < SHOWN_PROMPTS) as advance:
        groups, rendered, report = render_all(
            usable_groups, renderer, cache=cache_folder() / "tokens", progress=lambda count: advance(count)
        )
    # rendering drops rows: what was read may be too long, or two responses may be the same tokens
    if not groups:
        reason = "says nothing: the two responses of each pair are the same tokens"
        if report.dropped_too_long:
            reason = f"is longer than max_length={renderer.max_length}"
        raise InputError(f"{part.data.path}: every row {reason}")
    facts = scan.remaining([read_facts[number] for number in usable], usable_groups, groups)
    return _RenderedPart(groups, facts, rendered, report, renderer)


def _check_held_out(config: GradientConfig, keys_by_part: Sequence[Sequence[bytes]]) -> None:
    """Refuse to hold out as many prompts as there are."""
    prompts = len({key for keys in keys_by_part for key in keys})
    if config.data.held_out >= max(prompts, 1) > 1:
        raise InputError(
            f"data.held_out={config.data.held_out:g} of {prompts} prompts leaves nothing to train on; hold out fewer "
            "(below 1 is a share)"
        )


def _refuse_templates(config: GradientConfig, parts: Sequence[_RenderedPart], learner: Learner) -> None:
    """Refuse sources with templates of their own where prompts of one meet responses of another."""
    if any(part.renderer is not learner.renderer for part in parts):
        raise InputError(
            f"data.sources: {config.method} shows prompts of one source with responses of another, so all need one "
            "template: set data.template in place of the sources' own"
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


def _few_steps(config: GradientConfig, units: Sequence[Sequence[Unit]]) -> Iterator[str]:
    """Yield a sentence where an epoch of these units leaves few steps, and the settings that give more."""
    count = sum(map(len, units))
    if advice := few_steps_advice(
        count, batch_size=config.batch_size, epochs=config.epochs, max_steps=config.max_steps
    ):
        yield advice


def _joined_words(mixture: Mixture, parts: Sequence[_RenderedPart]) -> Iterator[str]:
    """Yield a sentence per source of which a model without a template reads prompt and response as one word."""
    for source, part in zip(mixture.parts, parts, strict=True):
        # the rows of a file are of one make: the first ones show it
        if not part.renderer.chat and (sentence := joined_words(part.groups[:LOOKED_AT])):
            yield f"{source.name}: {sentence}" if len(parts) > 1 else sentence


def _render_warnings(report: RenderReport, *, are_joined: bool) -> list[str]:
    """Return what rendering did to rows.

    Args:
        are_joined: words are joined across the boundary, which a sentence of its own says.
    """
    warnings = []
    if report.dropped_too_long:
        warnings.append(f"{report.dropped_too_long} groups were longer than max_length and were dropped")
    if report.truncated:
        warnings.append(f"{report.truncated} prompts were cut from the left to fit max_length")
    if report.equal_pairs:
        warnings.append(
            f"{report.equal_pairs} comparisons were of responses that are the same tokens, and were dropped"
        )
    warnings += boundary_warnings(report.moved_boundaries, report.stripped_thoughts)
    if report.unstable_boundaries and not are_joined:
        warnings.append(
            f"in {report.unstable_boundaries} responses a token straddles the boundary to the prompt; it is scored "
            "with the response"
        )
    return warnings
