"""TRL's value of each preference loss on random inputs, for `tests/losses/test_beside_trl.py` to compare ours with.

    .venv-trl/bin/python benchmarks/trl_losses.py tests/losses/trl.json

Calls the very `DPOTrainer._compute_loss` and `KTOTrainer._compute_loss`, on a model that returns given
log-probabilities. (`make bench` makes the environment.)
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import trl
from trl import DPOTrainer, KTOTrainer

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

KTO_PLAIN = {"beta": 0.3, "desirable_weight": 1.0, "undesirable_weight": 1.0}
KTO_LOSSES: dict[str, dict[str, Any]] = {
    "kto": {},
    "kto of a batch": {"desirable_weight": 1.3, "undesirable_weight": 0.6, "whole": True},
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
        "kl_logps": -3 * torch.rand(2 * PAIRS, TOKENS) * mask,
        "kl_ref_logps": -3 * torch.rand(2 * PAIRS, TOKENS) * mask,
    }
    values = {}
    for name, settings in LOSSES.items():
        whole = list(range(PAIRS))
        batches = [whole] if settings.get("whole") else [[pair] for pair in whole]
        values[name] = [_loss(settings.get("loss", name), settings, given, mask, pairs) for pairs in batches]
    for name, settings in KTO_LOSSES.items():
        whole = list(range(2 * PAIRS))
        batches = [whole] if settings.get("whole") else [[row] for row in whole]
        values[name] = [_kto_loss(settings, given, mask, rows) for rows in batches]
    content = {
        "trl": trl.__version__,
        "settings": {name: PLAIN | settings for name, settings in LOSSES.items()}
        | {name: KTO_PLAIN | settings for name, settings in KTO_LOSSES.items()},
        "lengths": lengths.tolist(),
        **{name: tensor.tolist() for name, tensor in given.items()},
        "losses": values,
    }
    Path(sys.argv[1]).write_text(json.dumps(content, indent=1) + "\n")


class Model:
    """Returns given log-probabilities: which, the first token of its input says."""

    training = True

    def __init__(self, logps: dict[int, torch.Tensor], log_sum_sq: torch.Tensor) -> None:
        self.logps, self.log_sum_sq = logps, log_sum_sq

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> SimpleNamespace:
        logps = self.logps[int(input_ids[0, 0])]
        zeros = torch.zeros_like(logps)
        return SimpleNamespace(
            log_probs=logps, log_sum_sq_probs=self.log_sum_sq, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool()
        )


ACCELERATOR = SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x)


def _kto_loss(settings: dict[str, Any], given: dict[str, torch.Tensor], mask: torch.Tensor, rows: list[int]) -> float:
    """TRL's mean over some responses (even rows are desirable), with the KL term of their mismatched ones."""
    options = KTO_PLAIN | settings
    picked = {name: tensor[rows] for name, tensor in given.items()}
    prompt = torch.zeros(len(rows), 1, dtype=torch.long)
    attended = torch.cat([prompt + 1, mask[rows].long()], 1)
    trainer = SimpleNamespace(
        model=Model({0: picked["logps"], 1: picked["kl_logps"]}, picked["log_sum_sq"]),
        accelerator=ACCELERATOR,
        aux_loss_enabled=False,
        calculate_KL=True,
        precompute_ref_logps=True,
        loss_type="kto",
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
        **{name: options[name] for name in KTO_PLAIN},
    )
    trainer._compute_kl_logps = partial(KTOTrainer._compute_kl_logps, trainer)
    inputs = {
        "input_ids": torch.zeros_like(attended),
        "KL_input_ids": torch.ones_like(attended),
        "attention_mask": attended,
        "KL_attention_mask": attended,
        "completion_mask": torch.cat([prompt, mask[rows].long()], 1),
        "KL_completion_mask": torch.cat([prompt, mask[rows].long()], 1),
        "label": torch.tensor([row % 2 == 0 for row in rows]),
        "ref_logps": picked["ref_logps"].sum(1),
        "ref_KL_logps": picked["kl_ref_logps"].sum(1),
    }
    return float(KTOTrainer._compute_loss(trainer, trainer.model, inputs, False))


def _loss(
    loss: str, settings: dict[str, Any], given: dict[str, torch.Tensor], mask: torch.Tensor, pairs: list[int]
) -> float:
    """TRL's mean over some pairs; rows are all chosen, then all rejected."""
    options = PLAIN | settings
    rows = torch.tensor([*pairs, *(PAIRS + pair for pair in pairs)])
    logps, ref, log_sum_sq, mask = (t[rows] for t in (given["logps"], given["ref_logps"], given["log_sum_sq"], mask))
    prompt = torch.zeros(len(rows), 1, dtype=torch.long)
    trainer = SimpleNamespace(
        model=Model({0: logps}, log_sum_sq),
        accelerator=ACCELERATOR,
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
