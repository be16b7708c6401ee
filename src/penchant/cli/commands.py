"""The table of commands. Imports none of them: `penchant --help` and a mistyped word need no settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penchant.cli.arguments import Command, CommandGroup


GROUPS = ("prepare", "train", "use", "compare", "share", "look up")
"""What the overview lists commands under, in this order."""


@dataclass(frozen=True)
class Entry:
    """A command, or a word that several stand under, before it is imported.

    Attributes:
        name: as it is typed.
        help: a line for the list of commands.
        location: `module:NAME` of its `Command` or `CommandGroup`.
        group: one of `GROUPS`, under which the overview lists it.
        inner: of a word that several commands stand under, what the help calls the next word, and what it can be.
        uses_cache: whether it loads models or prepares data, so that the cache must not be pruned meanwhile.
    """

    name: str
    help: str
    location: str
    group: str
    inner: tuple[str, tuple[str, ...]] | None = None
    uses_cache: bool = True

    def load(self) -> Command | CommandGroup:
        """Import the command."""
        module, _, name = self.location.partition(":")
        command: Command | CommandGroup = getattr(import_module(module), name)
        return replace(command, help=self.help)


METHODS = (
    "METHOD",
    (
        *("sft", "preferred_ft", "unlikelihood", "dpo", "kto", "reward_model"),
        *("ppo", "ppo_gt", "rloo", "grpo"),
        *("online_rlhf", "iterative", "spin", "self_rewarding"),
    ),
)
STUDIES = (
    "STUDY",
    (
        *("frontier", "transfer", "noise", "annotators", "weak-to-strong", "tldr", "dialogue", "labels"),
        *("oversight", "instructions", "weak-to-strong-generation", "hallucination", "kinds"),
    ),
)
# their settings take half a second to import, and a mistyped method needs none of them

# in the order of the help: a line per command, and nothing else names it
ENTRIES = (
    Entry("demo", "compare five methods on a small model, and write a page", "penchant.cli.demo:DEMO", "look up"),
    Entry("train", "train a model by one of the methods", "penchant.cli.train:TRAIN", "train", inner=METHODS),
    Entry("init", "look at a file, and write a configuration that trains on it", "penchant.cli.init:INIT", "prepare"),
    Entry(
        "data",
        "look at data, or convert it",
        "penchant.cli.data:DATA",
        "prepare",
        inner=("ACTION", ("check", "convert", "show", "hallucinations", "get")),
    ),
    Entry("sample", "draw responses to prompts, so that someone can rank them", "penchant.cli.sample:SAMPLE", "use"),
    Entry(
        "score",
        "score responses: log-probabilities, implicit rewards, margins, rewards",
        "penchant.cli.score:SCORE",
        "use",
    ),
    Entry("chat", "talk with a model, and with what it was held to beside it", "penchant.cli.chat:CHAT", "use"),
    Entry(
        "collect",
        "let people compare responses, on a page",
        "penchant.cli.collect:COLLECT",
        "prepare",
        uses_cache=False,
    ),
    Entry(
        "report",
        "make one HTML page (and PNGs) of some runs, or of a study",
        "penchant.cli.report:REPORT",
        "compare",
        uses_cache=False,
    ),
    Entry(
        "compare",
        "compare runs: what differs in their settings, and by how much their numbers differ",
        "penchant.cli.compare:COMPARE",
        "compare",
        uses_cache=False,
    ),
    Entry(
        "study", "compare methods over their sweeps, on one page", "penchant.cli.study:STUDY", "train", inner=STUDIES
    ),
    Entry(
        "weak",
        "label rows by a weak supervisor or many sources, train a student on weak labels",
        "penchant.cli.weak:WEAK",
        "train",
        inner=("ACTION", ("label", "sources", "train")),
    ),
    Entry("judge", "say whose responses win, by a judge", "penchant.cli.judge:JUDGE", "compare"),
    Entry(
        "agree",
        "how far judges and people agree: raw, Cohen's kappa, Krippendorff's alpha, with intervals",
        "penchant.cli.agree:AGREE",
        "compare",
        uses_cache=False,
    ),
    Entry(
        "rank",
        "strengths of models, responses or annotators from comparisons or rankings, with intervals",
        "penchant.cli.rank:RANK",
        "compare",
        uses_cache=False,
    ),
    Entry(
        "evaluate",
        "evaluate by tasks of lm-eval before and after training, or by RewardBench",
        "penchant.cli.evaluate:EVALUATE",
        "compare",
    ),
    Entry(
        "export",
        "write a trained model as merged weights, adapters or GGUF, with a model card",
        "penchant.cli.export:EXPORT",
        "share",
    ),
    Entry(
        "push",
        "upload a run or an exported folder to a hub, private unless you say otherwise",
        "penchant.cli.push:PUSH",
        "share",
    ),
    Entry(
        "convert-config",
        "write a configuration of TRL, axolotl or LLaMA-Factory as ours",
        "penchant.cli.convert_config:CONVERT_CONFIG",
        "prepare",
        uses_cache=False,
    ),
    Entry(
        "models",
        "list the names that model= takes, and the models in the hub's cache",
        "penchant.cli.models:MODELS",
        "look up",
        uses_cache=False,
    ),
    Entry(
        "doctor",
        "say what this machine has, what is missing, and what will be slow",
        "penchant.cli.doctor:DOCTOR",
        "look up",
        uses_cache=False,
    ),
    Entry(
        "cache",
        "list what is kept of earlier runs, or remove what was not used for long",
        "penchant.cli.cache:CACHE",
        "look up",
        uses_cache=False,
    ),
    Entry(
        "completion",
        "print a script that completes these words in a shell",
        "penchant.cli.completion:COMPLETION",
        "look up",
        uses_cache=False,
    ),
)


def load_commands() -> list[Command | CommandGroup]:
    """Import every command, in the order of the help."""
    return [entry.load() for entry in ENTRIES]
