"""The prompts of a self-rewarding round: chosen once, kept with their counts, and read where they are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from penchant.errors import InputError
from penchant.metrics.novelty import TextCollection, measure_novelty
from penchant.models.policy import Policy
from penchant.rounds.clock import SAMPLING
from penchant.rounds.pipeline import Round
from penchant.rounds.samples import sampling_seed
from penchant.rounds.self_rewarding.inputs import COMPARISONS, SelfRewardingInputs
from penchant.rounds.self_rewarding.new_prompts import (
    REFUSALS,
    PromptChoice,
    instruction_of,
    take_prompts,
    write_prompts,
)
from penchant.rounds.self_rewarding.settings import PromptFile, SelfInstruct
from penchant.runs.progress import progress_bar
from penchant.types import Message, Prompt, prompt_text

if TYPE_CHECKING:
    from penchant.rounds.self_rewarding.method import SelfRewarding

Numbers = dict[str, Any]  # what JSON holds, as it is read back
FILE = "prompts.json"
"""The prompts of a round, in its folder, with the counts of how they came about."""


class RoundPrompts:
    """The prompts of one round.

    Args:
        config: of all rounds.
        current_round: the round.
        inputs: what is read beside the seed data.
        policy: gives the policy that the round begins with, which is not loaded for prompts that are there.
    """

    def __init__(
        self,
        config: SelfRewarding,
        current_round: Round,
        inputs: SelfRewardingInputs,
        policy: Callable[[], Policy],
    ) -> None:
        self.config, self.round, self.inputs, self.policy = config, current_round, inputs, policy
        self.examples = [text for group in current_round.sides.train if (text := instruction_of(group.prompt))]

    def choose(self) -> tuple[list[Prompt], Numbers]:
        """Return the prompts of the round, and the counts of how they came about.

        Raises:
            InputError: the policy is to write prompts, and no seed prompt can be an example.
        """

        def draw() -> Numbers:
            with self.round.clock.part(SAMPLING):
                choice, text_count = self._draw()
            # seeds count as earlier: a prompt that repeats its examples is nothing new
            novelty = measure_novelty(choice.prompts, [*self.examples, *self._earlier_texts()])
            refusals = {name: choice.refusals[name] for name in REFUSALS}
            counts = {"drawn": text_count, "new": len(choice.prompts), "refused": refusals}
            counts["near_comparisons"] = self._count_near_comparisons(choice.prompts)
            return counts | {"distinct_2": novelty.distinct, "fresh_2": novelty.fresh, "texts": choice.prompts}

        row: Numbers = self.round.numbers(FILE, draw)
        counts = {name: count for name, count in row.items() if name != "texts"}
        if several := counts["refused"].get("several_turns"):
            self.round.warn(f"{several} prompts of the file have several turns, and are not used")
        if near := counts.get("near_comparisons"):
            self.round.warn(
                f"{near} of {counts['new']} prompts of the file are nearly prompts of `comparisons`, which measure the "
                "judge: leave them out of the file if its accuracy is to be of other prompts"
            )
        return [self._with_system(text) for text in row["texts"]], counts

    def _draw(self) -> tuple[PromptChoice, int]:
        """Return what was chosen, and how many texts it was chosen from."""
        settings = self.config.new_prompts
        choice = PromptChoice(TextCollection(), self._held_out(), self._fits)
        if isinstance(settings, PromptFile):
            # None stays in its place: a row that is not used is counted
            texts = [instruction_of(group.prompt) for group in self.inputs.file_prompts]
            # by rows and not by prompts: a row that was refused is not offered again
            looked_at = sum(row["drawn"] for row in self._earlier_rows())
            take_prompts(texts, settings.count, choice, skipped=looked_at if settings.count else 0)
            return choice, len(choice.prompts) + choice.refusals.total()
        return choice, self._write(settings, choice)

    def _count_near_comparisons(self, texts: Sequence[str]) -> int:
        """Count the prompts that are nearly one that the judge is measured on."""
        # of what the policy writes none is taken that is; somebody chose those of a file, so they are used and counted
        if not isinstance(self.config.new_prompts, PromptFile):
            return 0
        comparisons = TextCollection()
        for group in self.inputs.groups.get(COMPARISONS, ()):
            comparisons.add(instruction_of(group.prompt) or prompt_text(group.prompt))
        return sum(comparisons.has_near(text) for text in texts)

    def _held_out(self) -> TextCollection:
        """Return the prompts that are measured on: nothing is trained on them, nor on anything nearly like them."""
        texts = TextCollection()
        for group in [*self.round.sides.held_out, *self.inputs.groups.get(COMPARISONS, ())]:
            texts.add(instruction_of(group.prompt) or prompt_text(group.prompt))
        return texts

    def _write(self, settings: SelfInstruct, choice: PromptChoice) -> int:
        """Let the policy write prompts, and return how many texts it wrote."""
        choice.known_texts.threshold = choice.held_out.threshold = settings.similarity
        # a conversation of several turns is none, and seed data may hold nothing else
        if not self.examples:
            raise InputError(
                "no seed prompt is a single instruction, so that a new one has no example: give seed data with such "
                "prompts, or new_prompts.name=file with prompts"
            )
        # a prompt of an earlier round would be learned twice, from another policy's answers
        for text in [*self.examples, *self._earlier_texts()]:
            choice.known_texts.add(text)
        number = self.round.number
        seed = sampling_seed("prompts", self.config.seed, number) % 2**31
        with progress_bar(f"new prompts (round {number + 1})", settings.count, "prompts") as advance:
            return write_prompts(self.policy(), self.examples, settings, choice, seed, advance)

    def _fits(self, text: str) -> bool:
        return self.policy().has_room(self._with_system(text), self.config.max_new_tokens)

    def _with_system(self, text: str) -> Prompt:
        system = self.config.data.system
        # as the reader of prompts does with `data.system`
        return text if system is None else (Message("system", system), Message("user", text))

    def _earlier_rows(self) -> list[Numbers]:
        """Return what the rounds before recorded of their prompts."""
        from penchant.runs.run_folder import read_json

        return [read_json(self.config.folder(number) / FILE) for number in range(self.round.number)]

    def _earlier_texts(self) -> list[str]:
        """Return the prompts of the rounds before."""
        return [text for row in self._earlier_rows() for text in row["texts"]]


def without_prompts(counts: Numbers) -> str:
    """Return why a round has no prompt."""
    if not counts["drawn"]:
        return "the file has no further prompt: lower `new_prompts.count`, or give it more"
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts["refused"].items() if count)
    return f"none of the {counts['drawn']} texts that were drawn is a new prompt ({reasons}): give prompts of a file"
