"""Models that a Python session holds, as settings: stored by the content of their weights. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator

from penchant.digests import write_sums
from penchant.errors import InputError
from penchant.files import atomic_folder
from penchant.models.locate import policy_run
from penchant.session.store import LENGTH, PREFIX, store_folder
from penchant.types import RunResult

if TYPE_CHECKING:
    from penchant.models.policy import Policy


def model_source(value: object) -> object:
    """Return the name that a value stands for as a model: its own, a run's checkpoint, or that of stored weights.

    Raises:
        InputError: a model that cannot be stored; plain data is returned for the check of settings.
    """
    if isinstance(value, RunResult):
        return _checkpoint_of(value)
    if isinstance(value, PurePath):
        return str(value)
    # asked of the attributes: the class would bring torch, and a name alone must not
    if not all(hasattr(value, part) for part in ("model", "renderer", "save")):
        if hasattr(value, "state_dict"):
            raise InputError(
                f"a {type(value).__name__} alone has no tokenizer: save both into a folder with `save_pretrained` and "
                "give the folder, or give what `penchant.load_policy` returned"
            )
        return value
    return _stored(value)  # type: ignore[arg-type]


def _checkpoint_of(run: RunResult) -> str:
    """Return the folder of what a run trained; of rounds, the name of the model that they came to."""
    policy = run.metrics.get("policy_path")
    # where no round trained anything, or none made it better, rounds came to their start
    if isinstance(policy, str) and not (run.path / policy).is_dir():
        return policy
    return str(policy_run(run.path) / "checkpoint")


def _stored(policy: Policy) -> str:
    """Write a loaded model into the cache, unless it is there; return its name."""
    from penchant.data.rendering.tokenizer_digest import digest_tokenizer
    from penchant.engine.reference import fingerprint, model_digest

    _refuse_unstorable(policy)
    template = policy.renderer.chat_template
    parts = (
        model_digest(policy.model, fingerprint(policy.model)),
        digest_tokenizer(policy.renderer),
        # a folder keeps its template: the same weights with another one are another folder
        repr((template.source if template is not None else None, dict(policy.renderer.template_args))),
    )
    name = f"model-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:LENGTH]}"
    # the digest is in the name: what is there under it holds the same weights
    folder = store_folder() / name
    if not folder.is_dir():
        try:
            store_folder().mkdir(parents=True, exist_ok=True)
            with atomic_folder(folder, shared=True) as building:
                policy.save(building)
                write_sums(building)
        # on a full disk safetensors and tokenizers raise errors of their own
        except Exception as error:
            if not folder.is_dir():  # no other process was faster
                raise InputError(
                    f"the model {policy.name} cannot be stored in {folder.parent} ({error}): make room there, name "
                    "another folder with PENCHANT_CACHE, or save it yourself and give the folder"
                ) from error
    return PREFIX + name


def _refuse_unstorable(policy: Policy) -> None:
    """Refuse weights that a folder cannot hold as they are."""
    # `transformers` marks what it quantised itself, and keeps the settings of what came so
    network: object = policy.model
    settings = getattr(network, "config", None)
    if getattr(network, "is_quantized", False) or getattr(settings, "quantization_config", None) is not None:
        raise InputError(
            f"the model {policy.name} is quantised, and its weights cannot be stored as they are: give the name or the "
            "folder that it was loaded from"
        )
    unread = next((name for name, weight in policy.model.named_parameters() if weight.is_meta), None)
    if unread is not None:
        raise InputError(
            f"the weights of {policy.name} are not in memory (`{unread}` is on the device meta): load it without "
            "offloading, or give its folder"
        )


ModelName = Annotated[str, BeforeValidator(model_source)]
"""The name of a model in settings; a loaded policy, or a run, may stand in its place."""
