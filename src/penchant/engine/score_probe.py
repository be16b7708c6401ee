"""A numeric probe of how a model's responses may be scored together: as trees, as rows, or only rows of one length.

A probe runs once per configuration with short rows, and once more for each window or threshold beyond its reach, when
a row is first longer than that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine import kernels, probe
from penchant.engine.attention import READS_HEAD_INPUT, evaluating, output_head, predictor_states, unwrap
from penchant.engine.foreign_types import PreTrainedConfig
from penchant.engine.lengths import EQUAL_LENGTHS, context_length, forget_earlier_lengths, length_classes
from penchant.engine.logps import token_logps
from penchant.engine.tree import Packing, all_responses, batched, make_trees
from penchant.engine.verdicts import Verdict, kept_verdict, slowest
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")


def scoring_support(model: nn.Module, *, head: bool = True) -> tuple[Packing, str]:
    """Return how this model's responses may go through it together, and why not as trees ("" if as trees).

    Args:
        head: it has a vocabulary head, which is checked too; else its final states are what is compared.

    Raises:
        InputError: it is no causal language model, cannot be run, or no way of scoring gives its own numbers.
    """
    inner = unwrap(model)
    forget_earlier_lengths(model)
    with _probing(model):
        if head:
            _check_head(model)
        verdict = kept_verdict(f"scoring head={head}", inner, partial(_find_way, model, head), _announce)
    return _packing(model, verdict)


def far_support(model: nn.Module, packing: Packing, longest: int, *, head: bool) -> tuple[Packing, str]:
    """Return what `scoring_support` returns, for rows of up to `longest` tokens.

    Probes the model beyond each length that is named, shorter than `longest` and out of the first probe's reach.

    Args:
        packing: how shorter rows go through it.

    Raises:
        InputError: no way of scoring gives the model's own numbers there.
    """
    inner, ways = unwrap(model), _ways(unwrap(model).config.get_text_config())
    verdicts = [Verdict(next(way for way, way_packing in ways.items() if way_packing == packing))]
    with _probing(model):
        for length in probe.far_lengths(model):
            if length < longest:
                decide = partial(_find_far_way, model, head, length)
                verdicts.append(kept_verdict(f"scoring head={head} beyond {length}", inner, decide, _announce))
    return _packing(model, slowest(verdicts, ways))


@contextmanager
def _probing(model: nn.Module) -> Iterator[None]:
    # the verdict is kept by the weights' dtype, so it must not depend on the caller's autocast
    with evaluating(model), torch.autocast(next(model.parameters()).device.type, enabled=False):
        yield


def _packing(model: nn.Module, verdict: Verdict) -> tuple[Packing, str]:
    """Set the network up for a verdict, and return how its responses go through it."""
    inner = unwrap(model)
    if verdict.way == "none":
        raise InputError(
            f"{type(inner).__name__} cannot be scored: {verdict.reason}. It can be sampled, or take a model of "
            "another type; please report this one"
        )
    packing = _ways(inner.config.get_text_config())[verdict.way]
    if not packing.plain:
        kernels.switch_on(inner)
    return packing, verdict.reason


def _ways(config: PreTrainedConfig) -> dict[str, Packing]:
    """Return the ways of scoring, from fast to slow."""
    lengths = length_classes(config)
    return {
        "trees": Packing(False, lengths),
        "rows": Packing(True, lengths),
        "equal rows": Packing(True, EQUAL_LENGTHS),
    }


def _find_way(model: nn.Module, head: bool) -> Verdict:
    """Run the probe and return the first way that gives the model's own numbers."""
    config, reach = unwrap(model).config.get_text_config(), probe.probe_reach(model)
    rows = [_example(config, reach)]
    expected = _own_numbers(model, rows, head)
    if head:
        probe.check_causal(model, probe.random_ids(config, probe.long_row(config, reach)))
    return _first_right(model, rows, expected, head, reach)


def _find_far_way(model: nn.Module, head: bool, length: int) -> Verdict:
    """Run the probe with rows that grow over a length, beside a short one.

    Two of them begin alike up to some tokens beyond that length, where a causal model gives both the same numbers.
    """
    rows = _far_examples(unwrap(model).config.get_text_config(), length)
    expected = _own_numbers(model, rows, head)
    # the two long branches are alike up to here, half a margin beyond the length
    shared = len(rows[0].branches[0].ids) - probe.MARGIN // 2
    if head and not probe.logps_close(expected[0][:shared], expected[1][:shared], model):
        raise probe.not_causal(model)
    return _first_right(model, rows, expected, head, length)


def _first_right(
    model: nn.Module, rows: Sequence[Rendered], expected: Sequence[Tensor], head: bool, reach: int
) -> Verdict:
    """Return the first way of scoring whose numbers are the expected ones."""
    config = unwrap(model).config.get_text_config()
    problems: list[str] = []
    for way, packing in _ways(config).items():
        problem = _refused_by_config(config, reach) if way == "trees" else None
        if problem is None:
            problem = _problem(model, rows, packing, expected, head)
        if problem is None:
            return Verdict(way, "; ".join(problems))
        problems.append(problem)
    return Verdict("none", "; ".join(dict.fromkeys(problems)))


def _announce(verdict: Verdict) -> None:
    """Warn of what makes scoring slower."""
    if verdict.way in ("rows", "equal rows"):
        length_words = "" if verdict.way == "rows" else ", and only rows of one length together"
        log.warning("plain path, every response forwarded with its own prompt%s: %s", length_words, verdict.reason)


def _refused_by_config(config: PreTrainedConfig, reach: int) -> str | None:
    """Return why a configuration rules trees out, or None."""
    if config._attn_implementation not in ("sdpa", kernels.NAME):
        return f"its attention is its own ({config._attn_implementation})"
    kinds = {str(kind) for kind in getattr(config, "layer_types", None) or ()}
    unsupported = sorted(kinds - {"full_attention", "attention"})
    if unsupported:
        return f"it has layers of type {', '.join(unsupported)}"
    # Qwen states a window that it does not use
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return f"its attention slides over a window of {config.sliding_window} tokens"
    if any(hasattr(config, name) for name in ("state_size", "ssm_cfg", "rwkv_head_size", "mamba_d_state")):
        return "it has recurrent layers"
    # a window that the probe's rows do not reach would not show in their numbers
    windows = [v for k, v in config.to_dict().items() if "window" in k and isinstance(v, int)]
    if max(windows, default=0) > reach:
        return f"its attention has a window of {max(windows)} tokens"
    return None


def _problem(
    model: nn.Module, rows: Sequence[Rendered], packing: Packing, expected: Sequence[Tensor], head: bool
) -> str | None:
    """Try a way of scoring and return what is wrong with it, or None."""
    inner, before = unwrap(model), unwrap(model).config._attn_implementation
    try:
        if not packing.plain:
            kernels.switch_on(inner)
        got = _numbers(model, rows, packing, head)
    except Exception as error:  # whatever a model raises that does not know what we ask for
        reason = probe.short_text(error)
        return reason if packing.plain else f"its attention cannot be replaced ({reason})"
    finally:
        # the next way is tried on the network as it came
        if inner.config._attn_implementation != before:
            inner.set_attn_implementation(before)
    name = "rows side by side" if packing.plain else "trees"
    if head:
        packed_logps, single_logps = torch.cat(got), torch.cat(list(expected))
        worst = float((packed_logps - single_logps).abs().max())
        if probe.logps_close(packed_logps, single_logps, model):
            return None
        return f"{name} differ from single rows by {worst:.3g} nats per token"
    # a reward head starts at 0, so its scores would agree whatever the states are: the states themselves are compared
    share = max(float((a - b).norm() / b.norm()) for a, b in zip(got, expected, strict=True))
    allowed = probe.HALF_STATES if probe.half_precision(model) else probe.STATES
    return None if share <= allowed else f"states of {name} differ from those of single rows by {share:.1%}"


def _numbers(model: nn.Module, rows: Sequence[Rendered], packing: Packing, head: bool) -> list[Tensor]:
    """Return the log-probabilities of the tokens of each branch, or the states that predict them."""
    slots = sum(len(row.branches) for row in rows)
    trees = make_trees(all_responses(rows), budget=2**30, packing=packing)
    parts: dict[int, Tensor] = {}
    for batch in batched(trees, slots=slots, budget=2**30, packing=packing):
        batch = batch.to(next(model.parameters()).device)
        states = predictor_states(model, batch)
        numbers = token_logps(states, output_head(model), batch.targets) if head else states.float()
        parts |= {slot: numbers[batch.owners == slot] for slot in batch.owners.unique().tolist()}
    return [parts[slot] for slot in range(slots)]


def _own_numbers(model: nn.Module, rows: Sequence[Rendered], head: bool) -> list[Tensor]:
    """Return what the model itself gives for each branch; states come from single rows without padding."""
    single_rows = [Rendered(row.prompt_ids, (branch,)) for row in rows for branch in row.branches]
    if not head:
        return [_numbers(model, [row], Packing(True, EQUAL_LENGTHS), head)[0] for row in single_rows]
    numbers = []
    for row in single_rows:
        ids = row.branches[0].ids
        logps = probe.own_logits(model, [*row.prompt_ids, *ids], len(ids) + 1)[:-1].log_softmax(-1)
        numbers.append(logps.gather(1, torch.tensor(ids, device=logps.device)[:, None]).squeeze(1))
    return numbers


def _check_head(model: nn.Module) -> None:
    """Compare our log-probabilities of one plain row with the model's own logits.

    Where they differ the network may do more to the trunk's states than project them; then what its head reads is
    taken instead, for as long as the network lives.

    Raises:
        InputError: they differ all the same, or are not finite, or depend on later tokens.
    """
    inner = unwrap(model)
    ids = probe.random_ids(inner.config.get_text_config(), 12)
    expected = probe.check_causal(model, ids)[:-1].log_softmax(-1)
    targets = torch.tensor(ids[1:], device=expected.device)
    expected = expected.gather(1, targets[:, None]).squeeze(1)
    row = _rendered(ids[:1], ids[1:])
    problems = []
    # the projection of the trunk's states first, since the other way runs the whole network
    for reads_head_input in (False, True):
        setattr(inner, READS_HEAD_INPUT, reads_head_input)
        try:
            (got,) = _numbers(model, [row], Packing(True, EQUAL_LENGTHS), True)
        except Exception as error:  # whatever a model raises that does not know what we ask for
            problems.append(probe.short_text(error))
            continue
        if got.shape == expected.shape and probe.logps_close(got, expected, model):
            return
        problems.append(f"off by {float((got - expected).abs().max()):.3g} nats on the probe")
    setattr(inner, READS_HEAD_INPUT, False)
    raise InputError(
        f"{type(inner).__name__} changes its logits in a way that Penchant does not know ({problems[0]}; at the "
        f"head's input: {problems[1]}), so it cannot be scored or trained; please report this model"
    )


def _example(config: PreTrainedConfig, reach: int) -> Rendered:
    """Return a prompt with four branches, two of them of one length; the first makes the probe's longest row."""
    path = probe.probe_length(config, reach)
    ids = probe.random_ids(config, path + 14)
    parts = (ids[5:path], ids[path : path + 3], ids[path + 3 : path + 6], ids[-7:] if path > 12 else ids[-2:])
    return _rendered(ids[:5], *parts)


def _far_examples(config: PreTrainedConfig, length: int) -> list[Rendered]:
    """Return a prompt just shorter than a length with two branches that grow over it, and a short row."""
    # as far beyond the length as the context allows, and as far below it
    path = min(length + probe.MARGIN, context_length(config) or length + probe.MARGIN)
    start = max(1, min(length - probe.MARGIN, path - 2 * probe.MARGIN))
    ids = probe.random_ids(config, path + probe.MARGIN // 2 + 12)
    long, short = ids[start:path], ids[-12:]
    other = [*long[: -probe.MARGIN // 2], *ids[path : path + probe.MARGIN // 2]]
    return [_rendered(ids[:start], long, other), _rendered(short[:5], short[5:])]


def _rendered(prompt: Sequence[int], *branches: Sequence[int]) -> Rendered:
    """Return a prompt with branches whose tokens are all scored."""
    return Rendered(tuple(prompt), tuple(Branch(tuple(ids), ((0, len(ids)),)) for ids in branches))
