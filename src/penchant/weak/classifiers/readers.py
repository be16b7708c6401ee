"""Networks whose states are probed: a language model's at the last token, an encoder's on average over its tokens.

An image model's are its last state on average over the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from penchant.data.rendering.vocabulary import check_vocabulary, embedding_rows
from penchant.engine.lengths import forget_earlier_lengths, length_classes
from penchant.image import Image
from penchant.models.encoder import Encoder, is_encoder, load_encoder
from penchant.models.image_encoder import ImageEncoder, is_image_encoder, load_image_encoder
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import ModelConfig
from penchant.types import PromptGroup, prompt_text
from penchant.weak.classifiers.reading import Ids, by_length_class, first_layers, last_states, padded, shorten
from penchant.weak.classifiers.responses import encode_options
from penchant.weak.contract import Example, only_images, refuse_images

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Read = tuple[Ids, ...]
"""The tokens of an example: a text's, or those of a prompt with each of its options; the digest of a picture."""


class Reader(Protocol):
    """A network that reads examples.

    Attributes:
        model: whose weights and configuration decide what it makes of them.
    """

    model: PreTrainedModel
    device: torch.device

    def encode(self, examples: Sequence[Example], longest: int) -> list[Read]:
        """Return the tokens of each example: at most `longest`, fewer where the model's context ends; see `shorten`."""

    def states(self, rows: Sequence[Ids], layers: int) -> Sequence[Tensor]:
        """Return the states after the embedding and the first `layers` layers, shape (rows, hidden) each."""


class LanguageModelReader:
    """A causal language model: the state at the last token, which has seen all others."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.device = policy, policy.scorer.device
        self.model: PreTrainedModel = policy.model

    def encode(self, examples: Sequence[Example], longest: int) -> list[Read]:
        # a model may not be asked beyond its context, whatever the settings say
        longest = min(longest, self.policy.context or longest)
        refuse_images(examples, "a language model")
        if any(isinstance(example, PromptGroup) for example in examples):
            # as a reward model reads them, so that a probe and a reward model see the same tokens
            rendered = encode_options(self.policy, examples, longest)
            return [tuple((*row.prompt_ids, *branch.ids) for branch in row.branches) for row in rendered]
        texts = [example for example in examples if isinstance(example, str)]
        return [(shorten(self.policy.renderer.prompt_ids(text), longest),) for text in texts]

    def states(self, rows: Sequence[Ids], layers: int) -> Sequence[Tensor]:
        with first_layers(self.policy, layers + 1):  # one more than is kept: after the last comes a norm
            return last_states(self.policy, rows)[: layers + 1]


class EncoderReader:
    """An encoder: the mean of the states of all tokens (Reimers and Gurevych 2019, "Sentence-BERT")."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.device = encoder, encoder.device
        self.model: PreTrainedModel = encoder.model
        forget_earlier_lengths(encoder.model)

    def encode(self, examples: Sequence[Example], longest: int) -> list[Read]:
        longest = min(longest, self.encoder.context)
        refuse_images(examples, "an encoder of texts")
        read = [
            self._options(example, longest)
            if isinstance(example, PromptGroup)
            else (shorten(self._ids(str(example)), longest),)
            for example in examples
        ]
        # a token beyond the embedding would end in an error of the kernel, without the text's name
        rows = embedding_rows(self.model)
        for ids in (ids for row in read for ids in row):
            check_vocabulary(ids, rows, self.encoder.tokenizer)
        return read

    def _options(self, example: PromptGroup, longest: int) -> Read:
        """Cut prompt and option as a language model reads them.

        The option keeps its beginning, the prompt what then has room. What the encoder puts at the end stays.
        """
        # an encoder closes a text with a token of its own, which belongs behind the option
        *prompt, end = self._ids(prompt_text(example.prompt))
        option_ids = self.encoder.tokenizer(
            [option.text for option in example.responses], add_special_tokens=False, verbose=False
        )
        # at least a quarter for the prompt: a long option must not push out what it answers
        prompt_room = min(len(prompt), max(1, longest // 4))
        options = [tuple(ids[: longest - prompt_room - 1]) for ids in option_ids["input_ids"]]
        shortened_prompt = shorten(tuple(prompt), longest - 1 - max(map(len, options)))
        return tuple((*shortened_prompt, *option, end) for option in options)

    def _ids(self, text: str) -> Ids:
        return tuple(self.encoder.tokenizer(text, verbose=False)["input_ids"])

    def states(self, rows: Sequence[Ids], layers: int) -> Sequence[Tensor]:
        classes = length_classes(self.model.config.get_text_config())
        # rows whose numbers depend on the length of their pass never share one
        return by_length_class(rows, classes, lambda rows_of_class: self._means(rows_of_class)[: layers + 1])

    def _means(self, rows: Sequence[Ids]) -> Sequence[Tensor]:
        ids, mask = (tensor.to(self.device) for tensor in padded(rows))
        out = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        # over tokens, not padding: a mean that depends on its neighbours in a batch would be no feature
        weights = mask[..., None] / mask.sum(1)[:, None, None]
        return [(states.float() * weights).sum(1) for states in out.hidden_states]


class ImageReader:
    """An image model. What stands for the tokens of a picture is the digest of its bytes, as eight numbers."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder, self.device = encoder, encoder.device
        self.model: PreTrainedModel = encoder.model
        self._images: dict[Ids, Image] = {}

    def encode(self, examples: Sequence[Example], longest: int) -> list[Read]:
        images = only_images(examples, "an image model")
        ids = [tuple(np.frombuffer(bytes.fromhex(image.sha256), np.int32).tolist()) for image in images]
        # of this call alone: who asks for states asks for those of the rows that were just read
        self._images = dict(zip(ids, images, strict=True))
        return [(row,) for row in ids]

    def states(self, rows: Sequence[Ids], layers: int) -> Sequence[Tensor]:
        return [self.encoder.features([self._images[row] for row in rows])]


def load_reader(network: ModelConfig) -> Reader:
    """Return the reader that a model takes.

    Raises:
        InputError: no such model, or a broken one.
    """
    if is_image_encoder(network.name, trust_remote_code=network.trust_remote_code):
        return ImageReader(load_image_encoder(network))
    if is_encoder(network.name, trust_remote_code=network.trust_remote_code):
        return EncoderReader(load_encoder(network))
    return LanguageModelReader(load_policy(network, template="plain", overflow="truncate_prompt"))
