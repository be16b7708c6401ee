"""Tokens that a chat template writes and that a base model lacks: added to it, and trained with it.

The marks of a template, such as `<|im_start|>`, become one token each, and what ends an answer becomes the end token.
The row of each of them, in the embeddings and in an untied head, starts as the mean of the rows that the model has for
the tokens it knew. No random number is drawn: a run that is resumed, and whoever opens its adapters, begins with the
same rows. The mean lies where the model expects a token, which a random row does not (Hewitt 2021, "Initializing new
word embeddings for pretrained language models").
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from penchant.data.options import TemplateArgs
from penchant.data.rendering.chat_template import ChatTemplate
from penchant.engine.attention import unwrap
from penchant.engine.foreign_types import PreTrainedModel, Tokenizer
from penchant.errors import InputError
from penchant.types import Message

log = logging.getLogger("penchant.models")

MARK = re.compile(r"<\|[^<>|\s]{1,60}\|>|</?[A-Za-z]+(?:_[A-Za-z]+)+>")
"""What stands for one token in a template: `<|im_end|>`, `<start_of_turn>`."""
QUESTION, ANSWER = "zq question", "zq answer"
ROWS = 4096  # of a matrix that are added up at once: all of them in float64 would be twice the matrix
_ADDED = "penchant_added_tokens"  # the attribute of a network that has rows for added tokens


@dataclass(frozen=True)
class AddedTokens:
    """Tokens that were added to a model.

    Attributes:
        ids: their numbers.
        vocabulary: how many tokens the model knew; the mean of their rows is the start of each new one.
    """

    ids: tuple[int, ...]
    vocabulary: int


def add_marks(tokenizer: Tokenizer, args: TemplateArgs, name: str = "") -> AddedTokens | None:
    """Give a tokenizer the marks of its chat template that it lacks; what ends an answer becomes its end token.

    Args:
        args: what the template is told. name: what messages call it.

    Returns:
        What was added; None where the tokenizer knew every mark.

    Raises:
        InputError: the template refuses a question with an answer.
    """
    from tokenizers import AddedToken

    turns = [Message("user", QUESTION), Message("assistant", ANSWER)]
    template = ChatTemplate(tokenizer, None, args, name)
    conversation = template.write(turns, answered=True)
    question = template.write(turns[:1], answered=False)
    # some templates know no second question, and some no system's turn
    further_conversations = ([*turns, turns[0]], False), ([Message("system", "zq system"), *turns], True)
    texts = [
        conversation,
        question,
        *(_written(template, rows, answered=answered) for rows, answered in further_conversations),
    ]
    size, vocabulary = len(tokenizer), tokenizer.get_vocab()
    marks = [mark for mark in dict.fromkeys(MARK.findall("\n".join(texts))) if mark not in vocabulary]
    if marks:
        tokens = [AddedToken(mark, special=True, normalized=False) for mark in marks]
        tokenizer.add_tokens(tokens, special_tokens=True)
        log.warning("%d tokens of the chat template are added to the model: %s", len(marks), " ".join(marks))
    _set_end_token(tokenizer, conversation.partition(ANSWER)[2].lstrip())
    return AddedTokens(tuple(tokenizer.convert_tokens_to_ids(marks)), size) if marks else None


def add_missing_tokens(network: PreTrainedModel, tokenizer: Tokenizer, larger: Tokenizer) -> None:
    """Give a network and its tokenizer the tokens that were added to another tokenizer, with rows of the same start.

    So the base of a model that was given tokens can be what it is compared with. Nothing is done where the vocabularies
    differ in another way.
    """
    from tokenizers import AddedToken

    vocabulary, added = tokenizer.get_vocab(), larger.get_added_vocab()
    missing = sorted((number, token) for token, number in added.items() if token not in vocabulary)
    size = len(tokenizer)
    if not missing or [number for number, _ in missing] != [*range(size, size + len(missing))]:
        return
    special = {*larger.all_special_tokens}
    tokenizer.add_tokens([AddedToken(token, special=token in special, normalized=False) for _, token in missing])
    add_rows(network, AddedTokens(tuple(number for number, _ in missing), size))
    log.warning(
        "%d tokens that the reference lacks are added to it: the mean of its rows stands for each", len(missing)
    )


def _written(template: ChatTemplate, turns: Sequence[Message], *, answered: bool) -> str:
    """Return what the template writes; nothing where it refuses the conversation."""
    try:
        return template.write(turns, answered=answered)
    except InputError:
        return ""


def _set_end_token(tokenizer: Tokenizer, tail: str) -> None:
    """Make the token that a template writes behind an answer the tokenizer's end token.

    Args:
        tail: what the template writes there.
    """
    ends = [token for token in tokenizer.get_added_vocab() if tail.startswith(token)]
    if not ends:
        return
    # padding keeps the token that it has: a model of `transformers` may skip every token that pads
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.eos_token = max(ends, key=len)


def add_rows(network: PreTrainedModel, added: AddedTokens) -> None:
    """Give a network the rows of added tokens: embeddings and head grow where they are too short.

    A vocabulary that is padded, with more rows than tokens, has room already; its spare rows become the tokens'.
    """
    embeddings = network.get_input_embeddings().weight
    size = min(added.vocabulary, embeddings.shape[0])
    if max(added.ids) >= embeddings.shape[0]:
        network.resize_token_embeddings(max(added.ids) + 1, mean_resizing=False)
    with torch.no_grad():
        for layer in _ends(network):
            for table in (layer.weight, getattr(layer, "bias", None)):
                if isinstance(table, Tensor):
                    table[list(added.ids)] = _mean(table[:size])
    setattr(network, _ADDED, AddedTokens(added.ids, size))


def set_end_ids(network: PreTrainedModel, tokenizer: Tokenizer, end_ids: Iterable[int]) -> None:
    """Write the end tokens into a network's settings, for whoever samples it by `transformers`."""
    network.config.eos_token_id = tokenizer.eos_token_id
    generation = getattr(network, "generation_config", None)
    if generation is not None:
        generation.eos_token_id = sorted(end_ids)
        generation.pad_token_id = tokenizer.pad_token_id


def added_tokens(model: nn.Module) -> AddedTokens | None:
    """Return the tokens that were added to a model since its weights were loaded; None without any."""
    added: AddedTokens | None = getattr(unwrap(model), _ADDED, None)
    return added


def token_layers(network: PreTrainedModel, ids: Sequence[int]) -> dict[str, list[int]] | None:
    """Return which rows of which layers adapters train beside their own, as peft wants them; None for no rows.

    Raises:
        InputError: a network without a name for its embeddings.
    """
    if not ids:
        return None
    names = {id(module): name for name, module in network.named_modules() if name}
    ends = list(_ends(network))
    # peft follows a tied head by itself
    layers = {names[id(layer)]: list(ids) for layer in ends[: 1 if _tied(ends) else 2] if id(layer) in names}
    if not layers:
        raise InputError(f"{type(network).__name__} has no embeddings by a name, so tokens cannot be added to it")
    return layers


def check_trained(added: AddedTokens | None, train_top: int | None, targets: str | Sequence[str]) -> None:
    """Refuse to add tokens whose rows would never be trained.

    Args:
        targets: the layers that get adapters.

    Raises:
        InputError: only the last blocks train, or adapters lie on the embeddings themselves.
    """
    if added is None:
        return
    if train_top is not None:
        raise InputError(
            f"the chat template needs {len(added.ids)} tokens that the model has not, and model.train_top={train_top} "
            "leaves the embeddings as they are: the tokens would stay unlearned. Train all weights or model.lora, or "
            "take a template whose marks the model knows"
        )
    ends = [name for name in targets if "embed" in name or "wte" in name] if not isinstance(targets, str) else []
    if ends:
        raise InputError(
            f"model.lora.targets names {ends[0]}, but the rows of added tokens are trained there as they are: leave it "
            "out of the targets"
        )


def _ends(network: PreTrainedModel) -> Iterator[nn.Module]:
    """Yield the embeddings, and the vocabulary head where there is one."""
    yield network.get_input_embeddings()
    head = network.get_output_embeddings()
    if head is not None:
        yield head


def _tied(ends: Sequence[nn.Module]) -> bool:
    return len(ends) == 2 and ends[0].weight is ends[1].weight


def _mean(rows: Tensor) -> Tensor:
    """Return the mean of rows, the same bits however many threads there are."""
    total = torch.zeros(rows.shape[1:], dtype=torch.float64, device=rows.device)
    for part in rows.split(ROWS):
        total += part.double().sum(0)
    return (total / len(rows)).to(rows.dtype)


def read_added(content: Mapping[str, object]) -> AddedTokens | None:
    """Return the added tokens of a saved record; None where it has none.

    Raises:
        TypeError, KeyError, ValueError: it is damaged.
    """
    record = content.get("added_tokens")
    if record is None:
        return None
    if not isinstance(record, dict):
        raise TypeError("added_tokens is no object")
    ids, size = record["ids"], record["vocabulary"]
    if not ids or not all(isinstance(number, int) and number >= 0 for number in (*ids, size)):
        raise ValueError("added_tokens has no ids")
    return AddedTokens(tuple(ids), size)
