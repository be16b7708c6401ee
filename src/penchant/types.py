"""The one idea of Penchant: a prompt with its responses, and what is known of them.

Everything here is frozen, plain Python, and imports no torch. See `docs/decisions/0001-prompt-groups.md`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penchant.content import marked, readable_parts, refused_media
from penchant.errors import InputError
from penchant.rich_text import estimate_rows, html_table, interval_bars, shorten

if TYPE_CHECKING:
    from penchant.media import Part  # most data is text, and is read without what opens pictures


def _repr_filled(item: Message | Response, first_fields: int) -> str:
    """Return what `dataclass` would, leaving out defaults behind the first `first_fields`.

    Digests of data are made of this text (`runs/input_digests.py`), so a field that is added later must not change it.
    """
    parts = [
        # of a picture the bytes count, and not what its file is called
        f"{field.name}={marked(value) if field.name in ('content', 'parts') else value!r}"
        for index, field in enumerate(fields(item))
        if (value := getattr(item, field.name)) != field.default or index < first_fields
    ]
    return f"{type(item).__name__}({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function that an assistant makes.

    Attributes:
        name: the function's name.
        arguments: a JSON object as text, with its keys in the order of the file.
        id: what the answering turn (role `tool`) refers to; empty without one.
    """

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One turn of a conversation.

    Attributes:
        role: `"system"`, `"user"`, `"assistant"` or `"tool"` (a chat template may know more). `"tools"` is no turn: its
            content is the JSON list of the functions that the model may call, and it stands first.
        content: the text of the turn; or, where it shows pictures or plays sounds, its parts in their order: texts,
            `Image`, `Audio` and `Video`.
        reasoning: the thoughts before the content, where a file has them apart (`reasoning_content`). Thoughts in
            `<think>` marks stay in the content.
        tool_calls: the functions that the turn calls.
        name: who speaks, or of a tool's turn which function answers; empty where the file does not say.
        tool_call_id: the call that a tool's turn answers; empty without one.
        taught: whether the turn is trained on, where the file says so (`train`, `weight`).
    """

    role: str
    content: str | tuple[Part, ...]
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    tool_call_id: str = ""
    taught: bool | None = None

    def __repr__(self) -> str:
        """Return the fields that hold something, for digests and messages."""
        return _repr_filled(self, 2)

    @property
    def text(self) -> str:
        """Return the content as one readable text, with a mark for each picture or sound; never for a model."""
        return self.content if isinstance(self.content, str) else readable_parts(self.content)

    @property
    def only_text(self) -> str:
        """Return the content, which must be text.

        Raises:
            InputError: it holds a picture or a sound, which would be left out without a word.
        """
        if isinstance(self.content, str):
            return self.content
        raise refused_media(self.content, f"a turn of the {self.role}")


Prompt = str | tuple[Message, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """One answer to a prompt.

    Attributes:
        text: the answer as text, without any end-of-sequence token.
        token_ids: the ids that were really drawn (with the end token where one was drawn), or None for text
            from a file, which is tokenized together with its prompt.
        finished: whether it ended by itself. The end-of-sequence token is scored and taught only then: a sample
            cut at a length did not end.
        count: how often this identical response was seen; averages over samples weight by it.
        reasoning: the thoughts before the text, where a file has them apart (`reasoning_content`). Thoughts in
            `<think>` marks stay in the text.
        tool_calls: the functions that the response calls; then its text may be empty.
        parts: the texts, pictures and sounds that it consists of, where it is not text alone. Its text then has a mark
            for each, so that responses with other pictures have other texts.
    """

    text: str
    token_ids: tuple[int, ...] | None = None
    finished: bool = True
    count: int = 1
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if self.parts:
            # its text would be another one wherever responses are told apart by it
            object.__setattr__(self, "parts", tuple(self.parts))
            object.__setattr__(self, "text", readable_parts(self.parts))
        if not isinstance(self.text, str):
            raise InputError(f"a response's text must be a string, got {type(self.text).__name__}")
        if self.count < 1:
            raise InputError(f"a response's count must be at least 1, got {self.count}")
        if self.token_ids is not None:  # a list, as tokenizers give it, would make the response unhashable
            object.__setattr__(self, "token_ids", tuple(self.token_ids))

    def __repr__(self) -> str:
        """Return the fields that hold something, for digests and messages."""
        return _repr_filled(self, 4)

    @property
    def only_text(self) -> str:
        """Return the text of a response that is nothing else.

        Raises:
            InputError: it holds a picture or a sound, which would be left out without a word.
        """
        if not self.parts:
            return self.text
        raise refused_media(self.parts, "a response")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome of two responses of one group against each other.

    Attributes:
        winner, loser: indices into the group's responses. For a tie the order carries no meaning.
        tie: neither won. Losses count a tie as half a win for each side.
        annotator: who said so, where it is known.
        weight: how much it counts; identical comparisons of merged rows add their weights.
    """

    winner: int
    loser: int
    tie: bool = False
    annotator: str | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        # equal texts under two indices are no error here: loaders merge them, and know the row
        if self.winner == self.loser:
            raise InputError(f"a comparison needs two different responses, got {self.winner} twice")
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise InputError(f"a comparison's weight must be a positive number, got {self.weight}")

    def directed(self) -> tuple[tuple[int, int, float], ...]:
        """Return (winner, loser, weight) triples: one for a win, two of half the weight for a tie."""
        if self.tie:  # half each, so that a tie counts as much as a win does
            half = self.weight / 2
            return ((self.winner, self.loser, half), (self.loser, self.winner, half))
        return ((self.winner, self.loser, self.weight),)


@dataclass(frozen=True, slots=True)
class LabeledExample:
    """A text and its class, or a prompt and which of its options is right.

    Attributes:
        text: what is classified, or the prompt.
        label: the class, or the option, counted from 0.
        group: what related items share (a passage, a question with several answers); splits keep it together. Empty
            means that the text stands alone.
        options: the prompt's possible answers, where rows have some of their own (two responses of which one is
            preferred, the legal moves of a position); empty where the task's classes are the answers.
    """

    text: str
    label: int
    group: str = ""
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))

    @property
    def classifier_input(self) -> str | PromptGroup:
        """The input of a classifier: the text, or the prompt with its options as responses."""
        return PromptGroup(self.text, self.options) if self.options else self.text


@dataclass(frozen=True)
class PromptGroup:
    """A prompt, its responses, and what is known of them. Nothing else travels through the library.

    Attributes:
        prompt: text, or the messages of a conversation up to the response.
        responses: the answers; a plain string stands for a finished `Response`.
        comparisons: who won, by index into `responses`.
        scores: one number a response (a reward, a rating), or None.
        source: where it came from, as `file:line`, for messages; no part of equality.
        columns: other columns of the row by name, such as `answer`, for rewards that read them; no part of equality.

    Raises:
        InputError: an index that points to no response, or scores of another length than responses.
    """

    prompt: Prompt
    responses: tuple[Response, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    scores: tuple[float, ...] | None = None
    source: str = field(default="", compare=False)
    # a mapping has no hash, and a group has one
    columns: Mapping[str, object] = field(default_factory=dict, compare=False)

    def __init__(
        self,
        prompt: str | Sequence[Message],
        responses: Sequence[Response | str] = (),
        comparisons: Sequence[Comparison] = (),
        scores: Sequence[float] | None = None,
        source: str = "",
        columns: Mapping[str, object] | None = None,
    ) -> None:
        put = object.__setattr__  # the class is frozen; this is its only writer
        put(self, "prompt", prompt if isinstance(prompt, str) else tuple(prompt))
        put(self, "responses", tuple(Response(r) if isinstance(r, str) else r for r in responses))
        put(self, "comparisons", tuple(comparisons))
        put(self, "scores", None if scores is None else tuple(float(s) for s in scores))
        put(self, "source", source)
        put(self, "columns", dict(columns or {}))
        # checked here, where the source is known: later it would only be some index out of range
        for comparison in self.comparisons:
            for index in (comparison.winner, comparison.loser):
                if not 0 <= index < len(self.responses):
                    raise InputError(
                        f"{source or 'a prompt group'}: a comparison points to response {index}, "
                        f"but there are {len(self.responses)} (counted from 0)"
                    )
        if self.scores is not None and len(self.scores) != len(self.responses):
            raise InputError(
                f"{source or 'a prompt group'}: {len(self.scores)} scores for {len(self.responses)} responses"
            )

    def __repr__(self) -> str:
        """Return the prompt's beginning and what there is of it; a group as a whole may fill pages."""
        parts = [repr(shorten(prompt_text(self.prompt))), f"{len(self.responses)} responses"]
        parts += [f"{len(self.comparisons)} comparisons"] if self.comparisons else []
        parts += ["scores"] if self.scores is not None else []
        return f"PromptGroup({', '.join(parts)})"

    def _repr_html_(self) -> str:
        wins = [sum(not c.tie and c.winner == index for c in self.comparisons) for index in range(len(self.responses))]
        rows = [
            (str(index), response_text(response), str(wins[index]), "" if self.scores is None else f"{score:.4g}")
            for index, response in enumerate(self.responses)
            for score in [self.scores[index] if self.scores is not None else 0.0]
        ]
        return html_table(prompt_text(self.prompt), rows, ("", "response", "wins", "score"))

    def replace(self, **changes: Any) -> PromptGroup:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


def prompt_text(prompt: Prompt) -> str:
    """Return the prompt as one readable string (for reports and rewards, never for a model)."""
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(f"{message.role}: {turn_text(message)}" for message in prompt)


def turn_text(turn: Message) -> str:
    """Return all that a turn says as one readable string: its thoughts, its content, and its calls as JSON lines."""
    speaker = f"({turn.name})" if turn.name else ""
    return _readable(speaker, turn.reasoning, turn.text, turn.tool_calls)


def response_text(response: Response) -> str:
    """Return all that a response says as one readable string, as `turn_text` does; `text` where it is nothing more."""
    return _readable("", response.reasoning, response.text, response.tool_calls)


def _readable(speaker: str, reasoning: str, text: str, calls: tuple[ToolCall, ...]) -> str:
    thoughts = f"<think>\n{reasoning}\n</think>" if reasoning else ""
    if not (speaker or thoughts or calls):
        return text
    return "\n".join(filter(None, (speaker, thoughts, text, *map(call_line, calls))))


def call_line(call: ToolCall) -> str:
    """Return a call as a JSON object of its name and arguments."""
    # the arguments are JSON already, in the order of the file
    return f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}'


def prompt_turns(prompt: Prompt) -> tuple[Message, ...]:
    """Return the prompt as turns: a text is what a user says."""
    return (Message("user", prompt),) if isinstance(prompt, str) else prompt


Winner = Literal["a", "b", "tie", "unparseable"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a judge about two responses to one prompt.

    Attributes:
        winner: `"a"`, `"b"`, `"tie"`, or `"unparseable"`: no answer came, or none that says which.
        confidence: the judge's probability of its verdict, where it states one.
        transcript: what it said, word for word; of an answer that cannot be used also why.
        seconds: how long it took. tokens: read and written, where somebody counted them.
        final: whether it is worth keeping; a call that failed is not, and may be tried again.
    """

    winner: Winner
    confidence: float | None = None
    transcript: str = ""
    seconds: float = 0.0
    tokens: int = 0
    final: bool = True


@dataclass(frozen=True)
class RunResult:
    """The result of training with a method: where the run lies and its final numbers.

    Attributes:
        method: the method's name, such as `"dpo"`.
        path: the run directory.
        metrics: the content of `result.json`.
    """

    method: str
    path: Path
    metrics: dict[str, Any]

    @property
    def history(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`: one of kind `train` for each logged step, `eval` for each evaluation."""
        text = (self.path / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def __repr__(self) -> str:
        """Return how it ended and where it lies; all numbers would fill pages."""
        status = self.metrics.get("status")
        count = self.metrics.get("steps")
        steps = "" if count is None else f" after {count} {'step' if count == 1 else 'steps'}"
        return (
            f"RunResult({', '.join(filter(None, (self.method, f'{status}{steps}' if status else '', str(self.path))))})"
        )

    def _repr_html_(self) -> str:
        first = {name: (bar, text) for name, bar, text in estimate_rows(self.metrics.get("first"))}
        rows: list[tuple[str, ...]] = []
        for name, bar, text in estimate_rows(self.metrics.get("final")):
            before, before_text = first.get(name, (None, ""))
            # on one scale: whether the two intervals overlap is what one looks for
            rows.append((name, before_text, text, interval_bars([bar] if before is None else [before, bar])))
        rows += [("warning", "", str(warning), "") for warning in self.metrics.get("warnings", [])]
        return html_table(repr(self), rows, ("", "before", "after", ""))
