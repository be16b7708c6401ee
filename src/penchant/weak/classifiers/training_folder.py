"""The folder of a fine-tuning's checkpoints: which training it holds, and whether a later call goes on from it."""

from __future__ import annotations

import hashlib
import logging
import math
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from penchant.data.settings import PromptsConfig
from penchant.digests import DamagedFile, check_files, read_sums
from penchant.errors import RunMismatchError
from penchant.files import recover_folder, remove
from penchant.losses.weak_settings import OWN_WEAK_LOSSES, CrossEntropy, CustomWeakLoss, WeakLoss
from penchant.models.settings import ModelConfig
from penchant.runs.input_digests import ModelIdentity
from penchant.runs.run_folder import RunFolder
from penchant.train.settings import AdamW, Cosine, EvaluateHeldOut, RunConfig
from penchant.weak.classifiers.reading import Reading
from penchant.weak.settings import Training

log = logging.getLogger("penchant.weak")

LOOKS = 4  # an epoch


class FineTuneConfig(RunConfig):
    """Settings of one fine-tuning for the loop; equal settings mean that a folder holds the same training."""

    method: ClassVar[str] = "fine_tune"

    start: str = ""
    """Digest of the weights that it starts from, and of the code of a user's loss."""
    algorithm: str = ""
    """Digest of what learns from rows without labels too, and of these rows; empty where nothing does."""
    loss: WeakLoss = CrossEntropy()
    """On the labels."""
    training: Training = Training()
    """How it trains."""


def config_of(model: ModelConfig, loss: WeakLoss, settings: Training, seed: int, steps: int) -> FineTuneConfig:
    """Return the settings for the loop. The examples lie in memory, so their path is `memory`."""
    # a set: in a training with fewer steps than looks some coincide
    looks = {math.ceil(steps * look / (LOOKS * settings.epochs)) for look in range(1, LOOKS * settings.epochs + 1)}
    return FineTuneConfig(
        model=model,
        data=PromptsConfig(path="memory"),
        seed=seed,
        optimizer=AdamW(learning_rate=settings.learning_rate),
        schedule=Cosine(),
        clip=settings.clip,
        precision="float32",  # the reading chooses the precision of its passes
        evaluate=EvaluateHeldOut(at_steps=tuple(sorted(looks))),
        loss=loss,
        training=settings,
    )


def identified(config: FineTuneConfig, reading: Reading, rows: str) -> FineTuneConfig:
    """Return settings by which a later call knows whether a folder holds this training.

    Args:
        rows: digest of what is learned and looked at.
    """
    start = ModelIdentity.from_learner(reading.policy).digest
    # the settings have the place of its code, which may be edited
    if isinstance(config.loss, CustomWeakLoss):
        start += f" {OWN_WEAK_LOSSES.content(config.loss.function)}"
    return config.replace(start=start, data=PromptsConfig(path=rows))


def digest_of(*parts: object) -> str:
    """Return a digest of encoded examples and targets."""
    digest = hashlib.sha256()
    for part in parts:
        # in one dtype, so that the same targets have one digest however they came
        content = part.double().numpy().tobytes() if isinstance(part, Tensor) else repr(part).encode(errors="replace")
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:32]


def run_folder(folder: Path | None, config: FineTuneConfig) -> RunFolder:
    """Return the training's folder: resumed where it holds the same training, undamaged, else emptied."""
    if folder is None:
        # nobody resumes: nothing is written, not even a line of metrics
        return RunFolder(None, config, writes=False)
    if (folder / "config.yaml").exists():
        try:
            saved = folder / "checkpoint"
            # a kill in the middle of a checkpoint leaves the one before it under another name
            recover_folder(saved)
            check_files(saved, read_sums(saved) or ())
            return RunFolder(str(folder), config, resume=True)
        except (RunMismatchError, DamagedFile) as error:
            log.warning("%s is thrown away and begun again: %s", folder, error)
    # settings or data are others, or it is damaged: its steps would not lead to this student
    remove(folder)
    return RunFolder(str(folder), config)
