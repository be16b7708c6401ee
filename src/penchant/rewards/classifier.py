"""A sequence classifier of transformers as a reward: the probability of one of its labels, such as P(positive)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from penchant.data.rendering.vocabulary import check_vocabulary, embedding_rows
from penchant.engine.lengths import forget_earlier_lengths, length_classes
from penchant.errors import InputError
from penchant.models.device import choose_device
from penchant.models.weights import complete
from penchant.rewards.names import classifier_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 32  # texts of one forward pass, of like length
NO_LIMIT = 10**6  # a tokenizer that knows no limit says 10**30
POSITIVE = ("positive", "pos", "label_1")  # what the wanted label is called where none is named


@dataclass(frozen=True)
class Classifier:
    """Callable as a reward: P(label) of each prompt with its response.

    Attributes:
        model: of `AutoModelForSequenceClassification`. label: the index of the label that is asked for.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    label: int

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return a probability from 0 to 1 per pair.

        Prompt and response are one text; what is too long loses its beginning.
        """
        texts = [prompt + response for prompt, response in pairs]
        # texts of like length share a pass, so that little of it is padding
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        rewards = [0.0] * len(texts)
        for first in range(0, len(order), BATCH):
            indices = order[first : first + BATCH]
            for index, reward in zip(indices, self._probabilities([texts[i] for i in indices]), strict=True):
                rewards[index] = reward
        return rewards

    @torch.inference_mode()
    def _probabilities(self, texts: list[str]) -> list[float]:
        # what is too long loses its beginning, since the tokenizer was loaded with `truncation_side="left"`
        read = partial(self.tokenizer, truncation=True, max_length=self._context())
        lengths = [len(ids) for ids in read(texts)["input_ids"]]
        shares = [0.0] * len(texts)
        for group in length_classes(self.model.config.get_text_config()).grouped(lengths):
            batch = [texts[index] for index in group]
            encoded = read(batch, padding=True, return_tensors="pt")
            check_vocabulary(encoded["input_ids"].flatten().tolist(), embedding_rows(self.model), self.tokenizer)
            logits = self.model(**encoded.to(self.model.device)).logits.float()
            for index, share in zip(group, logits.softmax(dim=-1)[:, self.label].tolist(), strict=True):
                shares[index] = share
        return shares

    def _context(self) -> int | None:
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions and self.model.config.model_type in ("roberta", "xlm-roberta"):
            positions -= self.model.config.pad_token_id + 1  # they count from the padding token's number on
        limits = (self.tokenizer.model_max_length, positions)
        return min((limit for limit in limits if limit and limit < NO_LIMIT), default=None)


def load_classifier(spec: str, *, device: str = "auto") -> Classifier:
    """Return the reward of `classifier:MODEL` or `classifier:MODEL:LABEL`.

    Args:
        spec: MODEL is a folder or hub id; its weights must be safetensors, and no code of its own is run. LABEL is a
            name or number among the model's labels; if not given, the one called positive (or LABEL_1).
        device: as `load_policy` takes it; `auto` is a GPU if there is one.

    Raises:
        InputError: no such model, a model with one output (a learned reward: name its folder alone), no such label.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    name, label_name = classifier_name(spec)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, truncation_side="left", trust_remote_code=False)
        # a pickle, or code beside the weights, would run whatever somebody uploaded
        options = {"use_safetensors": True, "trust_remote_code": False, "dtype": torch.float32}
        model = complete(AutoModelForSequenceClassification, name, options)
    except Exception as error:  # whatever transformers raises: one message
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"the reward `{spec}`: the classifier {name!r} cannot be loaded: {reason}") from error
    # a causal model as a classifier reads the last token that is no padding, and must know which that is
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id
    forget_earlier_lengths(model)
    labels = {int(index): str(label) for index, label in model.config.id2label.items()}
    if len(labels) < 2:
        raise InputError(
            f"the reward `{spec}`: {name} has one output, so it is a reward model and not a classifier: give its "
            "folder without `classifier:`"
        )
    return Classifier(model.to(choose_device(device)).eval(), tokenizer, _label_index(spec, labels, label_name))


def _label_index(spec: str, labels: dict[int, str], label_name: str | None) -> int:
    if label_name is not None and label_name.isdigit() and int(label_name) in labels:
        return int(label_name)
    # model cards spell one label in many ways; LABEL_1 is what transformers calls it where nobody named it
    names = (label_name.lower(),) if label_name is not None else POSITIVE
    for name in names:
        for index, label in labels.items():
            if label.lower() == name:
                return index
    raise InputError(
        f"the reward `{spec}`: no label {label_name or 'positive'!r} among {', '.join(labels.values())}; "
        "name one: classifier:MODEL:LABEL"
    )
