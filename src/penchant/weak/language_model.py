"""A language model as a classifier: fine-tuned, by adapters, or prompted with its weights as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import load_file, save_file

from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.weak.contract import (
    FITTED_FIRST,
    KIND,
    Probabilities,
    Validation,
    as_probabilities,
    from_anywhere,
    write_kind,
)
from penchant.weak.fine_tune import Watch, all_logits, fine_tune
from penchant.weak.reading import HeadReading, Reading, WordsReading
from penchant.weak.settings import LanguageModel, Words

HEAD = "head.safetensors"


class LanguageModelClassifier:
    """Classes by a head on the last state, or by label words; see `penchant.weak.settings.LanguageModel`.

    Args:
        names: of the classes, which label words default to.
        loss: on the targets. seed: fixes the order of examples, adapters' start, and which are shown as shots.
        watch: looks at the training, see `penchant.weak.fine_tune.fine_tune`.
    """

    def __init__(
        self,
        settings: LanguageModel,
        *,
        names: Sequence[str] | None = None,
        loss: WeakLoss | None = None,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> None:
        self.settings, self.loss, self.seed, self.watch = settings, loss or CrossEntropy(), seed, watch
        self.names = tuple(names) if names else None
        self.reading: Reading | None = None
        self.shots: list[tuple[str, int]] = []

    def fit(
        self,
        examples: Sequence[str],
        targets: ArrayLike,
        *,
        validation: Validation | None = None,
        classes: int | None = None,
    ) -> Self:
        soft = as_probabilities(targets, len(examples), classes)
        classes = soft.shape[1]
        held = None
        if validation is not None:
            held = validation[0], torch.as_tensor(as_probabilities(validation[1], len(validation[0]), classes))
        settings = self.settings
        if settings.training is not None and settings.training.early_stopping and held is None:
            raise InputError("early stopping looks at validation labels: give fit a validation, or switch it off")
        torch.manual_seed(self.seed)  # the adapters' start
        if isinstance(settings.reading, Words):
            self.shots = _shots(examples, soft, settings.reading.shots, self.seed)
        self.reading = self._read(load_policy(settings.network, template="plain", overflow="truncate_prompt"), classes)
        if settings.training is not None:
            fine_tune(
                self.reading,
                examples,
                torch.as_tensor(soft),
                self.loss,
                settings.training,
                seed=self.seed,
                validation=held if settings.training.early_stopping or self.watch else None,
                watch=self.watch,
            )
        return self

    def predict_proba(self, examples: Sequence[str]) -> Probabilities:
        if self.reading is None:
            raise InputError(FITTED_FIRST)
        logits = all_logits(self.reading, self.reading.encode(examples))
        if not torch.isfinite(logits).all():
            raise InputError(f"{self.settings.model} gives numbers that are not finite: its weights are damaged")
        return logits.double().softmax(-1).numpy()

    def save(self, folder: str | Path) -> None:
        """Write model (or adapters), head and settings, for `penchant.weak.load_classifier`."""
        if self.reading is None:
            raise InputError(FITTED_FIRST)
        settings = self.settings.model_copy(update={"model": from_anywhere(self.settings.model)})
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        if self.settings.training is not None:
            self.reading.policy.save(target / "model")
        classes = len(self.names) if self.names else 0
        if isinstance(self.reading, HeadReading):
            save_file(self.reading.linear.state_dict(), target / HEAD)
            classes = self.reading.linear.out_features
        elif isinstance(self.reading, WordsReading):
            classes = len(self.reading.words)
        content = {"settings": settings.model_dump(mode="json"), "names": self.names, "classes": classes}
        write_kind(target, "lm", content | {"shots": self.shots})

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto", trust_remote_code: bool = False) -> Self:
        """What `save` wrote. Python code that comes with the model is run only where the caller says so: the folder's
        own word does not count."""
        place = Path(folder)
        content = json.loads((place / KIND).read_text(encoding="utf-8"))
        settings = LanguageModel(**content["settings"])
        name = str(place / "model") if settings.training is not None else settings.model
        made = cls(settings, names=content["names"])
        made.shots = [(text, label) for text, label in content["shots"]]
        own = {"name": name, "lora": None, "device": device, "trust_remote_code": trust_remote_code}
        network = settings.network.model_copy(update=own)
        made.reading = made._read(
            load_policy(network, template="plain", overflow="truncate_prompt"), content["classes"]
        )
        if isinstance(made.reading, HeadReading):
            made.reading.linear.load_state_dict(load_file(place / HEAD))
        made.reading.policy.model.eval()
        return made

    def _read(self, policy: Policy, classes: int) -> Reading:
        settings = self.settings
        if not isinstance(settings.reading, Words):
            return HeadReading(policy, classes, longest=settings.longest, init=settings.reading.init)
        words = settings.reading.words or self.names or tuple(str(label) for label in range(classes))
        if len(words) != classes:
            raise InputError(f"there are {len(words)} label words ({', '.join(words)}) for {classes} classes")
        return WordsReading(policy, words, prompt=settings.reading.prompt, longest=settings.longest, shots=self.shots)


def _shots(examples: Sequence[str], soft: Probabilities, count: int, seed: int) -> list[tuple[str, int]]:
    """Examples to show: classes in turn, drawn with the seed; those that a class lacks are left out."""
    labels = soft.argmax(-1)
    order = np.random.default_rng(seed).permutation(len(examples))
    by_class = [[int(place) for place in order if labels[place] == label] for label in range(soft.shape[1])]
    turns = [rows[turn] for turn in range(count) for rows in by_class if turn < len(rows)]
    return [(examples[place], int(labels[place])) for place in turns[:count]]
