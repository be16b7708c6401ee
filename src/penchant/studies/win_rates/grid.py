"""Lay out the stages of a study of win rates, in order. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from penchant.studies.core.address import data_content, model_content
from penchant.studies.core.judge_content import judge_content
from penchant.studies.core.methods import BEST_OF_N, Runs, runs_of
from penchant.studies.core.prompts import locate_prompts
from penchant.studies.core.stage import Stage, StageFactory, absolute, learning_settings, plain, policy_settings
from penchant.studies.core.stage_settings import (
    DrawSettings,
    MeasuredSettings,
    PreferredResponses,
    RewardModelSettings,
    SFTSettings,
    StageSettings,
)
from penchant.studies.win_rates.settings import Rows, TrainedJudge, WinRatesConfig
from penchant.studies.win_rates.stage_settings import CutSettings, FewShotSettings, RowSettings, VerdictSettings
from penchant.typed_json import from_json

REFERENCE = "reference"
FEW_SHOT = "few_shot"


@dataclass(frozen=True)
class Contender:
    """A method, or the reference, whose responses are judged.

    Attributes:
        name: `reference`, `few_shot`, `best_of_n` or a method. value, rate, seed: its place in the grid.
        verdicts: the stage with the verdicts, by domain. answers: that with the responses.
    """

    name: str
    value: float | None
    rate: float | None
    seed: int | None
    answers: Mapping[str, Stage]
    verdicts: Mapping[str, Stage]


@dataclass(frozen=True)
class WinRateGrid:
    """All stages of a study of win rates.

    Attributes:
        preferences: the comparisons to train on.
        opponents: the prompts to measure on with the response of the data, by domain.
        judge_data, judge: the comparisons of the judge, and its training, where it is trained here.
    """

    preferences: Stage
    judge_data: Stage | None
    judge: Stage | None
    opponents: Mapping[str, Stage]
    learned: Runs
    sft: Stage | None
    contenders: tuple[Contender, ...]

    @property
    def required(self) -> tuple[Stage, ...]:
        """The stages without which there is nothing to report."""
        return (next(iter(self.contenders[0].verdicts.values())),)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after what it needs."""
        first = [self.preferences, self.judge_data, self.judge, *self.opponents.values(), self.sft]
        cells = [
            stage
            for contender in self.contenders
            for domain in contender.verdicts
            for stage in (contender.answers[domain], contender.verdicts[domain])
        ]
        ordered = [*(stage for stage in first if stage), *self.learned.stages(), *cells]
        return list({stage.address: stage for stage in ordered}.values())


def win_rate_grid(config: WinRatesConfig) -> WinRateGrid:
    """Return the stages that a configuration asks for.

    Raises:
        InputError: a file, reward or template that is not there.
    """
    builder = _GridBuilder(config)
    factory = builder.factory
    # First of all, since `required` asks the first contender for its verdicts.
    contenders = [builder.contender(REFERENCE, None, None, None, {})]
    if config.few_shot is not None:
        contenders.append(builder.few_shot_contender(config.few_shot))
    # The same comparisons for every seed: they come from a file, and none are sampled.
    runs = runs_of(config, factory, lambda _: builder.preferences, ranker=config.best_of_n is not None)
    contenders += [builder.contender(run.kind, run.value, run.rate, run.seed, {"run": run}) for run in runs.runs]
    if config.best_of_n is not None:
        contenders += [
            builder.contender(BEST_OF_N, float(n), None, seed, {"ranker": ranker}, best_of=n)
            for n in dict.fromkeys(config.best_of_n.n)
            for seed, ranker in runs.reward_models.items()
        ]
    sft = factory.start.get("start")
    return WinRateGrid(
        builder.preferences, builder.judge_data, builder.judge, builder.opponents, runs, sft, tuple(contenders)
    )


class _GridBuilder:
    """A builder of the stages of one configuration."""

    def __init__(self, config: WinRatesConfig) -> None:
        self.config = config
        self.policy, self.learning = policy_settings(config), learning_settings(config)
        self.inputs = {"model": absolute(config.model.name)}
        self.preferences = self._rows("preferences", "preferences", config.preferences, {})
        self.judge_data, self.judge = self._trained_judge()
        # In order of precedence: whoever comes later leaves out the prompts that these have.
        trained_on = {"preferences": self.preferences} | ({"judged_by": self.judge_data} if self.judge_data else {})
        self.opponents = {
            name: self._rows("opponents", f"opponents-{number}", rows, trained_on)
            for number, (name, rows) in enumerate(({config.own: config.measured} | dict(config.domains)).items())
        }
        self.factory = self._factory()

    def contender(
        self,
        name: str,
        value: float | None,
        rate: float | None,
        seed: int | None,
        needs: Mapping[str, Stage],
        best_of: int | None = None,
    ) -> Contender:
        """Return the stages that draw a method's responses, and those that judge them."""
        config, run = self.config, needs.get("run")
        label = (
            run.label
            if run
            else "-".join([name.replace("_", "-"), *(f"{part:g}" for part in (value, seed) if part is not None)])
        )
        settings = MeasuredSettings(
            policy=self.policy,
            draws=self.factory.draws,
            samples=config.samples,
            seed=config.sampling_seed,
            temperatures=tuple(dict.fromkeys(config.temperatures)),
            best_of=best_of,
        )
        return self._judged(name, value, rate, seed, "transfer", label, settings, {**self.factory.start, **needs})

    def few_shot_contender(self, examples: int) -> Contender:
        """Return the stages that draw the untrained model's responses with examples before each prompt."""
        config = self.config
        settings = FewShotSettings(
            policy=self.policy,
            draws=self.factory.draws,
            samples=config.samples,
            seed=config.sampling_seed,
            temperatures=tuple(dict.fromkeys(config.temperatures)),
            examples=examples,
        )
        # Without the stage of fine-tuning: the model as it was before.
        needs = {"preferences": self.preferences}
        return self._judged(FEW_SHOT, float(examples), None, None, "few_shot", f"few-shot-{examples}", settings, needs)

    def _judged(
        self,
        name: str,
        value: float | None,
        rate: float | None,
        seed: int | None,
        kind: str,
        label: str,
        settings: StageSettings,
        needs: Mapping[str, Stage],
    ) -> Contender:
        """Return a contender whose responses come from stages of a kind, one for each domain."""
        answers, verdicts = {}, {}
        # By number and not by name: a domain may be called anything, and folders cannot.
        for number, (domain, opponents) in enumerate(self.opponents.items()):
            answers[domain] = self.factory.stage(
                kind, f"{label}-on-{number}", settings, {"domain": opponents, **needs}, seed=seed
            )
            verdict_needs = {"answers": answers[domain], "domain": opponents} | (
                {"judge": self.judge} if self.judge else {}
            )
            verdicts[domain] = self.factory.stage(
                "verdicts", f"{label}-on-{number}-judged", self._judging(), verdict_needs, seed=seed
            )
        return Contender(name, value, rate, seed, answers, verdicts)

    def _factory(self) -> StageFactory:
        config = self.config
        start: dict[str, Stage] = {}
        if config.sft is not None:
            settings = SFTSettings(
                model=self.policy.model,
                learning=self.learning,
                data=PreferredResponses(self.policy.template, template_args=self.policy.template_args),
                learning_rate=config.sft.learning_rate,
                epochs=config.sft.epochs,
                max_steps=config.sft.max_steps,
                batch_size=config.sft.batch_size,
            )
            start = {"start": Stage("sft", "sft", settings, self.inputs, {"preferences": self.preferences})}
        # No true reward: a judge decides.
        draws = DrawSettings(None, config.max_new_tokens)
        # As an input: names and addresses of the judge are no part of what its verdicts depend on.
        inputs = {**self.inputs, "judge": json.dumps(plain(config.judge))}
        return StageFactory(inputs, self.policy, draws, self.learning, start, self.preferences)

    def _rows(self, kind: str, label: str, rows: Rows, needs: Mapping[str, Stage]) -> Stage:
        path = locate_prompts(rows.path)
        settings = CutSettings(
            rows=from_json(RowSettings, {**plain(rows), "path": data_content(path)}),
            # Its tokenizer does the cutting, so another model gets other rows.
            model=model_content(self.config.model.name),
            template=self.policy.template,
            template_args=self.policy.template_args,
            prompt_tokens=self.config.prompt_tokens,
            response_tokens=self.config.response_tokens,
        )
        return Stage(kind, label, settings, {**self.inputs, "rows": path}, needs)

    def _trained_judge(self) -> tuple[Stage | None, Stage | None]:
        judge = self.config.judge
        if not isinstance(judge, TrainedJudge):
            return None, None
        # After the methods' own, whose prompts it leaves out.
        data = self._rows("preferences", "judge-preferences", judge.data, {"others": self.preferences})
        settings = RewardModelSettings(
            policy=self.policy,
            learning=self.learning,
            learning_rate=judge.learning_rate,
            epochs=judge.epochs,
            batch_size=judge.batch_size,
            held_out=judge.held_out,
            seed=0,  # one judge for all seeds: another for each would be another measure for each
        )
        return data, Stage("reward_model", "judge", settings, self.inputs, {"comparisons": data})

    def _judging(self) -> VerdictSettings:
        """Return the settings of every stage of verdicts."""
        config = self.config
        # A judge that is trained here is a stage that the verdicts need, so its content is in their address already.
        judge = judge_content(config.judge) if self.judge is None else {"name": "trained", "template": config.template}
        return VerdictSettings(judge=judge, orders=config.orders, missing=config.missing)
