"""Write prompts and responses through a chat template, and find in its text what is taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from penchant.data.options import Thoughts
from penchant.data.rendering import templates
from penchant.data.rendering.answers import (
    Answer,
    AnswerBounds,
    AnsweredText,
    find_answer,
    refuse_thoughts_alone,
    refuse_unclosed,
)
from penchant.data.rendering.chat_template import PROBE, ChatTemplate, fold_thoughts
from penchant.data.rendering.earlier_turns import earlier_spans
from penchant.data.rendering.end_tokens import EndTokens, find_end_tokens
from penchant.data.rendering.spans import Span, WrittenGroup
from penchant.data.rendering.taught import TaughtTurns, response_turn, without_thoughts
from penchant.data.rendering.template_probe import (
    AnswerShape,
    TemplateFault,
    TurnKind,
    find_chance,
    find_misnaming,
    probe_answer,
)
from penchant.data.sources.values import common_length, cut
from penchant.errors import InputError
from penchant.thoughts import MARKS, find_thoughts
from penchant.types import Message, Prompt, PromptGroup, prompt_turns


@dataclass(frozen=True, slots=True)
class PlacedTurn:
    """A turn of the assistant in a written conversation.

    Attributes:
        full: the conversation up to the turn's end.
        bounds: of the turn in it.
        follows: whether the conversation begins with the prompt as a sampler gets it.
        composed: whether the turn was put behind the prompt here, since the template would write it otherwise.
    """

    full: str
    bounds: AnswerBounds
    follows: bool
    composed: bool = False

    def scored_from(self, head: str, *, masked: bool, moved_boundary: bool) -> int:
        """Return where what is scored starts.

        Args:
            masked: the answer alone is scored. moved_boundary: the header that the template adds is not scored.
        """
        if masked:
            return self.bounds.answer
        return self.bounds.start if moved_boundary else len(head)


@dataclass(frozen=True)
class ChatText:
    """The way through a chat template.

    Attributes:
        template: the chat template.
        thoughts: what becomes of thoughts.
    """

    template: ChatTemplate
    thoughts: Thoughts = "score"
    _shapes: dict[tuple[TurnKind, ...], AnswerShape] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def ends(self) -> EndTokens:
        """The tokens that end a turn of the assistant."""
        return find_end_tokens(self.template)

    @cached_property
    def _fault(self) -> TemplateFault | None:
        return find_misnaming(self.template) or find_chance(self.template)

    def shape(self, turns: Sequence[Message]) -> AnswerShape:
        """Return how an answer to these turns is written; one probe per sequence of kinds of turns."""
        kinds = tuple(map(TurnKind.of, turns))
        if kinds not in self._shapes:
            self._shapes[kinds] = probe_answer(self.template, kinds)
        return self._shapes[kinds]

    def turns(self, prompt: Prompt) -> Sequence[Message]:
        """Return the turns of a prompt as the template gets them."""
        turns = prompt_turns(prompt)
        return [without_thoughts(turn) for turn in turns] if self.thoughts == "drop" else turns

    def head(self, prompt: Prompt) -> str:
        """Return the prompt as a sampler gets it, with the header that asks for an answer.

        Raises:
            InputError: the template fails, or does not write some turn as it is.
        """
        return self.write_prompt(self.turns(prompt))[0]

    def write_prompt(self, turns: Sequence[Message]) -> tuple[str, bool]:
        """Return what `head` does, and whether the thoughts of some turn are not in it."""
        shape = self.shape(turns)
        if shape.unasked:
            # a sampled model must be told to answer as in training, so the header is that of an answer
            full = self.template.write([*turns, Message("assistant", PROBE)], answered=True)
            head = full[: full.rfind(PROBE)]
        else:
            head = self.template.write(turns, answered=False)
        stripped = templates.refuse_lost_turns(self.template, turns, head)
        fault = self._fault or shape.fault
        # A turn without text is no loss where it is left out.
        if fault is not None and all(turns[turn - 1].only_text.strip() for turn in fault.turns):
            raise InputError(f"{self.template.name} {fault.words}. {templates.remedy(fault.turns)}")
        return head, stripped

    def write(self, group: PromptGroup, taught: TaughtTurns) -> WrittenGroup:
        """Return a group as text. All of its responses get their boundary by the same rule.

        Raises:
            InputError: as `head`; a response that the template does not write as it is, or whose think block is never
                closed.
        """
        for response in group.responses:
            if response.token_ids is None and response.finished:
                refuse_thoughts_alone(response_turn(response), self.thoughts)
        turns = self.turns(group.prompt)
        head, stripped = self.write_prompt(turns)
        located = [
            None
            if response.token_ids is not None
            else self.place_turn(turns, head, response_turn(response), response.finished)
            for response in group.responses
        ]
        moved_boundary = any(turn is not None and not turn.follows for turn in located)
        # what opens an answer behind thoughts (GPT-OSS: its channel) is then context in a response without any, too
        masked = self.thoughts == "mask" and any(turn is not None and turn.bounds.block for turn in located)
        numbers = taught.numbers(turns) if not isinstance(group.prompt, str) else []
        rows = []
        for response, turn in zip(group.responses, located, strict=True):
            # A sample was drawn after the prompt, whose tokens alone are needed. Its own text may have other ids.
            if turn is None:
                rows.append([Span(head, len(head), len(head), len(head), response.finished)])
                continue
            start = turn.scored_from(head, masked=masked, moved_boundary=moved_boundary)
            last = Span(turn.full, start, turn.bounds.end, len(turn.full), response.finished)
            rows.append([*self._previous(turns, response_turn(response), turn, numbers), last])
        return WrittenGroup(head, rows, moved_boundary, stripped)

    def _previous(
        self, turns: Sequence[Message], response: Message, turn: PlacedTurn, numbers: Sequence[int]
    ) -> list[Span]:
        """Return what is taught of the turns before a response. turn: the response, as it was written."""
        if not numbers:
            return []
        written = turn.full
        if self.thoughts == "drop":  # it was written without them, and what differs from that is searched for
            response = without_thoughts(response)
        if turn.composed:  # what the template itself writes is the same up to the header of the response
            response = Message("assistant", PROBE)
            written = self.template.write([*turns, response], answered=True)
        spans = earlier_spans(self, turns, response, written, numbers)
        return [replace(span, full=turn.full) for span in spans]

    # -- a turn of the assistant ----------------------------------------------------------------------------------

    def place_turn(self, turns: Sequence[Message], head: str, turn: Message, finished: bool) -> PlacedTurn:
        """Write a turn behind others, and find it there.

        Args:
            head: the others as a sampler gets them.

        Raises:
            InputError: it does not stand there as it is.
        """
        if self.thoughts == "drop":
            turn = without_thoughts(turn)
        block = None if turn.reasoning else find_thoughts(turn.only_text)
        if block is not None and not block.closed:
            if finished:
                refuse_unclosed(turn)
            # cut while thinking: nothing but the header of the answer can stand before it
            full = head + self._continuation(head, turn.only_text[block.start :])
            # all of it is scored, as of a sample: masked it would be a response without a token
            return PlacedTurn(full, AnswerBounds(len(head), len(head), len(full)), True, True)
        full = self.template.write([*turns, turn], answered=True)
        shape = self.shape(turns)
        follows = full.startswith(head)
        begin = differs = len(head)
        if not follows:
            differs = self.ends.token_start(full, common_length(head, full))
            begin = max(min(differs, len(head) - shape.header), 0)
        answer = Answer.of(turn)
        bounds = find_answer(AnsweredText(full, begin, differs, shape.suffix, self.ends.call), answer)
        if bounds is None:
            raise InputError(templates.explain_rewriting(self.template, answer))
        if bounds.lacks_thoughts:
            return self._thoughts_behind(head, answer, shape.suffix)
        if not follows:
            templates.refuse_lost_turns(self.template, turns, full[: bounds.start])
        return PlacedTurn(full, bounds, follows)

    def _continuation(self, head: str, text: str) -> str:
        """Return thoughts behind a header, which may have their opening mark already."""
        opened = any(head.rstrip().endswith(opening) for opening, _ in MARKS)
        if not opened:
            return f"<think>{text}"
        return text.lstrip("\n") if head.endswith("\n") else text

    def _thoughts_behind(self, head: str, answer: Answer, suffix: str | None) -> PlacedTurn:
        """Return a turn whose thoughts the template takes out, written behind a header that opens a think block.

        So stands what a model generates after this header: DeepSeek-R1's template writes thoughts nowhere else.
        """
        opened = any(head.rstrip().endswith(opening) for opening, _ in MARKS)
        if not opened or suffix is None or answer.turn.tool_calls:
            names = sorted(name for name in self.template.variables if "think" in name or "reason" in name)
            advice = (
                f", or an argument that opens the think block (template_args={{{names[0]}: true}})" if names else ""
            )
            raise InputError(
                f"{self.template.name} takes the thoughts out of an answer ({cut(answer.thoughts)!r}): use "
                f"thoughts=drop{advice}, or a template that writes them"
            )
        text = answer.turn.only_text
        if answer.turn.reasoning:
            text = fold_thoughts(answer.turn.reasoning, text)
        block = find_thoughts(text)
        assert block is not None
        body = self._continuation(head, text[block.start :])
        end = len(head) + len(body)
        bounds = AnswerBounds(len(head), end - (len(text) - block.answer), end, True)
        return PlacedTurn(head + body + suffix, bounds, True, True)
