"""Write a conversation as a chat template does: its text, its arguments, and what of a turn it is handed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from penchant.data.rendering.template_args import TODAY, check_args, fix_date, template_variables
from penchant.data.sources.values import cut
from penchant.errors import InputError
from penchant.thoughts import split_thoughts
from penchant.types import Message, ToolCall

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST = 10_000_000
"""Characters of a conversation. No model has room for as many; a template may write any number in a blink."""
REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")
"""Names under which templates look for the thoughts of a turn."""
PROBE = "zqanswerqz"  # a word that stands in no template
USER: Mapping[str, object] = {"role": "user", "content": "zquserqz"}
THOUGHT_PROBE = "zqthoughtqz"


def template_name(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what messages call the template of a tokenizer."""
    name = str(getattr(tokenizer, "name_or_path", "") or "")
    return f"the chat template of {cut(name)}" if name else "the chat template"


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template with its arguments.

    Attributes:
        tokenizer: whose special tokens it writes.
        text: the template's; None for the tokenizer's own.
        args: what it is told beside the conversation.
        name: what messages call it.
    """

    tokenizer: PreTrainedTokenizerBase
    text: str | None = None
    args: Mapping[str, object] = field(default_factory=dict, hash=False)
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", template_name(self.tokenizer))
        check_args(self.args, self.source, self.name)

    @property
    def source(self) -> str:
        """The text of the template, before its date is fixed; of several all."""
        return str(self.tokenizer.chat_template) if self.text is None else self.text

    @cached_property
    def texts(self) -> tuple[str, str]:
        """The texts for conversations without and with functions; a tokenizer may have a template for each."""
        if self.text is not None:
            texts = (self.text, self.text)
        else:
            texts = (self.tokenizer.get_chat_template(), self.tokenizer.get_chat_template(tools=[{}]))
        if TODAY not in self.args:
            return texts
        return fix_date(texts[0], self.args[TODAY], self.name), fix_date(texts[1], self.args[TODAY], self.name)

    @property
    def variables(self) -> frozenset[str]:
        """The arguments that the template reads."""
        return template_variables(self.source)

    @cached_property
    def keywords(self) -> dict[str, object]:
        """The arguments that are variables of the template: all but the date, which `texts` hold."""
        return {name: value for name, value in self.args.items() if name != TODAY}

    @property
    def writes_date(self) -> bool:
        """Whether another day gives another text."""
        return any("strftime_now" in text for text in self.texts)

    # -- what it knows of thoughts and calls --------------------------------------------------------------------

    @cached_property
    def knows_marks(self) -> bool:
        """Whether the template looks for think marks in a text."""
        return "think>" in self.source

    @cached_property
    def reasoning_field(self) -> str | None:
        """The field whose thoughts the template writes; None if it writes none."""
        for name in REASONING_FIELDS:
            if re.search(rf"\b{name}\b", self.source):
                rows = [USER, {"role": "assistant", "content": PROBE, name: THOUGHT_PROBE}]
                try:
                    if THOUGHT_PROBE in self._apply(rows, None, answered=True):
                        return name
                except InputError:  # the data will tell, with a row
                    continue
        return None

    @cached_property
    def _takes_marks_apart(self) -> bool:
        """Whether thoughts in the marks of a text are written as those of the field are, white space aside.

        Where a template has a field and does not look into the text, as GPT-OSS's and Qwen3.8's, the marks would stand
        in the answer, behind the header that closes the thoughts.
        """
        if self.reasoning_field is None:
            return True
        marked = {"content": fold_thoughts(THOUGHT_PROBE, PROBE)}
        separate = {"content": PROBE, self.reasoning_field: THOUGHT_PROBE}
        try:
            first, second = (
                self._apply([USER, {"role": "assistant", **fields}], None, answered=True)
                for fields in (marked, separate)
            )
        except InputError:  # such as one that refuses marks in a text
            return False
        return "".join(first.split()) == "".join(second.split())

    @cached_property
    def _content_as_parts(self) -> bool:
        """Whether the template takes the content of a turn as a list of parts alone, as some of vision models do."""

        def writes(content: object) -> bool:
            try:
                text = self._apply([{"role": "user", "content": content}], None, answered=False)
            except InputError:
                return False
            return PROBE in text and f"'{PROBE}'" not in text  # in quotes it is the list itself that was written

        return not writes(PROBE) and writes(text_parts(PROBE))

    @cached_property
    def _arguments_as_text(self) -> bool:
        """Whether the template joins a call's arguments to texts, and so fails at an object."""

        def fails(arguments: object) -> bool:
            function = {"name": "f", "arguments": arguments}
            call = {"type": "function", "id": "call00000", "function": function}
            rows: list[Mapping[str, object]] = [USER, {"role": "assistant", "content": "", "tool_calls": [call]}]
            try:
                self._apply(rows, None, answered=True)
            except InputError:
                return True
            return False

        return fails({"a": "b"}) and not fails('{"a": "b"}')

    # -- writing ------------------------------------------------------------------------------------------------

    def write(self, messages: Sequence[Message], *, answered: bool) -> str:
        """Return a conversation as the template writes it.

        Args:
            answered: whether to leave out the header that asks for the next turn.

        Raises:
            InputError: the template fails, or has no place for the thoughts of a turn.
        """
        tools, turns = tools_of(messages)
        return self._apply([self._row(turn) for turn in turns], tools, answered=answered)

    def _apply(self, rows: Sequence[Mapping[str, object]], tools: list[object] | None, *, answered: bool) -> str:
        try:
            rendered = self.tokenizer.apply_chat_template(
                list(rows),
                tools=tools,
                chat_template=self.texts[1 if tools else 0],
                tokenize=False,
                add_generation_prompt=not answered,
                **self.keywords,
            )
        except Exception as error:  # templates raise jinja errors and whatever their authors chose
            raise InputError(
                f"{self.name} refuses this conversation: {cut(error, 300)} ({type(error).__name__}). Change it, take "
                "it out of the file, or use another template (template=NAME, or a .jinja file)"
            ) from error
        text = str(rendered)
        if len(text) > LONGEST:
            raise InputError(
                f"{self.name} makes a text of {len(text):,} characters of this conversation, more than {LONGEST:,}; "
                "shorten the conversation, or use another template (template=NAME)"
            )
        return text

    def _row(self, turn: Message) -> dict[str, object]:
        """Return a turn as templates take it; a field that a turn does not have is left out."""
        row: dict[str, object] = {"role": turn.role, "content": turn.only_text}
        if turn.reasoning:
            row |= self._thoughts(turn)
        elif turn.role == "assistant":
            thoughts, answer = split_thoughts(turn.only_text)
            if thoughts is not None and self.reasoning_field and not self._takes_marks_apart:
                row |= {"content": answer} | ({self.reasoning_field: thoughts} if thoughts else {})
        if self._content_as_parts:
            row["content"] = text_parts(str(row["content"]))
        if turn.tool_calls:
            row["tool_calls"] = [self._call(call) for call in turn.tool_calls]
        if turn.name:
            row["name"] = turn.name
        if turn.tool_call_id:
            row["tool_call_id"] = turn.tool_call_id
        return row

    def _thoughts(self, turn: Message) -> dict[str, object]:
        if self.reasoning_field:
            return {self.reasoning_field: turn.reasoning}
        if self.knows_marks:
            return {"content": fold_thoughts(turn.reasoning, turn.only_text)}
        raise InputError(
            f"{self.name} has no place for thoughts that a file has apart ({', '.join(REASONING_FIELDS)}): use a "
            "template that writes them, thoughts=drop, or put them into the text in <think> marks"
        )

    def _call(self, call: ToolCall) -> dict[str, object]:
        arguments = call.arguments if self._arguments_as_text else parse_object(call.arguments)
        row: dict[str, object] = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
        return row | ({"id": call.id} if call.id else {})


def text_parts(text: str) -> list[dict[str, str]]:
    """Return a text as the list of its one part."""
    return [{"type": "text", "text": text}]


def fold_thoughts(reasoning: str, content: str) -> str:
    """Return thoughts and text as one text, the thoughts in think marks."""
    return f"<think>\n{reasoning.strip()}\n</think>\n\n{content}"


def tools_of(messages: Sequence[Message]) -> tuple[list[object] | None, Sequence[Message]]:
    """Return the functions that a conversation may call (None without any), and its turns."""
    if not messages or messages[0].role != "tools":
        return None, messages
    return parse_tools(messages[0].only_text) or None, messages[1:]


@lru_cache(maxsize=256)  # a file of thousands of rows has a few lists of functions
def parse_tools(text: str) -> list[object]:
    """Return the list of functions that a pseudo-turn `tools` holds.

    Raises:
        InputError: it is no JSON list.
    """
    tools = _parsed(text)
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InputError(f"the functions of a conversation must be a JSON list of objects, got {cut(text)!r}")
    return tools


def parse_object(text: str) -> dict[str, object]:
    """Return the arguments of a call.

    Raises:
        InputError: they are no JSON object.
    """
    arguments = _parsed(text)
    if not isinstance(arguments, dict):
        raise InputError(f"the arguments of a call must be a JSON object, got {cut(text)!r}")
    return arguments


def _parsed(text: str) -> object:
    try:
        parsed: object = json.loads(text)
    except ValueError:
        return None
    return parsed


def tool_names(tools: Sequence[object]) -> list[str]:
    """Return the names of functions, in either form: bare, or below `function`."""
    names = []
    for tool in tools:
        function = tool.get("function", tool) if isinstance(tool, dict) else {}
        name = function.get("name") if isinstance(function, dict) else None
        names.append(name if isinstance(name, str) else "")
    return names
