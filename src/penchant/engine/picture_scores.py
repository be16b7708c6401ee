"""Scores of pictures under a diffusion model, in the place that log-probabilities have for text.

The score of a picture is minus half the squared error of the noise that the network names, summed over pixels:

    score = -1/2 |e - e(x_t, t)|^2

With it a loss on beta (score_w - score_l) less the reference's is Diffusion-DPO (Wallace et al. 2023):
-log sigmoid(-beta/2 [(err_w - err_l) - (err_w - err_l)_ref]).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.engine.diffusion import Noise, fixed_noise, noise_errors
from penchant.engine.score import Scorer
from penchant.engine.tree import ROWS, TreeBatch


class PictureScorer(Scorer):
    """Scores rows of a picture model: the number of a condition, then grey levels from 0 to 255."""

    vocabulary_head = False

    def __init__(self, model: nn.Module, side: int) -> None:
        # the probes of the base ask a language model, and there is none
        nn.Module.__init__(self)
        self.model, self.side = model, side
        self.packing, self.plain_reason, self.far_lengths = ROWS, "", ()
        self._far = {}
        # 64 pictures on a CPU, 1,024 on a GPU: more are no faster
        self.usual_budget = (64 if self.device.type == "cpu" else 1024) * (1 + side**2)

    @property
    def plain(self) -> bool:
        """False: pictures have no prompt to share, so nothing is computed twice."""
        return False

    def forward(
        self, batch: TreeBatch, inputs: Float[Tensor, "rows length hidden"] | None = None, first: int = 0
    ) -> Float[Tensor, " slots"]:
        """Return the score of each slot, float32: with the noise of the batch, else the mean over the fixed draws."""
        conditions, levels = batch.input_ids[:, 0], batch.input_ids[:, 1:]
        pictures = (levels.float() / 127.5 - 1).unflatten(1, (self.side, self.side))
        if batch.noise is not None:
            noise = batch.noise.to(levels.device)
            draws = Noise(noise.times[batch.end_owners], noise.values[batch.end_owners])
            errors = noise_errors(self.model, pictures, conditions, draws)
        else:
            errors = self._fixed_errors(pictures, conditions)
        return errors.new_zeros(batch.slots).index_add(0, batch.end_owners, -errors / 2)

    def _fixed_errors(self, pictures: Tensor, conditions: Tensor) -> Tensor:
        """Return the mean error of each picture over the draws that all pictures are scored with."""
        noise = fixed_noise((self.side, self.side)).to(pictures.device)
        rows = len(pictures)
        # a draw at a time: all of them at once would need as many times the memory of a pass
        errors = [
            noise_errors(
                self.model, pictures, conditions, Noise(time.expand(rows), values.expand(rows, self.side, self.side))
            )
            for time, values in zip(noise.times, noise.values, strict=True)
        ]
        return torch.stack(errors).mean(0)
