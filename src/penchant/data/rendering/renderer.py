"""Render a prompt with responses as token ids: one renderer for training, sampling and judging.

The rendered text is tokenized once and the boundary between prompt and response is taken from the offsets. A token
that straddles the boundary belongs to the response (it holds characters of it); the responses of a group share the
longest common prefix of their token ids, and what differs is scored only from the boundary on. So what is scored is
always the tokenization that the model would meet in running text, and nothing is tokenized twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from penchant.data.options import Overflow, Template, TemplateArgs, Thoughts
from penchant.data.rendering import templates
from penchant.data.rendering.apply_template import apply_template
from penchant.data.rendering.rendered import Rendered
from penchant.data.rendering.spans import Span, TokenizedText, TokenRow, share_prefix
from penchant.data.rendering.template_probe import TemplateFault, find_fault, find_misnaming
from penchant.data.rendering.vocabulary import check_vocabulary
from penchant.errors import InputError
from penchant.types import Message, Prompt, PromptGroup, Response, prompt_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN_ROLES = {"system": "System", "user": "Human", "assistant": "Assistant"}  # the names of Anthropic's HH
MAX_CHARACTERS = 2_000_000  # of a text: about half a million tokens, for which a tokenizer takes half a minute


class TooLong(InputError):
    """A row longer than the limit; `render_all` counts it or passes it on, as the policy says."""


@dataclass(frozen=True)
class Renderer:
    """The way from prompts and responses to token ids, the same everywhere.

    Attributes:
        tokenizer: a fast tokenizer of `transformers` (offsets are needed).
        end_ids: tokens that end a response; the tokenizer's EOS is always one of them.
        template: `chat` uses the tokenizer's chat template, `plain` joins the text as it is, `auto` takes the
            chat template where there is one.
        max_length: tokens of prompt and response together, at most; None for no limit.
        overflow: what to do with a longer row: `error`, `drop` the group (counted), or `truncate_prompt`, which
            cuts the prompt from its left end (a start token is kept) and never touches a response.
        embeddings: rows of the model's embeddings, which every token must have one of; None where that is not known.
        every_turn: score every assistant turn of a conversation, not only the response (for SFT).
        template_args, thoughts: as in `penchant.data.options.RenderOptions`.
    """

    tokenizer: PreTrainedTokenizerBase
    end_ids: frozenset[int] = frozenset()
    template: Template = "auto"
    max_length: int | None = None
    overflow: Overflow = "error"
    every_turn: bool = False
    embeddings: int | None = None
    template_args: TemplateArgs = field(default_factory=dict, hash=False)
    thoughts: Thoughts = "score"
    _probed: dict[tuple[str, ...], TemplateFault | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not getattr(self.tokenizer, "is_fast", False):
            raise InputError(
                "this model's tokenizer has no fast version, so it cannot say where a prompt ends; "
                "convert it with `transformers` (tokenizer.json) and try again"
            )
        if self.tokenizer.eos_token_id is None:
            raise InputError(
                "this model's tokenizer has no end-of-sequence token, so a response could never end; "
                "set `eos_token` in its tokenizer_config.json"
            )
        if self.template == "chat" and not self.tokenizer.chat_template:
            raise InputError("template=chat was asked for, but this tokenizer has no chat template: use template=plain")
        object.__setattr__(self, "end_ids", self.end_ids | {self.tokenizer.eos_token_id})

    @property
    def chat(self) -> bool:
        """Return whether prompts go through the chat template."""
        return self.template == "chat" or (self.template == "auto" and bool(self.tokenizer.chat_template))

    # -- text ---------------------------------------------------------------------------------------------------

    def text(self, prompt: Prompt, *, answered: bool = False) -> str:
        """Return the prompt as the model sees it; `answered` leaves out the header that asks for the next turn.

        Raises:
            InputError: the chat template fails or leaves a turn of the prompt out.
        """
        if isinstance(prompt, str) and not self.chat:
            return prompt
        messages = prompt_turns(prompt)
        if self.chat:
            rendered = apply_template(self.tokenizer, messages, answered=answered, args=self.template_args)
            if not answered:
                self._refuse_lost(messages, rendered)
            return rendered
        turns = "".join(f"\n\n{PLAIN_ROLES.get(m.role, m.role.title())}:{_spaced(m.content)}" for m in messages)
        return turns if answered else turns + "\n\nAssistant:"

    def _refuse_lost(self, messages: Sequence[Message], rendered: str) -> None:
        """Refuse a prompt that the template does not write as it is; probes are made once per sequence of roles."""
        templates.refuse_lost_turns(self.tokenizer, messages, rendered)
        roles = tuple(message.role for message in messages)
        if roles not in self._probed:
            self._probed[roles] = find_misnaming(self.tokenizer) or find_fault(self.tokenizer, roles)
        fault = self._probed[roles]
        # A turn without text is no loss where it is left out.
        if fault is not None and all(messages[turn - 1].content.strip() for turn in fault.turns):
            raise InputError(
                f"{templates.template_name(self.tokenizer)} {fault.words}. Use a template that writes each turn in its "
                "place and under its role, template=plain, or take such turns out of the data"
            )

    def decode(self, prompt_ids: Sequence[int], ids: Sequence[int]) -> str:
        """Return the text of ids drawn after a prompt, without special tokens.

        Decoded with the prompt's last tokens before them, since many tokenizers drop a space at the start of a text.
        """
        before = list(prompt_ids[-8:])  # enough for one character, which may be several tokens of bytes
        head, full = self._decode(before), self._decode([*before, *ids])
        # The prompt may end inside a character, which the first drawn token completes: then `head` is no beginning.
        return full[len(head) :] if full.startswith(head) else self._decode(ids)

    def _decode(self, ids: Sequence[int]) -> str:
        # the clean-up takes spaces before punctuation away, which the model did write
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    # -- tokens -------------------------------------------------------------------------------------------------

    def prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the ids that a sampler starts from. Never empty."""
        text = self.text(prompt)
        _refuse_endless(text)
        (tokens,) = self._tokenize([text])
        ids = tokens.ids or (self._start_id(),)
        check_vocabulary(ids, self.embeddings, self.tokenizer)
        return ids

    def render(self, group: PromptGroup) -> Rendered:
        """Return the token ids of a group.

        Raises:
            InputError: a prompt that the template rewrites once answered, an empty response, a finished sample
                without an end token (all name the group's source).
            TooLong: longer than `max_length` and the policy does not cut it.
        """
        (outcome,) = self.render_many([group])
        if isinstance(outcome, InputError):
            raise outcome
        return outcome

    def render_many(self, groups: Sequence[PromptGroup]) -> list[Rendered | InputError]:
        """Return what `render` gives or raises, per group. All texts are tokenized in one go, on all cores."""
        written = [_attempt(self._write, group) for group in groups]
        texts = [spans[-1].full for row in written if not isinstance(row, InputError) for spans in row]
        unique = list(dict.fromkeys(texts))  # samples of one prompt need its tokens once
        tokens = dict(zip(unique, self._tokenize(unique), strict=True))

        def assemble(group: PromptGroup, spans: list[list[Span]]) -> Rendered:
            rows = [
                self._row(response, taught, tokens[taught[-1].full])
                for response, taught in zip(group.responses, spans, strict=True)
            ]
            return self._fit(share_prefix(rows, self._start_id(), group.source))

        return [
            row if isinstance(row, InputError) else _attempt(assemble, group, row)
            for group, row in zip(groups, written, strict=True)
        ]

    def _write(self, group: PromptGroup) -> list[list[Span]]:
        """Return the text of each response with its prompt, as its taught turns; the last one holds all of it."""
        prompt = group.prompt
        head = self.text(prompt)
        _refuse_endless(head, *(response.text for response in group.responses))
        earlier_turns = self._earlier_spans(prompt) if self.every_turn and not isinstance(prompt, str) else {}
        written = []
        for response in group.responses:
            # A sample was drawn after the prompt, whose tokens alone are needed. Its own text may have other ids.
            if response.token_ids is not None:
                written.append([Span(head, len(head), len(head), len(head), response.finished)])
                continue
            last = self._turn_span(prompt, head, response.text, finished=response.finished)
            for number, span in earlier_turns.items():
                if not last.full.startswith(span.full):
                    raise InputError(f"the chat template rewrites turn {number} in a longer conversation")
            written.append([*earlier_turns.values(), last])
        return written

    def _row(self, response: Response, spans: Sequence[Span], tokens: TokenizedText) -> TokenRow:
        if response.token_ids is not None:
            return self._drawn_row(response.token_ids, tokens.ids or (self._start_id(),), finished=response.finished)
        ids = tokens.ids
        marks, unstable = [], False
        for span in spans:
            # A token that straddles the boundary holds characters of the response, so it is scored.
            start = tokens.first_ending_after(span.start)
            unstable |= start < len(ids) and tokens.offsets[start][0] < span.start
            text_end = tokens.first_from(span.text_end, start)
            stop = text_end
            if span.finished:  # the end token of the turn, if the template writes one
                turn_end = tokens.first_from(span.end, text_end)
                stop = next((i + 1 for i in range(text_end, turn_end) if ids[i] in self.end_ids), text_end)
            marks.append((start, stop))
        # What a template writes after the end token, such as a line break, is no part of the response.
        ids = ids[: marks[-1][1]]
        if response.finished and (not ids or ids[-1] not in self.end_ids or marks[-1][1] == text_end):
            ids = (*ids, self.tokenizer.eos_token_id)  # plain text, or a template that ends turns without a token
            marks[-1] = (marks[-1][0], len(ids))
        if marks[-1][0] >= marks[-1][1]:
            raise InputError("a response has no tokens: it is empty, or the template swallows it")
        return TokenRow(ids, tuple(m for m in marks if m[1] > m[0]), bool(unstable))

    def _drawn_row(self, token_ids: tuple[int, ...], head: tuple[int, ...], *, finished: bool) -> TokenRow:
        """Return the row of a sample: the prompt's own ids, then exactly what was drawn."""
        if not token_ids:
            raise InputError("a sampled response has no token ids")
        # An end token is never added to a sample: it would teach an end that was not drawn.
        if finished and token_ids[-1] not in self.end_ids:
            raise InputError(
                f"a sampled response says finished, but its last id {token_ids[-1]} ends nothing in this tokenizer "
                f"(end ids: {sorted(self.end_ids)}); was it drawn from another model? Remove `token_ids` to use the "
                "text"
            )
        return TokenRow((*head, *token_ids), ((len(head), len(head) + len(token_ids)),), False)

    def _turn_span(self, before: Prompt, head: str, text: str, *, finished: bool) -> Span:
        """Return a turn after `before`, whose own text is `head`."""
        if isinstance(before, str) and not self.chat:
            full = head + text
            return Span(full, len(head), len(full), len(full), finished)
        messages = prompt_turns(before)
        full = self.text((*messages, Message("assistant", text)), answered=True)
        if not full.startswith(head):
            raise InputError(f"{templates.template_name(self.tokenizer)} {templates.NO_BOUNDARY}")
        tail = full[len(head) :]
        end = templates.answer_end(tail, text)
        if end is None:
            unasked = self.text(messages, answered=True)
            raise InputError(templates.explain_rewriting(self.tokenizer, head, unasked, tail, text))
        return Span(full, len(head), len(head) + end, len(full), finished)

    def _earlier_spans(self, conversation: tuple[Message, ...]) -> dict[int, Span]:
        """Return the assistant's turns in a conversation, by their number."""
        turns = ((number, conversation[:number], turn) for number, turn in enumerate(conversation))
        return {
            number: self._turn_span(before, self.text(before), turn.content, finished=True)
            for number, before, turn in turns
            if turn.role == "assistant"
        }

    def _tokenize(self, texts: list[str]) -> list[TokenizedText]:
        """Tokenize each text; the start token that the tokenizer adds is kept, an end token is not."""
        if not texts:
            return []
        encoded = self.tokenizer(
            texts,
            add_special_tokens=not self.chat,  # a chat template writes its own
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # what is too long is ours to cut, or to say
        )
        rows = []
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            end = len(ids)
            # Some tokenizers end every text, but whether a response ends is for the response to say.
            while end and not self.chat and offsets[end - 1] == (0, 0) and ids[end - 1] == self.tokenizer.eos_token_id:
                end -= 1
            rows.append(TokenizedText(tuple(ids[:end]), offsets[:end]))
        return rows

    def _start_id(self) -> int:
        """Return what stands before a text without a prompt: the start token, or EOS where there is none (GPT-2)."""
        bos = self.tokenizer.bos_token_id
        return int(self.tokenizer.eos_token_id if bos is None else bos)

    def _fit(self, rendered: Rendered) -> Rendered:
        for ids in (rendered.prompt_ids, *(branch.ids for branch in rendered.branches)):
            check_vocabulary(ids, self.embeddings, self.tokenizer)
        longest = max(rendered.lengths, default=len(rendered.prompt_ids))
        if self.max_length is None or longest <= self.max_length:
            return rendered
        # The prompt is cut for all responses alike, by what the longest one needs: they share it.
        prompt, excess = rendered.prompt_ids, longest - self.max_length
        # The start token stays, as models are trained with one before every text.
        keep_start = int(prompt[0] == self.tokenizer.bos_token_id)
        too_long = (
            f"{longest} tokens (prompt {len(prompt)}, longest response {longest - len(prompt)}) are more than "
            f"max_length={self.max_length}"
        )
        if self.overflow != "truncate_prompt":
            raise TooLong(f"{too_long}; raise max_length, or set overflow to drop or truncate_prompt")
        if len(prompt) - excess < 1 + keep_start:
            raise TooLong(f"{too_long}, and a response alone fills that: raise max_length, or set overflow=drop")
        cut = (*prompt[:keep_start], *prompt[keep_start + excess :])
        return Rendered(cut, rendered.branches, rendered.unstable, True, rendered.source)


Result = TypeVar("Result")
Extras = ParamSpec("Extras")


def _attempt(
    step: Callable[Concatenate[PromptGroup, Extras], Result],
    group: PromptGroup,
    *extras: Extras.args,
    **options: Extras.kwargs,
) -> Result | InputError:
    """Return what a step makes of a group, or what is wrong with it, with the group's name."""
    try:
        return step(group, *extras, **options)
    except InputError as error:
        # of the same class, since `TooLong` is dropped where other errors are not
        located = type(error)(f"{group.source or 'a row'}: {error}")
        located.__cause__ = error
        return located


def _refuse_endless(*texts: str) -> None:
    """Refuse a text on which a tokenizer would spend minutes, and for which no model has room."""
    longest = max(map(len, texts))
    if longest > MAX_CHARACTERS:
        raise TooLong(
            f"a text of {longest:,} characters is more than {MAX_CHARACTERS:,}, the most that is tokenized; "
            "shorten it, or leave the row out"
        )


def _spaced(text: str) -> str:
    return text if not text or text[0].isspace() else " " + text
