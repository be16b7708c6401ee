"""The reference of a run: which model, its numbers for the run's data, and the check at step 0."""

from __future__ import annotations

from collections.abc import Sequence

from accelerate import Accelerator
from torch import Tensor

from penchant.data.render import Rendered
from penchant.engine.reference import Reference, ReferenceTable, reference_logps
from penchant.engine.score import Scorer, score_rows
from penchant.engine.tree import unique_tokens
from penchant.errors import InputError, RunError
from penchant.models.builtin import cache_folder
from penchant.models.learner import Learner
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import FrozenModel, ModelConfig
from penchant.train.progress import progress_bar


def load_reference(frozen: FrozenModel, policy: Policy) -> Policy:
    """Another model as the reference, beside the policy on its device.

    Raises:
        InputError: its vocabulary is not the policy's.
    """
    settings = ModelConfig(
        name=frozen.name,
        dtype=frozen.dtype,
        device=str(policy.scorer.device),
        trust_remote_code=frozen.trust_remote_code,
    )
    other = load_policy(settings, max_length=policy.renderer.max_length)
    if other.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise InputError(f"the reference {other.name!r} has another vocabulary than the policy {policy.name!r}")
    return other


def reference_table(scored: Policy, weights: str, accelerator: Accelerator) -> ReferenceTable:
    """The table on disk for these weights in this precision."""
    return ReferenceTable(cache_folder() / "reference", weights, precision_name(scored, accelerator))


def precision_name(scored: Learner, accelerator: Accelerator) -> str:
    """In which precision numbers are computed: of the weights and of the arithmetic."""
    return f"{next(scored.model.parameters()).dtype}-{accelerator.mixed_precision}".removeprefix("torch.")


def reference_numbers(
    scored: Policy, rows: Sequence[Rendered], table: ReferenceTable, accelerator: Accelerator, *, budget: int
) -> list[Tensor]:
    """Reference logps of the rows. The main process computes, the others read what it kept."""
    total = unique_tokens([(row, range(len(row.branches))) for row in rows])
    with (
        accelerator.main_process_first(),
        progress_bar("scoring the reference", total, "tokens", quiet=not accelerator.is_main_process) as advance,
        Reference(scored.scorer, hasattr(scored.model, "disable_adapter")).active() as scorer,
    ):
        return reference_logps(scorer, rows, table, budget=budget, progress=advance)


def check_identity(scorer: Scorer, rendered: Sequence[Rendered], expected: Sequence[Tensor], *, half: bool) -> None:
    """A policy that starts from the reference must score as the table says, or the two are not what they seem.

    One response of each of two short groups tells it: what can be wrong is wrong for all.

    Raises:
        RunError: they differ: dropout that is still on, adapters that do not start at zero, or a wrong table.
    """
    first = range(min(len(rendered), 64))
    short = sorted(first, key=lambda place: rendered[place].lengths[0])[:2]
    got = score_rows(scorer, [(rendered[place], [0]) for place in short])
    for place, mine in zip(short, got, strict=True):
        row, number = rendered[place], expected[place][0]
        slack = 1e-3 + 1e-5 * number.abs()
        if half or next(scorer.parameters()).dtype != number.dtype:  # rounding of half precision, by tokens
            slack = 0.25 + 0.02 * row.branches[0].scored + 0.01 * number.abs()
        if (mine - number).abs() > slack:
            raise RunError(
                f"the policy starts from the reference, but scores {row.source or 'a row'} differently "
                f"({float(mine):.6g} against {float(number):.6g} nats). Delete the reference table in "
                f"{cache_folder() / 'reference'} and try again; if it stays so, please report this model"
            )
