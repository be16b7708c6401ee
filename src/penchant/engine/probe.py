"""What numeric probes share: their rows, the model's own numbers, and when two tables of numbers are equal.

What is right is what the model itself gives for one row alone, without a cache and without padding. A probe
(`engine/score_probe.py`, `engine/decode_probe.py`) runs a few rows the fast way and compares. Where they differ a
slower way is tried, and where every way differs the model is refused by its name.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from penchant.engine.attention import last_logits_option, unwrap
from penchant.engine.foreign_types import PreTrainedConfig
from penchant.engine.lengths import context_length, named_lengths
from penchant.errors import InputError

PROBE_TOLERANCE = 1e-2  # nats on one token, in float32; a wrong mask is off by whole nats
SHARE_OF_SPREAD = 5e-3  # of the standard deviation of log-probabilities; float32 rounding is below a tenth of that
HALF_TOLERANCE = 0.5  # nats on one token, in half precision
HALF_WORST = 0.25  # the same as a share of the spread: 0.04 where a model is right, 0.38 and more where it is wrong
HALF_MEAN = 0.025  # the mean over the tokens as a share of the spread: 0.013 where right, 0.036 and more where wrong
HALF_STATES = 0.04  # of the norm of final states: 0.02 where right, 0.06 and more where wrong
STATES = 1e-3  # the same in float32
LONG_ROW = 64  # tokens
LONGEST_PROBE = 1024  # tokens; a length beyond that is probed when a row is longer (`far_lengths`)
MARGIN = 16  # tokens that the rows of such a probe have on either side of it
ROW_OPERATIONS = 3 * 10**11  # of one row on a CPU, some seconds: 1,024 tokens of a model with 146M weights


def probe_reach(model: nn.Module) -> int:
    """Return how long a probe's rows may be, in tokens: less for a large model on a CPU."""
    if next(model.parameters()).device.type != "cpu":
        return LONGEST_PROBE
    operations = 2 * sum(weight.numel() for weight in model.parameters())
    return max(LONG_ROW, min(LONGEST_PROBE, ROW_OPERATIONS // max(1, operations)))


def far_lengths(model: nn.Module) -> tuple[int, ...]:
    """Return the lengths that the configuration names and that the first probes of this model do not reach.

    They are probed once a row is longer than one of them.
    """
    reach = probe_reach(model)
    return tuple(length for length in named_lengths(unwrap(model).config.get_text_config()) if length > reach)


def probe_length(config: PreTrainedConfig, reach: int) -> int:
    """Return how long a probe's longest row has to be: beyond every length that the configuration names.

    A length above `reach` is left out, and so is one that fills the context.
    """
    reachable = [length for length in named_lengths(config) if length <= reach]
    path = max(24, *(length + 8 for length in reachable)) if reachable else 24
    return max(8, min(path, context_length(config) or path))


def long_row(config: PreTrainedConfig, reach: int) -> int:
    """Return the length of a row that shows what short ones do not, such as attention between random chunks."""
    return max(probe_length(config, reach), min(LONG_ROW, context_length(config) or LONG_ROW))


def random_ids(config: PreTrainedConfig, count: int) -> list[int]:
    """Return fixed random token ids of the vocabulary, without padding, which some models skip."""
    generator = torch.Generator().manual_seed(0)
    # twice as many as are needed, since some may be padding
    ids = torch.randint(0, config.vocab_size, (2 * count + 8,), generator=generator)
    return [int(i) for i in ids if int(i) != getattr(config, "pad_token_id", None)][:count]


def own_logits(model: nn.Module, ids: Sequence[int], last: int | None = None) -> Tensor:
    """Return the model's own logits of one row, (tokens, vocabulary), float32. Nothing else makes full logits.

    Args:
        last: of how many tokens at the end; None for all. Bounds the memory of a long row.

    Raises:
        InputError: it gives something else, or nothing.
    """
    inner = unwrap(model)
    row = torch.tensor([ids], device=next(model.parameters()).device)
    try:
        logits = inner(input_ids=row, use_cache=False, **(last_logits_option(inner, last) if last else {})).logits
    except Exception as error:  # each class has its own ways
        raise InputError(f"{type(inner).__name__} cannot be run on token ids alone: {short_text(error)}") from error
    if logits.ndim == 3 and last is not None:  # a network without that option gave the logits of all tokens
        logits = logits[:, -last:]
    if logits.ndim != 3 or logits.shape[:2] != (1, min(last or len(ids), len(ids))):
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
    # the largest of a row is finite unless something is wrong; masked tokens are minus infinity, and right
    if not torch.isfinite(logits.log_softmax(-1).amax(-1)).all():
        raise InputError(
            "the model's log-probabilities are not finite: its weights are damaged, or too large for their dtype"
        )
    # the same row twice: some kinds of attention (Reformer's hashing) draw at random even in evaluation
    if not close(own_logits(model, ids), logits, model):
        raise InputError(
            f"{type(unwrap(model)).__name__} gives other numbers at every pass over the same row: it draws at random. "
            "Take a model that does not, or switch that off in its config.json"
        )
    cut = len(ids) // 2
    vocabulary = unwrap(model).config.get_text_config().vocab_size
    # every token of the second half becomes another one, which must not be seen from the first half
    changed = own_logits(model, [*ids[:cut], *((i + 1) % vocabulary for i in ids[cut:])])
    if not close(changed[:cut], logits[:cut], model):
        raise not_causal(model)
    return logits


def not_causal(model: nn.Module) -> InputError:
    """Return the error that refuses a model that sees the future, with its remedy."""
    return InputError(
        f"{type(unwrap(model)).__name__} is not a causal language model: what it predicts depends on the tokens that "
        "follow. Take a decoder; where its type has both senses, its config.json has to say `is_decoder: true` "
        "(XLM: `causal: true`), and its weights have to be trained so"
    )


def close(logits: Tensor, expected: Tensor, model: nn.Module) -> bool:
    """Return whether two tables of logits give the same distributions, rounding aside."""
    got, want = logits.float().log_softmax(-1), expected.float().log_softmax(-1)
    # some models mask tokens that they never predict: there both have to be minus infinity
    finite = torch.isfinite(want)
    if not torch.equal(finite, torch.isfinite(got)):
        return False
    return logps_close(got[finite], want[finite], model)


def logps_close(logps: Tensor, expected: Tensor, model: nn.Module) -> bool:
    """Return whether log-probabilities are equal up to rounding.

    What rounding may do is measured by how far the expected ones lie apart: an untrained model's lie close together,
    and so would those of a wrong mask.
    """
    difference, spread = (logps - expected).abs(), float(expected.std())
    if half_precision(model):
        allowed = min(HALF_TOLERANCE, HALF_WORST * spread)
        return float(difference.max()) <= allowed and float(difference.mean()) <= HALF_MEAN * spread
    return float(difference.max()) <= min(PROBE_TOLERANCE, SHARE_OF_SPREAD * spread)


def half_precision(model: nn.Module) -> bool:
    """Return whether some of the weights are in half precision."""
    return any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters())


def short_text(error: Exception) -> str:
    """Return the class and the first line of an error."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__
