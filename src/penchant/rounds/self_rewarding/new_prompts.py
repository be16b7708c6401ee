"""New prompts of a round: written by the policy after a few examples, or taken from a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random

from penchant.engine.sampling import Sampling
from penchant.metrics.novelty import TextCollection
from penchant.models.policy import Policy
from penchant.rewards.text_templates import TemplateShelf
from penchant.rounds.self_rewarding.settings import SelfInstruct
from penchant.thought_tags import strip_thoughts
from penchant.types import Prompt, Response, prompt_turns

SHELF = TemplateShelf(
    "penchant.rounds.self_rewarding", ("tasks", "lines"), frozenset({"examples"}), frozenset({"number"})
)
REFUSALS = ("empty", "cut", "repeated", "near", "held_out", "too_long", "several_turns")
"""Why a drawn prompt is not used: no words, cut at its length, one that is known, one nearly so, one that is held out,
one that leaves no room for an answer, one of a file that is a conversation of several turns."""
_LABEL = re.compile(
    r"^[\s>*_#]*(?:new\s+)?(?:task|prompt|question|instruction|example)\s*#?\d*\s*[*_]*\s*[:.)]\s*[*_]*", re.I
)
_NUMBER = re.compile(r"^\s*(?:\d{1,3}[.):]|[-*•])\s+")


@dataclass
class PromptChoice:
    """Which texts become prompts, and how many were refused, by reason.

    Attributes:
        known_texts: seed prompts, those of earlier rounds, and those taken so far.
        held_out: prompts that nothing may be trained on.
        fits: whether a prompt leaves room for an answer.
        prompts: the texts that were taken. refusals: counts by reason, of `REFUSALS`.
    """

    known_texts: TextCollection
    held_out: TextCollection
    fits: Callable[[str], bool]
    prompts: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)

    def offer(self, text: str | None, *, is_cut: bool = False, refuse_near: bool = True) -> None:
        """Take a text as a prompt, or count why not.

        Args:
            text: None where there is none.
            is_cut: whether it was cut, so that nobody knows its end.
            refuse_near: whether near duplicates are refused too.
        """
        reason = self._refusal(text or "", is_cut, refuse_near)
        if reason:
            self.refusals[reason] += 1
        elif text is not None:
            self.known_texts.add(text)
            self.prompts.append(text)

    def _refusal(self, text: str, is_cut: bool, refuse_near: bool) -> str:
        # punctuation alone asks for nothing
        if not re.search(r"\w", text):
            return "empty"
        if is_cut:
            return "cut"
        # before the others: a prompt of the held-out rows would make what is measured there worth nothing
        if text in self.held_out or (refuse_near and self.held_out.has_near(text)):
            return "held_out"
        # equal before near: the two have other remedies, more examples or a higher threshold
        if text in self.known_texts:
            return "repeated"
        if refuse_near and self.known_texts.has_near(text):
            return "near"
        return "" if self.fits(text) else "too_long"


def instruction_of(prompt: Prompt) -> str | None:
    """Return the text that a prompt asks with; None for a conversation of several turns, which is no example."""
    # a system turn says how to answer, and no new prompt needs to repeat it
    turns = [turn for turn in prompt_turns(prompt) if turn.role not in ("system", "tools")]
    return turns[0].only_text.strip() if len(turns) == 1 and turns[0].only_text.strip() else None


def write_prompts(
    policy: Policy,
    examples: Sequence[str],
    settings: SelfInstruct,
    choice: PromptChoice,
    seed: int,
    progress: Callable[[int], object],
) -> int:
    """Let a policy write new prompts until there are enough of them, or its tries are spent.

    Args:
        examples: seed prompts, of which it is shown some, others at each try.
        choice: takes the prompts.
        seed: fixes examples and samples.
        progress: called with the number of prompts taken since the last call.

    Returns:
        How many texts were drawn.
    """
    template, generator = SHELF.load(settings.template), Random(seed)
    # of seeds that are all one line, a new prompt is one line: a model that only continues goes on with further ones
    one_line = not any("\n" in example for example in examples)
    text_count = 0
    while len(choice.prompts) < settings.count and text_count < settings.draws * settings.count:
        # no more than are lacking, so that no prompt is thrown away that was paid for
        batch = min(settings.count - len(choice.prompts), settings.draws * settings.count - text_count)
        # each try has examples of its own, so a batch is as many prompts
        questions = [_question(template.fill, examples, settings.shots, generator) for _ in range(batch)]
        fitting = [text for text in questions if policy.has_room(text, settings.max_new_tokens)]
        responses: list[Response] = []
        # equal questions must not give equal samples, so each batch has its own seed, and of few seed prompts each copy
        for number, part in enumerate(_each_once(fitting)):
            sampling = Sampling(
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_new_tokens=settings.max_new_tokens,
                seed=seed + text_count + number + 1,
            )
            responses += [row[0] for row in policy.draw(part, sampling)]
        choice.refusals["too_long"] += batch - len(fitting)
        before = len(choice.prompts)
        for response in responses:
            text, is_cut = read_prompt(response, one_line=one_line)
            choice.offer(text, is_cut=is_cut)
        progress(len(choice.prompts) - before)
        text_count += batch
    return text_count


def _each_once(texts: Sequence[str]) -> list[list[str]]:
    """Return texts in lists that hold each text once: the first copies, the second ones, and so on."""
    parts: list[list[str]] = []
    copies: Counter[str] = Counter()
    for text in texts:
        if copies[text] == len(parts):
            parts.append([])
        parts[copies[text]].append(text)
        copies[text] += 1
    return parts


def _question(fill: Callable[..., str], examples: Sequence[str], shots: int, generator: Random) -> str:
    # others each time, so that a policy that copies its examples does not always copy the same
    subset = generator.sample(list(examples), min(shots, len(examples)))
    return fill(examples=subset, number=len(subset) + 1)


def read_prompt(response: Response, *, one_line: bool) -> tuple[str | None, bool]:
    """Return the prompt that a model wrote, and whether it was cut.

    What stands before a label ("Here is a new task: Task 9: ...") is left out, and so is what follows another label.

    Args:
        one_line: whether a prompt ends with its line.
    """
    # no file of prompts holds a NUL, which a model may draw all the same
    text = strip_thoughts(response.text.replace("\0", ""))
    if text is None:
        return None, not response.finished
    # by lines, as the examples are shown by lines
    lines = text.strip().split("\n")
    labels = [index for index, line in enumerate(lines) if _LABEL.match(line)]
    # a chat model announces the task first; one that continues begins with it, and labels the next one
    start = labels[0] if labels and (labels[0] == 0 or lines[0].rstrip().endswith((":", "!"))) else 0
    end = next((index for index in labels if index > start), len(lines))
    chosen = lines[start:end]
    chosen[:1] = [_NUMBER.sub("", _LABEL.sub("", line, count=1), count=1) for line in chosen[:1]]
    # a model that only continues text goes on with the answer, or with further prompts
    if one_line:
        first = next((index for index, line in enumerate(chosen) if line.strip()), 0)
        end = start + first + 1
        chosen = chosen[first : first + 1]
    # whatever follows it shows that it came to its end
    is_cut = not response.finished and end >= len(lines)
    return "\n".join(chosen).strip().strip('"“”').strip() or None, is_cut


def take_prompts(texts: Sequence[str | None], count: int | None, choice: PromptChoice, *, skipped: int) -> None:
    """Take the next prompts of a file.

    Args:
        texts: all prompts of the file; None for a conversation of several turns, which is counted and not used.
        count: how many to take, at most; None for all.
        skipped: rows that earlier rounds looked at.
    """
    for text in islice(texts, skipped, None):
        if count is not None and len(choice.prompts) >= count:
            return
        if text is None:
            choice.refusals["several_turns"] += 1
            continue
        # somebody chose these prompts, so only equal ones count as repeated
        choice.offer(text, refuse_near=False)
