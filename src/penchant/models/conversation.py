"""A conversation with a model, and with another one beside it that answers the same turns with the same seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from penchant.data.sources.values import as_text
from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.models.policy import Policy, merge_identical
from penchant.types import Message, Prompt, PromptGroup, Response


class ContextFullError(InputError):
    """Raised where a conversation has come to the end of a model's context."""


@dataclass
class Conversation:
    """A conversation so far. It goes on with the policy's answers; the reference answers the same prompts.

    Attributes:
        policy, reference: who answers; there may be no reference. It is given the tokens of the policy's renderer.
        sampling: how answers are drawn; with one seed both models draw with the same random numbers.
        system: the text of a system turn, empty for none.
        by_turns: lines are turns of a user; else each continues the text so far.
        groups: a prompt with its answers for each turn, for a file.
    """

    policy: Policy
    reference: Policy | None
    sampling: Sampling
    system: str = ""
    by_turns: bool = True
    groups: list[PromptGroup] = field(default_factory=list)
    _text: str = ""
    _turns: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        if self.reference is not None:
            self.reference = Policy(self.reference.model, self.policy.renderer, self.reference.name)
        self.reset()

    def reset(self) -> None:
        """Forget what was said; what `groups` holds stays."""
        self._text = self.system
        self._turns = (Message("system", self.system),) if self.system and self.by_turns else ()

    def ask(self, line: str) -> list[Response]:
        """Return the answer of the policy, and of the reference where there is one.

        Raises:
            ContextFullError: no room is left for an answer.
            InputError: the template refuses the conversation. It is as it was before.
        """
        # a terminal may send bytes that are no text, which no tokenizer takes
        as_text(line, "the line", empty_ok=True, nul_ok=True)
        prompt = self._prompt(line)
        sampling = replace(self.sampling, n=1, max_new_tokens=self._room(prompt))
        answers = [model.draw([prompt], sampling)[0][0] for model in (self.policy, self.reference) if model is not None]
        # kept after all were drawn: an answer that was stopped leaves the conversation as it was
        if isinstance(prompt, str):
            self._text = prompt + answers[0].text
        else:
            self._turns = (*prompt, Message("assistant", answers[0].text))
        # an answer without text is nothing that anybody could judge
        if texts := [replace(answer, token_ids=None) for answer in answers if answer.text]:
            self.groups.append(PromptGroup(prompt, merge_identical(texts)))
        return answers

    def _prompt(self, line: str) -> Prompt:
        if self.by_turns:
            return (*self._turns, Message("user", line))
        return f"{self._text}\n{line}" if self._text else line

    def _room(self, prompt: Prompt) -> int:
        """Return the longest answer that the settings and the models' contexts allow, in tokens."""
        length = len(self.policy.renderer.prompt_ids(prompt))
        contexts = [model.context for model in (self.policy, self.reference) if model is not None]
        room = min([context - length for context in contexts if context], default=self.sampling.max_new_tokens)
        if room < 1:
            raise ContextFullError(
                f"the context is full: the conversation has {length:,} tokens, and the model takes "
                f"{min(filter(None, contexts)):,}. Begin anew with /reset"
            )
        return min(room, self.sampling.max_new_tokens)
