"""The reference of a run: which model, its numbers for the run's data, and the check at step 0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from penchant.data.rendering.renderer import Rendered
from penchant.data.rendering.vocabulary import check_vocabulary, embedding_rows
from penchant.engine.reference import Reference, ReferenceTable, reference_logps, table_key
from penchant.engine.score import Scorer, score, score_rows
from penchant.engine.tree import unique_tokens
from penchant.errors import InputError, RunError
from penchant.files import cache_folder
from penchant.models.added_tokens import add_missing_tokens
from penchant.models.diffusion.policy import DiffusionPolicy, load_diffusion
from penchant.models.finished import check_finished
from penchant.models.learner import Learner
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import FrozenModel, ModelConfig
from penchant.runs.progress import progress_bar


def load_reference(frozen: FrozenModel, policy: Policy) -> Policy:
    """Load another model as the reference, beside the policy on its device.

    Raises:
        InputError: its vocabulary is not the policy's, or its run did not come to its end.
    """
    check_finished(Path(frozen.name).expanduser(), "the reference")
    settings = ModelConfig(
        name=frozen.name,
        dtype=frozen.dtype,
        device=str(policy.scorer.device),
        trust_remote_code=frozen.trust_remote_code,
    )
    # its own template is never used: the reference scores the tokens that the policy's renderer made
    other = load_policy(settings, max_length=policy.renderer.max_length)
    if (policy.renderer.media and policy.renderer.media.digest) != (
        other.renderer.media and other.renderer.media.digest
    ):
        raise InputError(
            f"the reference {other.name!r} prepares pictures in another way than the policy {policy.name!r} does, or "
            "one of them reads none: take a reference with the same processor"
        )
    add_missing_tokens(other.model, other.tokenizer, policy.tokenizer)
    if other.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise InputError(f"the reference {other.name!r} has another vocabulary than the policy {policy.name!r}")
    # with the same vocabulary it may have fewer rows of embeddings than there are ids
    rows, policy_rows = embedding_rows(other.model), policy.renderer.embeddings
    if rows is not None and policy_rows is not None and rows < min(policy_rows, len(policy.tokenizer)):
        check_vocabulary([rows], rows, other.tokenizer, model=f"the reference {other.name!r}")
    return other


def load_picture_reference(frozen: FrozenModel, policy: DiffusionPolicy) -> DiffusionPolicy:
    """Load another diffusion model as the reference, on the device of the one that trains.

    Raises:
        InputError: it draws pictures of another size or other classes, or its run did not come to its end.
    """
    check_finished(Path(frozen.name).expanduser(), "the reference")
    other = load_diffusion(frozen, device=str(policy.scorer.device))
    sizes = [(model.shape.side, model.shape.conditions) for model in (policy, other)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"the reference {other.name!r} draws other pictures than {policy.name!r}: {sizes[1]}, expected {sizes[0]}"
        )
    return other


def reference_of(other: Learner | None, policy: Learner) -> Reference:
    """Return what fresh samples are compared with: another model, or the policy's own start."""
    return Reference(other.scorer, False) if other is not None else Reference.of_policy(policy.scorer)


def reference_table(scored: Learner, digest: str, accelerator: Accelerator) -> ReferenceTable:
    """Return the table on disk for a model, with this digest, in this precision.

    A sweep of runs with one reference shares it: its key holds all that decides the numbers, and no run's settings.
    """
    key = table_key(scored.model, digest, precision_name(scored, accelerator))
    return ReferenceTable(cache_folder() / "reference", key)


def precision_name(scored: Learner, accelerator: Accelerator) -> str:
    """Name the precision that numbers are computed in: of the weights and of the arithmetic."""
    return f"{next(scored.model.parameters()).dtype}-{accelerator.mixed_precision}".removeprefix("torch.")


def reference_numbers(
    scored: Learner, rows: Sequence[Rendered], table: ReferenceTable, accelerator: Accelerator, *, budget: int
) -> list[Tensor]:
    """Return the reference's logps of the rows. The main process computes; the others read what it kept."""
    total = unique_tokens([(row, range(len(row.branches))) for row in rows])
    # adapters are off: with LoRA the reference is the policy's own base, and needs no second copy of the weights
    with (
        accelerator.main_process_first(),
        progress_bar("scoring the reference", total, "tokens", quiet=not accelerator.is_main_process) as advance,
        Reference(scored.scorer, hasattr(scored.model, "disable_adapter")).active() as scorer,
    ):
        return reference_logps(scorer, rows, table, budget=budget, progress=advance)


def check_identity(
    scorer: Scorer, rendered: Sequence[Rendered], expected: Sequence[Tensor], *, budget: int, half: bool
) -> None:
    """Refuse a policy that starts from the reference and scores rows otherwise than the table says.

    Args:
        rendered: rows of the first batch; every response of each is compared.
        expected: what the table says, a tensor (responses,) per row, in nats.
        budget: tokens of a forward pass, as in training.
        half: the arithmetic is in half precision.

    Raises:
        RunError: they differ: dropout that is still on, adapters that do not start at zero, a wrong table, or scores
            that depend on what lies in the same forward pass.
    """
    # tolerances in nats: float32 rounds with the size of a sum, half precision with each token too
    rough = half or next(scorer.parameters()).dtype != torch.float32
    for row, policy_logps, numbers in zip(rendered, score(scorer, rendered, budget=budget), expected, strict=True):
        slack = 1e-3 + 1e-5 * numbers.abs()
        if rough:  # rounding of half precision, by tokens
            slack = 0.25 + 0.02 * torch.tensor([branch.scored for branch in row.branches]) + 0.01 * numbers.abs()
        wrong = ((policy_logps - numbers).abs() > slack).nonzero().flatten().tolist()
        if wrong:
            # scored once more by itself, which tells a model that mixes rows of a pass from a wrong table
            alone_logp = float(score_rows(scorer, [(row, wrong[:1])])[0])
            raise RunError(
                _difference(row, wrong[0], float(policy_logps[wrong[0]]), float(numbers[wrong[0]]), alone_logp)
            )


def _difference(row: Rendered, response: int, beside_others: float, expected: float, alone_logp: float) -> str:
    """Return what the user reads where a policy does not score as its own reference; numbers are in nats."""
    where = f"{row.source or 'a row'} (response {response})"
    # it scores differently alone than beside others: then the table is not to blame
    if abs(alone_logp - beside_others) > 0.1 * abs(expected - beside_others):
        return (
            f"the score of {where} depends on the rows beside it: {beside_others:.6g} nats in the first batch, "
            f"{alone_logp:.6g} alone, {expected:.6g} in the reference. The model computes rows of one forward pass "
            "differently; please report its type"
        )
    return (
        f"the policy starts from the reference, but scores {where} differently ({beside_others:.6g} against "
        f"{expected:.6g} nats). Delete the reference table in {cache_folder() / 'reference'} and try again; if it "
        "stays so, please report this model"
    )
