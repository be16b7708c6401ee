"""Self-play fine-tuning (SPIN): a model against its earlier self (Chen et al. 2024, arXiv:2401.01335).

In an iteration the model as it is now answers the prompts of demonstrations. It then learns to tell the real answers
from those: the loss is -log sigmoid(beta [log p/p_t (real) - log p/p_t (generated)]), where p_t is the model that
generated. Trained to its optimum, an iteration gives p proportional to p_t (p_data / p_t)^(1 / beta): it ends where the
model writes as the demonstrations do, and with a beta below 1/2 it would jump beyond (decision 0038).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from penchant.config.limits import Draws, Epochs
from penchant.data.settings import DataConfig, MixtureSource, RowsConfig, refuse_mixture
from penchant.judges.settings import JudgeSpec
from penchant.losses.settings import Sigmoid
from penchant.methods.dpo import DPO
from penchant.rounds.settings import DPO_NAMES, RoundsConfig, StageSettings, check_stages
from penchant.session.objects import CodeName
from penchant.types import RunResult

if TYPE_CHECKING:
    from penchant.rounds.pipeline import Round, RoundEnd

_SET_BY_PIPELINE = ("model", "data", "out", "seed", "reference", "loss", "epochs")
PAPER: Mapping[str, object] = {
    "rounds": 4,
    "beta": (0.1, 0.1, 0.1, 5.0),
    "learning_rate": (5e-7, 5e-7, 1e-7, 1e-7),
    "epochs": (3,),
    "optimizer": ("rmsprop",),
    "max_new_tokens": 256,
    "dpo": {"batch_size": 64, "schedule": {"name": "linear", "warmup_steps": 0.1}},
}
"""The settings of the paper and its code, by iteration."""


Setting = TypeVar("Setting")


def _as_list(setting: object) -> object:
    """Return a single setting as a list of it."""
    return setting if isinstance(setting, list | tuple) else [setting]


Beta = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SPIN(RoundsConfig):
    """Learn from demonstrations by self-play: real answers against those that the model itself gives now.

    With one iteration it is DPO on these pairs.
    """

    method: ClassVar[str] = "spin"
    other_names: ClassVar[dict[str, str]] = {name: path for name, path in DPO_NAMES.items() if name != "loss"}

    data: RowsConfig
    """Demonstrations: prompts with real answers, as for `sft`. A path or hub id, or its settings."""
    preset: Literal["paper"] | None = None
    """`paper`: the settings of the paper by iteration (four, beta 0.1 and in the last one 5), for what is not set."""
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 3
    """Iterations, at most: see `stop_margin` and `stop_likelihood`."""
    beta: Annotated[tuple[Beta, ...], Field(min_length=1), BeforeValidator(_as_list)] = (0.1,)
    """By iteration, how strongly the model is held to the one that generated; the last number counts for the rest."""
    learning_rate: Annotated[tuple[Rate, ...], Field(min_length=1), BeforeValidator(_as_list)] = (1e-6,)
    """By iteration, the peak learning rate."""
    epochs: Annotated[tuple[Epochs, ...], Field(min_length=1), BeforeValidator(_as_list)] = (1,)
    """By iteration, how often to go over the pairs."""
    optimizer: Annotated[tuple[Literal["rmsprop", "adamw"], ...], Field(min_length=1), BeforeValidator(_as_list)] = (
        "rmsprop",
    )
    """By iteration, the optimizer."""
    samples_per_prompt: Draws = 1
    """Answers of the model to a prompt in an iteration, each against the real ones."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Divides the logits when answers are drawn. Anything but 1 generates from another model than the one that the loss
    compares with."""
    earlier_rounds: Annotated[int, Field(ge=0, le=1_000)] = 1
    """Learn from the pairs of so many earlier iterations as well."""
    reward: CodeName | None = None
    """What answers to held-out prompts are measured by: `vader`, `module:function`, a reward model's folder, a URL."""
    judge: JudgeSpec | None = None
    """Who compares the answers to held-out prompts with the real ones: a judge of `penchant judge`."""
    orders: Literal["both", "one"] = "both"
    """With `judge`: each pair is judged in both orders, and a verdict that flips is a tie; `one` halves the calls."""
    stop_margin: Annotated[float, Field(ge=0, lt=0.5)] | None = 0.03
    """Stop where real and generated answers cannot be told apart: the interval of the accuracy on held-out pairs lies
    within 0.5 and this. null never stops by it."""
    stop_likelihood: bool = True
    """Stop where an iteration no longer makes the held-out real answers likelier; the model before it is the result."""
    dpo: StageSettings = Field(default_factory=dict)
    """Further settings of the `dpo` runs, such as `{batch_size: 16, schedule: {name: linear}}`."""

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, settings: object) -> object:
        if not isinstance(settings, Mapping) or settings.get("preset") != "paper":
            return settings
        stage = settings.get("dpo", {})
        # one level down, so that `dpo={evaluate: ...}` leaves the paper's schedule in place
        merged_stage = {**PAPER["dpo"], **stage} if isinstance(stage, Mapping) else stage  # type: ignore[dict-item]
        return {**PAPER, **settings, "dpo": merged_stage}

    @model_validator(mode="after")
    def _stages(self) -> Self:
        refuse_mixture(self.data, "rounds")
        optimizer = self.dpo.get("optimizer", {})
        if isinstance(optimizer, Mapping) and (clash := {"name", "learning_rate"} & set(optimizer)):
            raise ValueError(
                f"`dpo.optimizer.{max(clash)}` is set by iteration: use "
                f"`{'optimizer' if 'name' in clash else 'learning_rate'}`"
            )
        for name in ("beta", "learning_rate", "epochs", "optimizer"):
            if len(getattr(self, name)) > self.rounds:
                raise ValueError(f"`{name}` has {len(getattr(self, name))} entries for {self.rounds} rounds")
        check_stages(
            {"dpo": self.dpo}, {"dpo": _SET_BY_PIPELINE}, [partial(self.stage, number) for number in range(self.rounds)]
        )
        return self

    def stage(self, number: int) -> DPO:
        """Train an iteration's model: from the one that generated, which is the reference too."""
        folder = self.folder(number)
        # what is set by iteration comes last; the rest of an optimizer's settings are the same in all
        optimizer = {
            **self.dpo.get("optimizer", {}),
            "name": _setting_of(self.optimizer, number),
            "learning_rate": _setting_of(self.learning_rate, number),
        }
        # samples are drawn once between two iterations, for all that is measured on them (`rounds/measure.py`)
        evaluate = {"samples": None, **self.dpo.get("evaluate", {})}
        return DPO(
            **{**self.dpo, "optimizer": optimizer, "evaluate": evaluate},
            model=self.policy_before(number),
            loss=Sigmoid(beta=_setting_of(self.beta, number)),
            epochs=_setting_of(self.epochs, number),
            data=self._pairs(number),
            out=str(folder / "policy"),
            seed=self.seed + number,
        )

    def _pairs(self, number: int) -> DataConfig:
        """Return the pairs of an iteration as data; those of held-out prompts are evaluated and never trained on."""
        settings: dict[str, Any] = {
            **self.stage_rendering(),
            "held_out": 0,
            "max_length": self.data.max_length,
            "overflow": self.data.overflow,
            # an answer that two demonstrations of a prompt give is no contradiction of the model's
            "contradictions": "warn",
        }
        trained, held_out = (str(self.folder(number) / f"{name}.jsonl") for name in ("pairs", "held-out-pairs"))
        # without held-out rows there is one source, and one source needs no mixture
        if not self.data.held_out:
            return DataConfig(path=trained, **settings)
        sources = (MixtureSource(path=trained), MixtureSource(path=held_out, evaluation=True))
        return DataConfig(sources=sources, **settings)


def _setting_of(settings: Sequence[Setting], number: int) -> Setting:
    """Return the setting of an iteration; the last one counts for all that follow."""
    return settings[min(number, len(settings) - 1)]


def run(config: SPIN, *, resume: bool = False) -> RunResult:
    """Run all iterations, or until one of the stop rules; what is there already is not done again.

    Returns:
        The result of the last iteration's model, or of the one before it where `stop_likelihood` stopped the iterations
        (`best_round`, `policy_path`); its metrics have `rounds`: of each iteration the pairs, the accuracy
        on held-out pairs, the likelihood of held-out real answers, the KL from the start and from the model before, and
        reward or win rate where there is a reward or judge; and `stop_reason`, where a rule ended it.

    Raises:
        InputError: bad demonstrations, model, reward, judge or settings; a folder in which others were used, or that
            another process works in.
        RunError: a stage had to stop; what was done before it stays.
    """
    from penchant.data.load import load_demonstrations
    from penchant.data.options import ReadKeywords
    from penchant.errors import InputError
    from penchant.rounds.pipeline import run_rounds
    from penchant.rounds.self_play import play_iteration, without_too_long
    from penchant.rounds.sides import digest_inputs, split_sides
    from penchant.rounds.supervisor import Supervisor

    supervisor = Supervisor(config.reward, config.judge, config.model.device, config.path, config.orders)
    # rewards may read columns of the rows, and which of them is known only once they are loaded
    reading: ReadKeywords = {**config.data.reading, "keep_columns": True}
    rows = load_demonstrations(config.data.path, **reading)
    if text_row := next((row for row in rows if not row.prompt), None):
        raise InputError(
            f"{text_row.source or config.data.path}: a text without a prompt leaves the model nothing to answer; "
            "give rows with `prompt` and `completion` (text alone is for `penchant train sft`)"
        )
    fitting = without_too_long(config, rows)
    sides = split_sides(config, fitting, load_demonstrations)
    inputs = digest_inputs(config, sides) | supervisor.check_rows(fitting)

    def play(current_round: Round) -> RoundEnd:
        if current_round.number == 0 and len(fitting) < len(rows):
            current_round.warn(f"{len(rows) - len(fitting)} of {len(rows)} prompts are too long, and were dropped")
        return play_iteration(config, current_round, supervisor)

    return run_rounds(config, sides, inputs, play, resume=resume)
