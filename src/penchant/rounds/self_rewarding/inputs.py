"""The files beside the seed data that decide self-rewarding rounds: comparisons by people, judge's data, prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penchant.data.load import load_preferences, load_prompts, load_responses
from penchant.errors import InputError
from penchant.judges.contract import digest
from penchant.judges.load import make_judge
from penchant.judges.prompts import Template, load_template
from penchant.rewards.columns import refuse_columns
from penchant.rewards.content import model_content
from penchant.rewards.load import load_reward
from penchant.rewards.names import reward_kind
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
from penchant.types import PromptGroup, prompt_text, prompt_turns

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
        warnings: what a user should know of them.
    """

    comparisons: Sequence[HumanComparison]
    judge_rows: Sequence[PromptGroup]
    file_prompts: Sequence[PromptGroup]
    templates: Sequence[str]
    groups: Mapping[str, Sequence[PromptGroup]]
    warnings: Sequence[str] = ()

    def digests(self, config: SelfRewarding) -> dict[str, str]:
        """Return digests of all that is here, by the names that messages call it."""
        digests = {name: digest_groups(groups) for name, groups in self.groups.items()}
        if self.templates:
            digests["the templates"] = digest(*self.templates)[:32]
        if isinstance(config.judge, RewardScorer):
            digests["the reward"] = reward_digest(config.judge.reward, loaded=False)
        if isinstance(config.judge, RubricScorer) and config.judge.model is not None:
            digests["the judge"] = model_content(config.judge.model)
        # its template or model may change under its name, and later rounds would be judged by another
        if isinstance(config.judge, JudgeScorer):
            digests["the judge"] = digest(make_judge(config.judge.judge).identity)[:32]
        return digests


def read_inputs(config: SelfRewarding) -> SelfRewardingInputs:
    """Read all files and templates, before anything is trained.

    Raises:
        InputError: a file that cannot be read, or that holds nothing of what is needed.
    """
    if isinstance(config.judge, RewardScorer):
        _refuse_columns(config.judge.reward)
    groups: dict[str, Sequence[PromptGroup]] = {}
    comparisons: list[HumanComparison] = []
    judge_rows: list[PromptGroup] = []
    warnings: list[str] = []
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
        taught, warnings = _not_measured(rows, groups.get(COMPARISONS, ()), config.judge_data.path)
        judge_rows = judge_demonstrations(config.judge, taught, config.judge_data.path)
    # read once: all rounds take from the same list
    file_prompts: Sequence[PromptGroup] = ()
    if isinstance(config.new_prompts, PromptFile):
        file_prompts = load_prompts(config.new_prompts.path, **_reading(config.new_prompts))
        groups["the prompts of the file"] = file_prompts
        # one that stands before all prompts anyway is not missed
        systems = [turn for group in file_prompts for turn in prompt_turns(group.prompt)[:1] if turn.role == "system"]
        if count := sum(turn.only_text != config.data.system for turn in systems):
            warnings.append(
                f"{count} prompts of `new_prompts` have a system turn, which is not used: set `data.system`"
            )
    return SelfRewardingInputs(comparisons, judge_rows, file_prompts, _templates(config), groups, warnings)


def _not_measured(
    rows: Sequence[PromptGroup], comparisons: Sequence[PromptGroup], path: str
) -> tuple[list[PromptGroup], list[str]]:
    """Return the judge's data without the prompts that its worth is measured on, and a warning where there are some.

    Raises:
        InputError: nothing is left.
    """
    measured = {prompt_text(group.prompt).strip() for group in comparisons}
    kept = [row for row in rows if prompt_text(row.prompt).strip() not in measured]
    if rows and not kept:
        # the same file twice, most often: what was learned by heart would count as a good judge
        raise InputError(
            f"{path}: each of its {len(rows)} prompts is one of `comparisons`, which measure the judge: give "
            "`judge_data` and `comparisons` other prompts"
        )
    left_out = len(rows) - len(kept)
    sentence = (
        f"{left_out} of {len(rows)} prompts of `judge_data` are left out: `comparisons` measure the judge on them"
    )
    return kept, [sentence] if left_out else []


def _refuse_columns(reward: str) -> None:
    """Refuse a reward that reads columns, before the start is trained.

    Raises:
        InputError: it does, or there is no such reward.
    """
    # models and addresses read texts alone, and loading them here would be idle
    if reward_kind(reward) in ("verifier", "function"):
        refuse_columns(load_reward(reward), "`self_rewarding`, whose prompts may be the policy's own,")


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
