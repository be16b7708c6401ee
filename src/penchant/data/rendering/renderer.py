"""Render a prompt with responses as token ids: one renderer for training, sampling and judging.

The rendered text is tokenized once and the boundary between prompt and response is taken from the offsets. A token
that straddles the boundary belongs to the response (it holds characters of it); the responses of a group share the
longest common prefix of their token ids, and what differs is scored only from the boundary on. So what is scored is
always the tokenization that the model would meet in running text, and nothing is tokenized twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from penchant.data.options import Overflow, Template, TemplateArgs, Thoughts
from penchant.data.rendering.chat_template import ChatTemplate
from penchant.data.rendering.chat_text import ChatText
from penchant.data.rendering.media_prompt import MediaReader
from penchant.data.rendering.plain_text import PlainText
from penchant.data.rendering.rendered import Rendered
from penchant.data.rendering.spans import Span, TokenizedText, TokenRow, WrittenGroup, share_prefix
from penchant.data.rendering.taught import TaughtTurns
from penchant.data.rendering.template_source import template_text
from penchant.data.rendering.vocabulary import check_vocabulary
from penchant.errors import InputError
from penchant.thoughts import find_thoughts
from penchant.types import Prompt, PromptGroup, Response

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_CHARACTERS = 2_000_000  # of a text: about half a million tokens, for which a tokenizer takes half a minute


class TooLong(InputError):
    """A row longer than the limit; `render_all` counts it or passes it on, as the policy says."""


@dataclass(frozen=True)
class Renderer:
    """The way from prompts and responses to token ids, the same everywhere.

    Attributes:
        tokenizer: a fast tokenizer of `transformers` (offsets are needed).
        end_ids: tokens that end a response; the tokenizer's EOS, and what the template ends an answer with, are always
            among them.
        template: `chat` uses the tokenizer's chat template, `plain` joins the text as it is, `auto` takes the
            chat template where there is one; or a named template, or a `.jinja` file.
        template_args: what the template is told beside the conversation; `today` fixes the date that it writes.
        thoughts: what becomes of thoughts: they are scored with the answer (`score`), stand in the context (`mask`),
            or are taken out before rendering (`drop`). Those of samples, which are kept as they were drawn, are masked
            then too.
        max_length: tokens of prompt and response together, at most; None for no limit.
        overflow: what to do with a longer row: `error`, `drop` the group (counted), or `truncate_prompt`, which
            cuts the prompt from its left end (a start token is kept) and never touches a response.
        every_turn: score every assistant turn of a conversation, not only the response (for SFT).
        switches: score the earlier turns that the file says are taught (for SFT and labels).
        embeddings: rows of the model's embeddings, which every token must have one of; None where that is not known.
        context: the tokens that the model takes at once; None where that is not known.
        template_name: what messages call the template, where the tokenizer was given it; else that of the tokenizer.
        media: renders for a model that reads pictures, in the place of what stands here; None for a model of texts.
        chat_template: the template that prompts go through; None for plain text.
    """

    tokenizer: PreTrainedTokenizerBase
    end_ids: frozenset[int] = frozenset()
    template: Template = "auto"
    template_args: TemplateArgs = field(default_factory=dict, hash=False)
    thoughts: Thoughts = "score"
    max_length: int | None = None
    overflow: Overflow = "error"
    every_turn: bool = False
    switches: bool = False
    embeddings: int | None = None
    context: int | None = field(default=None, repr=False, compare=False)
    template_name: str = field(default="", repr=False, compare=False)
    media: MediaReader | None = field(default=None, repr=False, hash=False)
    chat_template: ChatTemplate | None = field(default=None, init=False, repr=False, compare=False)
    _writer: ChatText | PlainText = field(default_factory=PlainText, init=False, repr=False, compare=False)

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
        put = object.__setattr__  # the class is frozen; this is its only writer
        put(self, "chat_template", self._open_template())
        end_ids = self.end_ids | {self.tokenizer.eos_token_id}
        writer: ChatText | PlainText = PlainText(self.thoughts)
        if self.chat_template is not None:
            writer = ChatText(self.chat_template, self.thoughts)
            end_ids |= writer.ends.ids
        put(self, "_writer", writer)
        put(self, "end_ids", end_ids)

    def _open_template(self) -> ChatTemplate | None:
        """Return the chat template that is asked for; None for plain text."""
        text = template_text(self.template)
        if text is not None:
            return ChatTemplate(self.tokenizer, text, self.template_args, f"the template {self.template}")
        if self.template == "chat" and not self.tokenizer.chat_template:
            raise InputError(
                "template=chat was asked for, but this tokenizer has no chat template: use template=plain, or name one "
                "(template=chatml)"
            )
        if self.template == "plain" or not self.tokenizer.chat_template:
            if self.template_args:
                raise InputError(
                    f"template_args={dict(self.template_args)} are for a chat template, but prompts are plain text "
                    f"({'template=plain' if self.template == 'plain' else 'the tokenizer has no chat template'})"
                )
            return None
        return ChatTemplate(self.tokenizer, None, self.template_args, self.template_name)

    @property
    def chat(self) -> bool:
        """Return whether prompts go through a chat template."""
        return self.chat_template is not None or self.media is not None

    # -- text ---------------------------------------------------------------------------------------------------

    def text(self, prompt: Prompt) -> str:
        """Return the prompt as the model sees it, with the header that asks for an answer.

        Raises:
            InputError: the chat template fails or leaves a turn of the prompt out.
        """
        return self._writer.head(prompt) if self.media is None else self.media.open_prompt(prompt, "the prompt").text

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
        if self.media is not None:
            return self.media.prompt_ids(prompt)
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
        if self.media is not None:
            return [_attempt(self.media.render, group) for group in groups]
        written = [_attempt(self._write, group) for group in groups]
        texts = [spans[-1].full for row in written if not isinstance(row, InputError) for spans in row.rows]
        unique = list(dict.fromkeys(texts))  # samples of one prompt need its tokens once
        tokens = dict(zip(unique, self._tokenize(unique), strict=True))

        def assemble(group: PromptGroup, text: WrittenGroup) -> Rendered:
            rows = [
                self._row(response, taught, tokens[taught[-1].full])
                for response, taught in zip(group.responses, text.rows, strict=True)
            ]
            return self._fit(share_prefix(rows, self._start_id(), text, group.source))

        return [
            row if isinstance(row, InputError) else _attempt(assemble, group, row)
            for group, row in zip(groups, written, strict=True)
        ]

    def _write(self, group: PromptGroup) -> WrittenGroup:
        _refuse_endless(*(response.text for response in group.responses))
        written = self._writer.write(group, TaughtTurns(self.every_turn, self.switches))
        _refuse_endless(written.head)
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
            # The end token of the turn, if the template writes one. Where an earlier turn ends with another token than
            # the last one (GPT-OSS: `<|end|>`, which ends no sample), a model that learned it would talk on.
            if span.finished:
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
        start = 0 if self.thoughts == "score" else self._answer_start(token_ids)
        return TokenRow((*head, *token_ids), ((len(head) + start, len(head) + len(token_ids)),), False)

    def _answer_start(self, token_ids: tuple[int, ...]) -> int:
        """Return the first token of a sample's answer, behind its thoughts; 0 where it has no answer."""

        def decoded(count: int) -> str:
            return str(self.tokenizer.decode(list(token_ids[:count]), clean_up_tokenization_spaces=False))

        block = find_thoughts(decoded(len(token_ids)))
        if block is None or not block.closed:
            return 0
        counts = range(len(token_ids) + 1)
        start = bisect_right(counts, block.answer, key=lambda count: len(decoded(count))) - 1
        return start if start < len(token_ids) else 0

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
        # what a model takes cannot be raised, so it is not to be called a setting
        is_context = self.max_length == self.context
        # The prompt is cut for all responses alike, by what the longest one needs: they share it.
        prompt, excess = rendered.prompt_ids, longest - self.max_length
        # The start token stays, as models are trained with one before every text.
        keep_start = int(prompt[0] == self.tokenizer.bos_token_id)
        too_long = (
            f"{longest} tokens (prompt {len(prompt)}, longest response {longest - len(prompt)}) are more than "
            + (f"the {self.context} that the model takes" if is_context else f"max_length={self.max_length}")
        )
        larger = "" if is_context else "raise max_length, or "
        if self.overflow != "truncate_prompt":
            raise TooLong(f"{too_long}; {larger}set overflow to drop or truncate_prompt")
        if len(prompt) - excess < 1 + keep_start:
            raise TooLong(f"{too_long}, and a response alone fills that: {larger}set overflow=drop")
        cut = (*prompt[:keep_start], *prompt[keep_start + excess :])
        return replace(rendered, prompt_ids=cut, truncated=True)


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
    longest = max(map(len, texts), default=0)
    if longest > MAX_CHARACTERS:
        raise TooLong(
            f"a text of {longest:,} characters is more than {MAX_CHARACTERS:,}, the most that is tokenized; "
            "shorten it, or leave the row out"
        )
