"""TRL's value of each pairwise loss on random inputs, for `tests/losses/test_beside_trl.py` to compare ours with.

    .venv-trl/bin/python benchmarks/trl_losses.py tests/losses/trl.json

Calls the very `DPOTrainer._compute_loss`, on a model that returns given log-probabilities. (`make bench` makes the
environment.)
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import trl
from trl import DPOTrainer

PAIRS, TOKENS, SEED = 8, 12, 0
PLAIN = {
    "beta": 0.3,
    "label_smoothing": 0.0,
    "f_divergence_type": "reverse_kl",
    "f_alpha_divergence_coef": 0.5,
    "ld_alpha": None,
    "use_weighting": False,
    "discopop_tau": 0.05,
}
LOSSES: dict[str, dict[str, Any]] = {
    "sigmoid": {},
    "sigmoid with label smoothing (robust)": {"loss": "robust", "label_smoothing": 0.2},
    "hinge": {},
    "ipo": {},
    "exo_pair": {"label_smoothing": 0.01},
    "nca_pair": {},
    "sppo_hard": {},
    "bco_pair": {},
    "apo_zero": {},
    "apo_down": {},
    "discopop": {},
    "sigmoid_norm": {},
    "forward_kl": {"loss": "sigmoid", "f_divergence_type": "forward_kl"},
    "js_divergence": {"loss": "sigmoid", "f_divergence_type": "js_divergence"},
    "alpha_divergence": {"loss": "sigmoid", "f_divergence_type": "alpha_divergence"},
    "ld": {"loss": "sigmoid", "ld_alpha": 0.4},
    "wpo": {"loss": "sigmoid", "use_weighting": True},
    "aot": {"label_smoothing": 0.1, "whole": True},
    "aot_unpaired": {"label_smoothing": 0.1, "whole": True},
}


def main() -> None:
    """Write inputs and values."""
    torch.manual_seed(SEED)
    lengths = torch.randint(2, TOKENS + 1, (2 * PAIRS,))
    mask = torch.arange(TOKENS) < lengths[:, None]
    given = {
        "logps": -3 * torch.rand(2 * PAIRS, TOKENS) * mask,
        "ref_logps": -3 * torch.rand(2 * PAIRS, TOKENS) * mask,
        "log_sum_sq": -2 * torch.rand(2 * PAIRS, TOKENS),
    }
    values = {}
    for name, settings in LOSSES.items():
        whole = list(range(PAIRS))
        batches = [whole] if settings.get("whole") else [[pair] for pair in whole]
        values[name] = [_loss(settings.get("loss", name), settings, given, mask, pairs) for pairs in batches]
    content = {
        "trl": trl.__version__,
        "settings": {name: PLAIN | settings for name, settings in LOSSES.items()},
        "lengths": lengths.tolist(),
        **{name: tensor.tolist() for name, tensor in given.items()},
        "losses": values,
    }
    Path(sys.argv[1]).write_text(json.dumps(content, indent=1) + "\n")


def _loss(
    loss: str, settings: dict[str, Any], given: dict[str, torch.Tensor], mask: torch.Tensor, pairs: list[int]
) -> float:
    """TRL's mean over some pairs; rows are all chosen, then all rejected."""
    options = PLAIN | settings
    rows = torch.tensor([*pairs, *(PAIRS + pair for pair in pairs)])
    logps, ref, log_sum_sq, mask = (t[rows] for t in (given["logps"], given["ref_logps"], given["log_sum_sq"], mask))
    prompt = torch.zeros(len(rows), 1, dtype=torch.long)

    class Model:
        training = True

        def __call__(self, **_: Any) -> SimpleNamespace:
            zeros = torch.zeros_like(logps)
            return SimpleNamespace(
                log_probs=logps, log_sum_sq_probs=log_sum_sq, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool()
            )

    trainer = SimpleNamespace(
        model=Model(),
        accelerator=SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x),
        aux_loss_enabled=False,
        precompute_ref_logps=True,
        loss_types=[loss],
        loss_weights=[1.0],
        args=SimpleNamespace(discopop_tau=options["discopop_tau"]),
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
        **{name: options[name] for name in PLAIN if name != "discopop_tau"},
    )
    sums = ref.sum(1)
    if options["ld_alpha"] is not None:  # as its `compute_ref_log_probs` does
        lengths = mask.sum(1)
        shared = torch.minimum(*lengths.chunk(2)).repeat(2)
        sums = (ref * torch.where(torch.arange(ref.shape[1]) < shared[:, None], 1.0, options["ld_alpha"])).sum(1)
    inputs = {
        "input_ids": torch.zeros(len(rows), TOKENS + 1, dtype=torch.long),
        "attention_mask": torch.cat([prompt + 1, mask.long()], 1),
        "completion_mask": torch.cat([prompt, mask.long()], 1),
        "ref_chosen_logps": sums[: len(pairs)],
        "ref_rejected_logps": sums[len(pairs) :],
    }
    return float(DPOTrainer._compute_loss(trainer, trainer.model, inputs, False))


if __name__ == "__main__":
    main()
