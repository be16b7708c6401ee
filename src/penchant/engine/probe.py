"""Numeric probes: how a model's responses may be scored together.

What is right is what the model itself gives for one row alone, without a cache and without padding. A probe runs a few
short rows the fast way and compares. Where they differ a slower way is tried, and where every way differs the model is
refused by its name.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from penchant.data.rendered import Branch, Rendered
from penchant.engine import kernels
from penchant.engine.attention import output_head, predictor_states, unwrap
from penchant.engine.lengths import EQUAL_LENGTHS, context_length, forget_earlier_lengths, length_classes, named_lengths
from penchant.engine.logps import token_logps
from penchant.engine.tree import Packing, batched, make_trees
from penchant.engine.verdicts import kept_verdict
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")

PROBE_TOLERANCE = 1e-2  # nats on one token, in float32; a wrong mask is off by whole nats
HALF_TOLERANCE = 0.5  # the same in half precision, whose rounding is larger
SHARE_OF_SPREAD = 5e-3  # of the standard deviation of log-probabilities; float32 rounding is below a tenth of that
LONG_ROW = 64  # tokens
LONGEST_PROBE = 1024  # tokens; a declared window beyond that is believed without a probe
ROW_OPERATIONS = 3 * 10**11  # of one row on a CPU, some seconds: 1,024 tokens of a model with 146M weights


def scoring_support(model: nn.Module, *, head: bool = True) -> tuple[Packing, str]:
    """Return how this model's responses may go through it together, and why not as trees ("" where they may).

    Args:
        head: it has a vocabulary head, which is checked too; else its final states are what is compared.

    Raises:
        InputError: it is no causal language model, cannot be run, or no way of scoring gives its own numbers.
    """
    inner = unwrap(model)
    forget_earlier_lengths(model)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            if head:
                _check_head(model)
            verdict = kept_verdict(
                f"scoring head={head}", inner, lambda: _find_way(model, head), lambda found: _say(inner, found)
            )
    finally:
        model.train(was_training)
    if verdict["way"] == "none":
        raise InputError(f"{type(inner).__name__} cannot be scored: {verdict['reason']}")
    packing = _ways(inner.config.get_text_config())[verdict["way"]]
    if not packing.plain:
        kernels.register()
        inner.set_attn_implementation(kernels.NAME)
    return packing, str(verdict["reason"])


def probe_reach(model: nn.Module) -> int:
    """Return how long a probe's rows may be, in tokens: less for a large model on a CPU."""
    if next(model.parameters()).device.type != "cpu":
        return LONGEST_PROBE
    operations = 2 * sum(weight.numel() for weight in model.parameters())
    return max(LONG_ROW, min(LONGEST_PROBE, ROW_OPERATIONS // max(1, operations)))


def probe_length(config: Any, reach: int) -> int:
    """Return how long a probe's longest row has to be: beyond every length that the configuration names.

    A length above `reach` is left out, and so is one that fills the context.
    """
    reachable = [length for length in named_lengths(config) if length <= reach]
    path = max(24, *(length + 8 for length in reachable)) if reachable else 24
    return max(8, min(path, context_length(config) or path))


def long_row(config: Any, reach: int) -> int:
    """Return how long a row has to be for what shows only in longer ones, such as attention between random chunks."""
    return max(probe_length(config, reach), min(LONG_ROW, context_length(config) or LONG_ROW))


def random_ids(config: Any, count: int) -> list[int]:
    """Return fixed random token ids of the vocabulary, without padding, which some models skip."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, config.vocab_size, (2 * count + 8,), generator=generator)
    return [int(i) for i in ids if int(i) != getattr(config, "pad_token_id", None)][:count]


def own_logits(model: nn.Module, ids: Sequence[int]) -> Tensor:
    """Return what the model itself gives for one row: (tokens, vocabulary), float32, the one place of full logits.

    Raises:
        InputError: it gives something else, or nothing.
    """
    inner = unwrap(model)
    row = torch.tensor([ids], device=next(model.parameters()).device)
    try:
        logits = inner(input_ids=row, use_cache=False).logits
    except Exception as error:  # each class has its own ways
        raise InputError(f"{type(inner).__name__} cannot be run on token ids alone: {_short(error)}") from error
    if logits.ndim != 3 or logits.shape[:2] != row.shape:
        raise InputError(
            f"{type(inner).__name__} is not a causal language model: {len(ids)} tokens gave logits of shape "
            f"{tuple(logits.shape)}"
        )
    return torch.as_tensor(logits[0].float())


def check_causal(model: nn.Module, ids: Sequence[int]) -> Tensor:
    """Return the model's own logits of a row, which must not depend on tokens further to the right.

    Raises:
        InputError: they do, or are not finite.
    """
    logits = own_logits(model, ids)
    if not torch.isfinite(logits.log_softmax(-1).amax(-1)).all():
        raise InputError(
            "the model's log-probabilities are not finite: its weights are damaged, or too large for their dtype"
        )
    if not close(own_logits(model, ids), logits, model):
        raise InputError(
            f"{type(unwrap(model)).__name__} gives other numbers at every pass over the same row: it draws at random"
        )
    cut = len(ids) // 2
    vocabulary = unwrap(model).config.get_text_config().vocab_size
    changed = own_logits(model, [*ids[:cut], *((i + 1) % vocabulary for i in ids[cut:])])
    if not close(changed[:cut], logits[:cut], model):
        raise InputError(
            f"{type(unwrap(model)).__name__} is not a causal language model: what it predicts depends on the tokens "
            "that follow"
        )
    return logits


def close(logits: Tensor, expected: Tensor, model: nn.Module) -> bool:
    """Return whether two tables of logits give the same distributions, rounding aside."""
    got, want = logits.float().log_softmax(-1), expected.float().log_softmax(-1)
    both = torch.isfinite(want)
    if not torch.equal(both, torch.isfinite(got)):
        return False
    return near(got[both], want[both], model)


def near(logps: Tensor, expected: Tensor, model: nn.Module) -> bool:
    """Return whether log-probabilities are equal up to rounding.

    What rounding may do is measured by how far the expected ones lie apart: an untrained model's lie close together,
    and so would those of a wrong mask.
    """
    difference, spread = (logps - expected).abs(), float(expected.std())
    if half_precision(model):
        return float(difference.max()) <= HALF_TOLERANCE and float(difference.mean()) <= 0.1 * spread
    return float(difference.max()) <= min(PROBE_TOLERANCE, SHARE_OF_SPREAD * spread)


def half_precision(model: nn.Module) -> bool:
    """Return whether some of the weights are in half precision."""
    return any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters())


# -- scoring ------------------------------------------------------------------------------------------------------


def _ways(config: Any) -> dict[str, Packing]:
    """Return the ways of scoring, from fast to slow."""
    lengths = length_classes(config)
    return {
        "trees": Packing(False, lengths),
        "rows": Packing(True, lengths),
        "equal rows": Packing(True, EQUAL_LENGTHS),
    }


def _find_way(model: nn.Module, head: bool) -> dict[str, Any]:
    """Run the probe: the first way that gives the model's own numbers."""
    inner = unwrap(model)
    config = inner.config.get_text_config()
    reach = probe_reach(model)
    row = _example(config, reach)
    expected = [_own_numbers(model, row, index, head) for index in range(len(row.branches))]
    if head:
        check_causal(model, random_ids(config, long_row(config, reach)))
    reason = ""
    for way, packing in _ways(config).items():
        problem = _refused_by_config(config, reach) if way == "trees" else None
        if problem is None:
            problem = _problem(model, row, packing, expected, head)
        if problem is None:
            return {"way": way, "reason": reason}
        reason = reason if way == "rows" else problem
    return {"way": "none", "reason": reason}


def _say(network: Any, verdict: dict[str, Any]) -> None:
    """Say aloud what makes scoring slower."""
    if verdict["way"] in ("rows", "equal rows"):
        alone = "" if verdict["way"] == "rows" else ", and only rows of one length together"
        log.warning("plain path, every response forwarded with its own prompt%s: %s", alone, verdict["reason"])


def _refused_by_config(config: Any, reach: int) -> str | None:
    """Return why a configuration rules trees out, or None."""
    if config._attn_implementation not in ("sdpa", kernels.NAME):
        return f"its attention is its own ({config._attn_implementation})"
    kinds = {str(kind) for kind in getattr(config, "layer_types", None) or ()}
    odd = sorted(kinds - {"full_attention", "attention"})
    if odd:
        return f"it has layers of type {', '.join(odd)}"
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return f"its attention slides over a window of {config.sliding_window} tokens"
    if any(hasattr(config, name) for name in ("state_size", "ssm_cfg", "rwkv_head_size", "mamba_d_state")):
        return "it has recurrent layers"
    windows = [v for k, v in config.to_dict().items() if "window" in k and isinstance(v, int)]
    if max(windows, default=0) > reach:
        return f"its attention has a window of {max(windows)} tokens"
    return None


def _problem(model: nn.Module, row: Rendered, packing: Packing, expected: Sequence[Tensor], head: bool) -> str | None:
    """Return what is wrong with a way of scoring, or None."""
    inner, before = unwrap(model), unwrap(model).config._attn_implementation
    try:
        if not packing.plain:
            kernels.register()
            inner.set_attn_implementation(kernels.NAME)
        got = _numbers(model, row, packing, head)
    except Exception as error:  # whatever a model raises that does not know what we ask for
        return f"its attention cannot be replaced ({_short(error)})" if not packing.plain else _short(error)
    finally:
        if inner.config._attn_implementation != before:
            inner.set_attn_implementation(before)
    name = "rows side by side" if packing.plain else "trees"
    if head:
        mine, own = torch.cat(got), torch.cat(list(expected))
        worst = float((mine - own).abs().max())
        return None if near(mine, own, model) else f"{name} differ from single rows by {worst:.3g} nats per token"
    share = max(float((a - b).norm() / b.norm()) for a, b in zip(got, expected, strict=True))
    allowed = 0.05 if half_precision(model) else 1e-3
    return None if share <= allowed else f"states of {name} differ from those of single rows by {share:.1%}"


def _numbers(model: nn.Module, row: Rendered, packing: Packing, head: bool) -> list[Tensor]:
    """Return of each branch the log-probabilities of its tokens, or the states that predict them."""
    slots = len(row.branches)
    trees = make_trees([(row, range(slots))], budget=2**30, packing=packing)
    parts: dict[int, Tensor] = {}
    for batch in batched(trees, slots=slots, budget=2**30, packing=packing):
        batch = batch.to(next(model.parameters()).device)
        states = predictor_states(model, batch)
        numbers = token_logps(states, output_head(model), batch.targets) if head else states.float()
        parts |= {slot: numbers[batch.owners == slot] for slot in batch.owners.unique().tolist()}
    return [parts[slot] for slot in range(slots)]


def _own_numbers(model: nn.Module, row: Rendered, index: int, head: bool) -> Tensor:
    """Return what the model itself gives for one branch; states come from one row without padding."""
    branch = row.branches[index]
    if not head:
        return _numbers(model, Rendered(row.prompt_ids, (branch,)), Packing(True, EQUAL_LENGTHS), head)[0]
    logps = own_logits(model, [*row.prompt_ids, *branch.ids])[len(row.prompt_ids) - 1 : -1].log_softmax(-1)
    return logps.gather(1, torch.tensor(branch.ids, device=logps.device)[:, None]).squeeze(1)


def _check_head(model: nn.Module) -> None:
    """Compare our log-probabilities of one plain row with the model's own logits.

    Raises:
        InputError: they differ, or are not finite, or depend on later tokens.
    """
    inner = unwrap(model)
    ids = random_ids(inner.config.get_text_config(), 12)
    expected = check_causal(model, ids)[:-1].log_softmax(-1)
    targets = torch.tensor(ids[1:], device=expected.device)
    expected = expected.gather(1, targets[:, None]).squeeze(1)
    row = Rendered((ids[0],), (Branch(tuple(ids[1:]), ((0, len(ids) - 1),)),))
    try:
        (got,) = _numbers(model, row, Packing(True, EQUAL_LENGTHS), True)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{type(inner).__name__} cannot be scored: {_short(error)}") from error
    if got.shape != expected.shape or not near(got, expected, model):
        raise InputError(
            f"{type(inner).__name__} changes its logits in a way that Penchant does not know "
            f"(off by {float((got - expected).abs().max()):.3g} nats on the probe); please report this model"
        )


def _example(config: Any, reach: int) -> Rendered:
    """Return a prompt with four branches, two of them of one length; the first makes the probe's longest row."""
    path = probe_length(config, reach)
    ids = random_ids(config, path + 14)
    parts = (ids[5:path], ids[path : path + 3], ids[path + 3 : path + 6], ids[-7:] if path > 12 else ids[-2:])
    return Rendered(tuple(ids[:5]), tuple(Branch(tuple(part), ((0, len(part)),)) for part in parts))


def _short(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__
