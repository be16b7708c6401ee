"""The noise of a step: drawn anew for each, the same for both pictures of a pair, and the reference's scores under it.

Fixed draws would be learned by heart: a model can name these and no others. So training draws noise and times in every
step, and the numbers of the table, which are of fixed draws, serve evaluation alone (decision 0049).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from penchant.engine.attention import evaluating
from penchant.engine.diffusion import fresh_noise
from penchant.engine.reference import Reference
from penchant.losses.contract import Needs
from penchant.models.diffusion.policy import DiffusionPolicy
from penchant.train.batch import MicroBatch


@dataclass(frozen=True)
class FreshNoise:
    """Draws the noise of micro-batches.

    Attributes:
        reference: the weights that the policy is held to; None where the loss compares with none.
        seed: of the run.
        size: height and width of its pictures.
    """

    reference: Reference | None
    seed: int
    size: tuple[int, int]

    @classmethod
    def for_run(cls, policy: DiffusionPolicy, other: DiffusionPolicy | None, needs: Needs, *, seed: int) -> FreshNoise:
        """Return what draws for a run; to be called while the policy's weights are those of the start.

        Args:
            other: the reference where it is another model than the policy's start.
        """
        scorer = other.scorer if other is not None else policy.scorer
        # a copy, which never trains: each step has other noise, so a table cannot hold its numbers
        reference = Reference.of_policy(scorer) if needs.reference else None
        return cls(reference, seed, (policy.shape.side, policy.shape.side))

    def draw(self, batch: MicroBatch, step: int) -> MicroBatch:
        """Return the micro-batch with the noise of a step, and with the reference's scores under that noise.

        A draw is fixed by the run's seed, the step and the rows that are compared, so it does not depend on how a step
        is cut, and a resumed run has the same.
        """
        noise = fresh_noise([f"{self.seed} {step} {key}" for key in noise_keys(batch)], self.size)
        batch = replace(batch, batches=tuple(replace(part, noise=noise) for part in batch.batches))
        if self.reference is None:
            return batch
        with self.reference.active() as scorer, evaluating(scorer.model):
            scores = torch.stack([scorer(part.to(scorer.device)) for part in batch.batches]).sum(0)
        return replace(batch, reference=scores.float())


def noise_keys(batch: MicroBatch) -> list[str]:
    """Return a key per slot: one for all responses that comparisons of the micro-batch join, with any in between."""
    joined = list(range(len(batch.origins)))
    changed = True
    # a response may stand in several pairs, and then all of these have one draw
    while changed:
        changed = False
        for winner, loser in batch.pairs.tolist():
            smaller = min(joined[winner], joined[loser])
            changed |= joined[winner] != smaller or joined[loser] != smaller
            joined[winner] = joined[loser] = smaller
    return ["{} {}".format(*batch.origins[first]) for first in joined]
