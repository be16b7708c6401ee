"""Students that learn in rounds: SPIN and iterative DPO, as `penchant train` has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.methods import train
from penchant.rewards import load_reward
from penchant.rewards.columns import reads_columns
from penchant.rounds.iterative import Iterative
from penchant.rounds.spin import SPIN
from penchant.studies.weak_to_strong_generation.answers import Scorer
from penchant.studies.weak_to_strong_generation.names import ROUNDS
from penchant.studies.weak_to_strong_generation.rows import run_values
from penchant.studies.weak_to_strong_generation.selection import LabelledRow
from penchant.studies.weak_to_strong_generation.stage_settings import GenerationStudentSettings
from penchant.types import PromptGroup


def train_by_self_play(settings: GenerationStudentSettings, model: str, data: Path, out: Path, *, steps: int) -> str:
    """Train a model further by SPIN: the supervisor's answers against those that the student itself gives.

    Returns:
        Where the trained model lies.
    """
    values = _stage_values(settings, steps)
    # set by iteration, and not in the settings of its runs
    epochs = values.pop("epochs")
    optimizer = values.pop("optimizer")
    assert isinstance(optimizer, dict)
    config = SPIN.model_validate(
        {
            "model": {"name": model},
            "data": {"path": str(data), "held_out": 0, "template": settings.template or "plain"},
            "out": str(out),
            "rounds": ROUNDS,
            "beta": settings.learning.beta,
            "learning_rate": optimizer["learning_rate"],
            "optimizer": optimizer["name"],
            "epochs": epochs,
            "max_new_tokens": settings.max_new_tokens,
            # equal steps for all methods: none ends early
            "stop_margin": None,
            "stop_likelihood": False,
            "seed": settings.seed,
            "dpo": values,
        }
    )
    train(config)
    return config.policy_before(ROUNDS).name


def train_in_rounds(
    settings: GenerationStudentSettings,
    model: str,
    rows: Sequence[LabelledRow],
    out: Path,
    scorer: Scorer,
    *,
    steps: int,
) -> tuple[str, dict[str, float]]:
    """Train a model further by iterative DPO, towards samples that agree with the supervisor's answers.

    Returns:
        Where the trained model lies, how many `pairs` it learned from, and how many rows its rounds left out
        (`left_out`): those whose answer has nothing to compare with.

    Raises:
        InputError: a scorer that compares with no answer: it would be the truth, which no student sees. Or none of the
            supervisor's answers has what it compares with.
    """
    if not reads_columns(load_reward(scorer.name)):
        raise InputError(
            f"iterative_dpo scores samples by the supervisor's answers, and the scorer `{scorer.name}` reads no "
            "`answer`: it would score by the truth. Leave the method out"
        )
    prompts = out.with_name("prompts.jsonl")
    # the supervisor's answer stands where the true one stands for the tests
    groups = [
        PromptGroup(row.prompt, columns={"answer": row.label.text}) for row in rows if scorer.holds_answer(row.label)
    ]
    if not groups:
        raise InputError(f"the scorer `{scorer.name}` finds nothing to compare with in any of {len(rows)} answers")
    write_groups(groups, prompts)
    values = _stage_values(settings, steps)
    config = Iterative.model_validate(
        {
            "model": {"name": model},
            "data": {"path": str(prompts), "held_out": 0, "template": settings.template or "plain"},
            "out": str(out),
            "rounds": ROUNDS,
            "reward": scorer.name,
            "samples_per_prompt": settings.draws,
            "max_new_tokens": settings.max_new_tokens,
            "seed": settings.seed,
            "dpo": {**values, "loss": {"name": "sigmoid", "beta": settings.learning.beta}},
        }
    )
    rounds = train(config).metrics["rounds"]
    pairs = sum(float(row.get("pairs_learned") or 0) for row in rounds)
    return config.policy_before(ROUNDS).name, {"pairs": pairs, "left_out": float(len(rows) - len(groups))}


def _stage_values(settings: GenerationStudentSettings, steps: int) -> dict[str, object]:
    """Return the settings of the run of each round."""
    # of how many pairs, nobody knows yet: passes over one row are enough for any number, and the steps end them
    values = run_values(
        settings.learning, rate=settings.learning_rate, steps=max(1, steps // ROUNDS), rows=1, seed=settings.seed
    )
    del values["seed"]
    return values
