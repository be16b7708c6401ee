"""The files beside the seed data that decide self-rewarding rounds: comparisons by people, judge's data, prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penchant.data.load import load_preferences, load_prompts, load_responses
from penchant.errors import InputError
from penchant.judges.contract import digest
from penchant.judges.prompts import Template, load_template
from penchant.rewards.content import model_content
from penchant.rewards.rubric import QUESTIONS, RUBRICS
from penchant.rewards.text_templates import TemplateShelf
from penchant.rounds.self_rewarding.new_prompts import SHELF
from penchant.rounds.self_rewarding.quality import HumanComparison, human_comparisons
from penchant.rounds.self_rewarding.settings import (
    JudgeScorer,
    LikelihoodScorer,
    PromptFile,
    RewardScorer,
    RowsFile,
    RubricScorer,
    SelfInstruct,
    VerdictsScorer,
)
from penchant.rounds.self_rewarding.taught_judge import judge_demonstrations
from penchant.runs.input_digests import digest_groups, reward_digest
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from penchant.rounds.self_rewarding.method import SelfRewarding

COMPARISONS = "the comparisons by people"
"""What messages call them, and their key in `groups`."""
# The task and two judgements of it, as any judge's template; ours lies here, since no other judge has a use for it.
META_SHELF = TemplateShelf("penchant.rounds.self_rewarding", ("judgements",), frozenset({"prompt", "a", "b"}))


@dataclass(frozen=True)
class SelfRewardingInputs:
    """What rounds read beside the seed data.

    Attributes:
        comparisons: by people; empty without a file of them.
        judge_rows: demonstrations of judging.
        file_prompts: all prompts of a file; empty where the policy writes its own.
        templates: the texts of the templates, whose files may change under their names.
        groups: the rows that comparisons and judge's demonstrations were read from, by name.
    """

    comparisons: Sequence[HumanComparison]
    judge_rows: Sequence[PromptGroup]
    file_prompts: Sequence[PromptGroup]
    templates: Sequence[str]
    groups: Mapping[str, Sequence[PromptGroup]]

    def digests(self, config: SelfRewarding) -> dict[str, str]:
        """Return digests of all that is here, by the names that messages call it."""
        digests = {name: digest_groups(groups) for name, groups in self.groups.items()}
        if self.templates:
            digests["the templates"] = digest(*self.templates)[:32]
        # a judge's verdicts are kept under its identity, and a reward has no such thing
        if isinstance(config.judge, RewardScorer):
            digests["the reward"] = reward_digest(config.judge.reward, loaded=False)
        if isinstance(config.judge, RubricScorer) and config.judge.model is not None:
            digests["the judge"] = model_content(config.judge.model)
        return digests


def read_inputs(config: SelfRewarding) -> SelfRewardingInputs:
    """Read all files and templates, before anything is trained.

    Raises:
        InputError: a file that cannot be read, or that holds nothing of what is needed.
    """
    groups: dict[str, Sequence[PromptGroup]] = {}
    comparisons: list[HumanComparison] = []
    judge_rows: list[PromptGroup] = []
    if config.comparisons is not None:
        rows = _read_comparisons(config.comparisons)
        groups[COMPARISONS] = rows
        comparisons = human_comparisons(rows)
        if not comparisons:
            raise InputError(f"{config.comparisons.path}: no comparison in it, expected some that people made")
    # read as responses: ratings without comparisons teach a rubric
    if config.judge_data is not None:
        rows = load_responses(config.judge_data.path, **_reading(config.judge_data))
        groups["the judge's data"] = rows
        judge_rows = judge_demonstrations(config.judge, rows, config.judge_data.path)
    # read once: all rounds take from the same list
    file_prompts: Sequence[PromptGroup] = ()
    if isinstance(config.new_prompts, PromptFile):
        file_prompts = load_prompts(config.new_prompts.path, **_reading(config.new_prompts))
        groups["the prompts of the file"] = file_prompts
    return SelfRewardingInputs(comparisons, judge_rows, file_prompts, _templates(config), groups)


def _read_comparisons(file: RowsFile) -> list[PromptGroup]:
    try:
        # several people may contradict each other: each comparison counts
        return load_preferences(file.path, ties="half", contradictions="keep", **_reading(file))
    except InputError as error:
        # a reader of preferences would send whoever gives demonstrations here to another method
        raise InputError(
            f"`comparisons` are rows of two responses of which people preferred one; they measure the judge. {error}"
        ) from error


def _reading(rows: RowsFile) -> dict[str, Any]:
    """Return how a file is read, as loaders take it."""
    names = ("layout", "columns", "split", "bad_rows", "limit")
    return {name: getattr(rows, name) for name in names}


def _templates(config: SelfRewarding) -> list[str]:
    """Return the texts of all templates.

    Raises:
        InputError: one that there is not, or that lacks a slot.
    """
    texts = []
    match config.judge:
        case RubricScorer():
            texts.append(RUBRICS.load(config.judge.template).text)
        case LikelihoodScorer():
            texts.append(QUESTIONS.load(config.judge.template).text)
        case VerdictsScorer():
            texts.append(load_template(config.judge.template).text)
        case RewardScorer() | JudgeScorer():
            pass
    if config.meta is not None:
        texts.append(load_meta_template(config.meta.template).text)
    if isinstance(config.new_prompts, SelfInstruct):
        texts.append(SHELF.load(config.new_prompts.template).text)
    return texts


def load_meta_template(name: str) -> Template:
    """Return the template that compares two judgements.

    Raises:
        InputError: there is none, or it lacks a slot.
    """
    template = META_SHELF.load(name)
    return Template(template.name, template.text)
