"""A tokenizer as GGUF has it: pieces with their kinds, merges or scores, and how a text is split before.

The pattern of the split is looked up in `penchant.models.text_splits`, and one that is not there is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal

from penchant.engine.foreign_types import Tokenizer
from penchant.errors import InputError
from penchant.models.text_splits import BYTE_LEVEL, DIGITS, SPLITS


class Kind(IntEnum):
    """The kinds of a piece in `tokenizer.ggml.token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A tokenizer in GGUF's terms.

    Attributes:
        model: `gpt2` (pieces of bytes, merges by rank) or `llama` (SentencePiece: pieces with scores).
        pre: the name of the split; `default` for SentencePiece.
        pieces, kinds, scores: one per token id; scores only of SentencePiece.
        merges: pairs with a space between, the first merged first; empty for SentencePiece.
        space_before: whether a text is read with a space before it.
        starts, ends: whether a text gets the beginning or end token.
        special: ids by what they are for: `bos`, `eos`, `eot`, `unknown`, `padding`.
        templates: chat templates by name; the one that is used is `default`.
    """

    model: Literal["gpt2", "llama"]
    pre: str
    pieces: tuple[str, ...]
    kinds: tuple[Kind, ...]
    scores: tuple[float, ...] = ()
    merges: tuple[str, ...] = ()
    space_before: bool = False
    starts: bool = False
    ends: bool = False
    special: Mapping[str, int] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)


def read_vocabulary(tokenizer: Tokenizer, rows: int, end_ids: frozenset[int] = frozenset()) -> Vocabulary:
    """Return a tokenizer in GGUF's terms.

    Args:
        rows: how many rows the embeddings have; pieces that no token uses fill the rest.
        end_ids: tokens that end a turn, by the model's generation settings.

    Raises:
        InputError: its kind or its split is not one that llama.cpp and the mapping here know, or it has more tokens
            than the model has rows.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _refusal("it has no tokenizer.json, from which the pieces are read")
    content = json.loads(backend.to_str())
    inner = content["model"]
    if inner["type"] != "BPE":
        raise _refusal(f"it is of the kind {inner['type']}, expected BPE")
    added = content.get("added_tokens") or ()
    by_id = {number: piece for piece, number in inner["vocab"].items()} | {
        entry["id"]: entry["content"] for entry in added
    }
    if max(by_id, default=0) >= rows:
        raise InputError(
            f"no GGUF can be written: the tokenizer has the token {max(by_id)} ({by_id[max(by_id)]!r}), but the "
            f"model's embeddings have {rows} rows"
        )
    pairs = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in inner["merges"]]
    sentencepiece = bool(inner.get("byte_fallback"))
    kinds = _kinds(by_id, added, rows, inner.get("unk_token"), sentencepiece)
    pieces = tuple(by_id.get(number, f"[PAD{number}]") for number in range(rows))
    probe = tokenizer("a").input_ids
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    vocabulary = Vocabulary(
        model="llama" if sentencepiece else "gpt2",
        pre="default",
        pieces=pieces,
        kinds=kinds,
        starts=bos is not None and probe[:1] == [bos],
        ends=eos is not None and probe[-1:] == [eos],
        special=_special(tokenizer, end_ids),
        templates=_templates(tokenizer),
    )
    if sentencepiece:
        scores = _scores(pieces, kinds, pairs)
        return replace(vocabulary, scores=scores, space_before=_reads_spaces(content))
    pre = _split_name(content, bool(inner.get("ignore_merges")))
    return replace(vocabulary, pre=pre, merges=tuple(f"{left} {right}" for left, right in pairs))


def _refusal(reason: str) -> InputError:
    return InputError(
        f"no GGUF can be written of this tokenizer: {reason}. Install llama.cpp and name its script "
        "(converter=PATH to convert_hf_to_gguf.py), or take format=merged"
    )


def _kinds(
    by_id: Mapping[int, str], added: Sequence[Mapping[str, object]], rows: int, unknown: str | None, sentencepiece: bool
) -> tuple[Kind, ...]:
    kinds = [Kind.NORMAL if number in by_id else Kind.UNUSED for number in range(rows)]
    for entry in added:
        kinds[int(str(entry["id"]))] = Kind.CONTROL if entry["special"] else Kind.USER_DEFINED
    if sentencepiece:
        for number, piece in by_id.items():
            if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
                kinds[number] = Kind.BYTE
            elif piece == unknown:
                kinds[number] = Kind.UNKNOWN
    return tuple(kinds)


def _scores(pieces: Sequence[str], kinds: Sequence[Kind], pairs: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Return a score per piece: that of two neighbours whose whole scores highest are merged first."""
    # the rank of the first merge that makes a piece; SentencePiece knows no pairs, only their wholes
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(pairs):
        ranks.setdefault("".join(pair), rank)
    worst = float(len(pairs))
    return tuple(
        -float(ranks.get(piece, worst)) if kind is Kind.NORMAL else 0.0
        for piece, kind in zip(pieces, kinds, strict=True)
    )


def _special(tokenizer: Tokenizer, end_ids: frozenset[int]) -> dict[str, int]:
    ids = {
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "unknown": tokenizer.unk_token_id,
        "padding": tokenizer.pad_token_id,
        # a chat model ends its turns by another token than its texts
        "eot": min((number for number in end_ids if number != tokenizer.eos_token_id), default=None),
    }
    return {name: number for name, number in ids.items() if number is not None}


def _templates(tokenizer: Tokenizer) -> dict[str, str]:
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, Mapping):
        return {str(name): str(text) for name, text in template.items()}
    return {"default": template} if isinstance(template, str) and template else {}


def _steps(part: Mapping[str, object] | None) -> Iterator[Mapping[str, object]]:
    """Yield the steps of a normalizer or a pre-tokenizer, those of sequences one by one."""
    if part is None:
        return
    if part["type"] == "Sequence":
        inner = part.get("normalizers") or part.get("pretokenizers") or ()
        for step in inner:  # type: ignore[attr-defined]  # JSON's shape is checked by its reader in `tokenizers`
            yield from _steps(step)
    else:
        yield part


def _pattern(step: Mapping[str, object]) -> str:
    pattern = step["pattern"]
    assert isinstance(pattern, Mapping)
    return str(pattern.get("Regex", pattern.get("String")))


def _split_name(content: Mapping[str, Mapping[str, object]], ignore_merges: bool) -> str:
    """Return llama.cpp's name for the split of a tokenizer of bytes.

    Raises:
        InputError: the table has no such split, or the text is changed before it.
    """
    for step in _steps(content.get("normalizer")):
        if step["type"] != "NFC":  # llama.cpp does not compose characters either, which few texts need
            raise _refusal(f"it changes texts by {step['type']}, which llama.cpp does not")
    patterns: list[str] = []
    for step in _steps(content.get("pre_tokenizer")):
        if step["type"] == "ByteLevel":
            if step.get("add_prefix_space"):
                raise _refusal("it puts a space before each text, which llama.cpp does not")
            patterns += [BYTE_LEVEL] if step.get("use_regex", True) else []
        elif step["type"] == "Digits" and step.get("individual_digits"):
            patterns.append(DIGITS)
        elif step["type"] == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
            patterns.append(_pattern(step))
        else:
            raise _refusal(f"it splits texts by {json.dumps(step, ensure_ascii=False)}")
    name = SPLITS.get((tuple(patterns), ignore_merges))
    if name is None:
        raise _refusal(
            f"it splits texts by {patterns}{' and ignores merges' if ignore_merges else ''}, for which "
            f"llama.cpp has no name that is known here (known are {', '.join(SPLITS.values())})"
        )
    return name


def _reads_spaces(content: Mapping[str, Mapping[str, object]]) -> bool:
    """Return whether a tokenizer of SentencePiece puts a space before each text.

    Raises:
        InputError: it changes texts in another way.
    """
    prefix, replaced = False, False
    for step in _steps(content.get("normalizer")):
        if step["type"] == "Prepend" and step.get("prepend") == "▁":
            prefix = True
        elif step["type"] == "Replace" and _pattern(step) == " " and step.get("content") == "▁":
            replaced = True
        else:
            raise _refusal(f"it changes texts by {json.dumps(step, ensure_ascii=False)}")
    for step in _steps(content.get("pre_tokenizer")):
        if step["type"] == "Metaspace" and step.get("replacement") == "▁" and not step.get("split", True):
            replaced, prefix = True, step.get("prepend_scheme") in ("always", "first")
        # Gemma's: a space begins no piece of two words there, and none of its pieces has one inside
        elif step["type"] != "Split" or _pattern(step) != " ":
            raise _refusal(f"it splits texts by {json.dumps(step, ensure_ascii=False)}")
    if not replaced:
        raise _refusal("it does not write spaces as ▁")
    return prefix
