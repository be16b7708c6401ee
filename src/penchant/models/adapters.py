"""LoRA adapters: read whole, merged without a change to any other weight, and saved so that they open as what they are.

Two things make adapters open as another model in silence, and are seen to here. A tied matrix is both embedding and
head: adapters of one of them must not move the other when they are merged, so the two are parted first. And adapters
that are trained on a model that had adapters merged into it belong to that model, which is saved nowhere: they are
saved together with the earlier ones, as one set of adapters of the model below both.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from penchant.config.yaml_text import load as load_yaml
from penchant.engine.attention import unwrap
from penchant.engine.foreign_types import PeftModel, PreTrainedModel
from penchant.errors import InputError
from penchant.files import read_file, read_json
from penchant.models.added_tokens import added_tokens
from penchant.models.weights import list_some

log = logging.getLogger("penchant.models")

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
JOINED = "joined_adapters.json"
"""Beside adapters that were trained on top of others: how many ranks of each layer are the others'."""
HEADS = frozenset({"score", "classifier"})
"""Layers that peft keeps whole for a sequence classifier; adapters on top of others have a head of their own."""
_UNDER = "under"  # the attribute of a network that has adapters merged into it
_PARTS = (("lora_A", "lora_B", ".weight"), ("lora_embedding_A", "lora_embedding_B", ""))


@dataclass(frozen=True)
class Layer:
    """The update of one layer: `scale * up @ down`.

    Attributes:
        down, up: of shape (rank, inputs) and (outputs, rank).
        names: what peft calls them in a file, after the layer's own name.
    """

    down: Tensor
    up: Tensor
    scale: float
    names: tuple[str, str]


@dataclass(frozen=True)
class Merged:
    """Adapters that a network has merged into its weights.

    Attributes:
        folder: where they are from. layers: their updates, by the layer's name.
        obstacle: why no others can be saved with them; empty where they can.
        revision: of their base; None for its main branch.
        tokens: rows of the embeddings that they train as they are.
    """

    folder: str
    layers: Mapping[str, Layer] = field(default_factory=dict)
    obstacle: str = ""
    revision: str | None = None
    tokens: tuple[int, ...] = ()


def adapter_base(folder: Path) -> str | None:
    """Return the model that a folder's adapters build on; None for a folder without adapters.

    Raises:
        InputError: an earlier version trained them on others, which are not to be found.
    """
    if not (folder / CONFIG).exists():
        return None
    recorded = str(_settings(folder)["base_model_name_or_path"])
    # where the lower adapters are in the file as well, the base that it names is the whole truth
    start = None if (folder / JOINED).exists() else _started_from(folder)
    if start is None:
        return recorded
    if (Path(start) / CONFIG).exists():
        log.warning(
            "%s: these adapters were trained on those of %s, which an earlier version did not write down; they are "
            "read on top of them",
            *(folder, start),
        )
        return start
    # a hub id has one slash at most; what looks like a path and is gone cannot be read on top of
    looks_local = start.startswith(("/", ".", "~")) or start.count("/") > 1
    if looks_local and not Path(start).exists() and Path(start).resolve() != Path(recorded).resolve():
        raise InputError(f"{folder} was trained on {start}, which is not there any more: put it back")
    return recorded


def base_revision(folder: Path) -> str | None:
    """Return the revision that a folder's adapters name of their base; None for its main branch."""
    revision = _settings(folder).get("revision")
    return str(revision) if revision else None


def has_scalar_head(folder: Path) -> bool:
    """Return whether a folder's adapters are of a reward model."""
    return _settings(folder).get("task_type") == "SEQ_CLS"


def load_adapters(network: PreTrainedModel, folder: str) -> PeftModel:
    """Return the network under a folder's adapters, not merged yet.

    Raises:
        InputError: the file lacks weights that its settings ask for, which would start at random, or has others.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    try:
        with warnings.catch_warnings():  # peft asks transformers by a name that the latter is about to drop
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
            model = PeftModel.from_pretrained(network, folder)
    except KeyError as error:  # of a whole layer, such as a head
        raise InputError(f"its adapters do not fit: {error.args[0]} are missing") from error
    # peft leaves what a file lacks at its random start, and passes over what it does not know
    expected = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if not (Path(folder) / WEIGHTS).exists():
        raise InputError(f"{folder} has no {WEIGHTS}")
    with safe_open(Path(folder) / WEIGHTS, "pt") as file:
        stored = set(file.keys())
    accepted = expected | {name.replace(".default", "") for name in model.state_dict()}
    if missing := sorted(expected - stored):
        raise InputError(f"its adapters do not fit: {list_some(missing)} are missing")
    if unknown := sorted(stored - accepted):
        raise InputError(f"its adapters do not fit: {list_some(unknown)} belong to no layer of the model")
    return model


def merge_adapters(model: PeftModel, folder: str) -> PreTrainedModel:
    """Return the network with its adapters merged in; an embedding and a head that share a matrix are parted first."""
    # the updates are read before they merge with the weights: adapters trained on top are saved with them
    merged = _merged(model, folder)
    _untie(model.get_base_model())
    network = model.merge_and_unload()
    # peft froze them below its adapters: whoever trains this model without adapters would train nothing of it
    network.requires_grad_(True)
    setattr(network, _UNDER, merged)
    return network


def keep_merged(network: PreTrainedModel, source: PreTrainedModel) -> None:
    """Note on a network the merged adapters of another one, whose weights it has taken over."""
    setattr(network, _UNDER, getattr(source, _UNDER, None))


def check_can_join(network: PreTrainedModel) -> None:
    """Refuse new adapters on a network with merged ones that they could not be saved with.

    Raises:
        InputError: the merged ones are of another kind, or lie on others themselves.
    """
    under: Merged | None = getattr(network, _UNDER, None)
    if under is not None and under.obstacle:
        raise InputError(
            f"new adapters cannot be trained on {under.folder}, whose own adapters {under.obstacle}: merge those into "
            "a full model first, or train without `lora`"
        )


def trained_tokens(network: PreTrainedModel) -> tuple[int, ...]:
    """Return the rows of the embeddings that adapters on a network train as they are.

    Those are of tokens that were added to it, and of those that merged adapters below have trained: saved together
    with these, the new adapters have to hold all of them.
    """
    under: Merged | None = getattr(network, _UNDER, None)
    added = added_tokens(network)
    return tuple(sorted({*(under.tokens if under is not None else ()), *(added.ids if added is not None else ())}))


def clear_saved(model: nn.Module, folder: Path) -> None:
    """Remove what an earlier saving left in a folder and would be read instead of what is saved now.

    Raises:
        InputError: the folder holds the model that the adapters build on.
    """
    settings = getattr(model, "peft_config", None)
    base = str(settings["default"].base_model_name_or_path) if settings else ""
    if base and Path(base).exists() and Path(base).resolve() == folder.resolve():
        raise InputError(f"{folder} holds the model that these adapters build on: save them in another folder")
    for name in (JOINED,) if settings else (CONFIG, WEIGHTS, JOINED):
        (folder / name).unlink(missing_ok=True)


def join_saved(model: nn.Module, folder: Path) -> None:
    """Rewrite a folder of adapters that were just saved, so that it holds the merged ones below them as well."""
    from safetensors.torch import load_file, save_file

    under: Merged | None = getattr(unwrap(model), _UNDER, None)
    if under is None or not (folder / CONFIG).exists():
        return
    over = _layers(model)
    tensors = {  # peft adds an embedding's own weights, but these have the adapters below merged in
        key: value
        for key, value in load_file(folder / WEIGHTS).items()
        if "base_layer" not in key and not any(f"{layer}.weight" in key for layer in {*over, *under.layers})
    }
    ranks, scales, below = {}, {}, {}
    for name in sorted({*over, *under.layers}):
        parts = [layers[name] for layers in (under.layers, over) if name in layers]
        last = parts[-1]  # keeps its bits, so that a run that is resumed goes on with the same ones
        # ranks side by side: up1 @ down1 + up2 @ down2, under one scale
        up = torch.cat([part.up.to(last.up) * (part.scale / last.scale) for part in parts], 1)
        down = torch.cat([part.down.to(last.down) for part in parts])
        for key, value in zip(last.names, (down, up), strict=True):
            tensors[f"base_model.model.{name}.{key}"] = value.detach().cpu().contiguous()
        ranks[name], scales[name] = len(down), last.scale * len(down)
        below[name] = len(under.layers[name].down) if name in under.layers else 0
    settings = _settings(folder)
    settings |= {"target_modules": sorted(ranks), "rank_pattern": _patterns(ranks), "alpha_pattern": _patterns(scales)}
    settings |= {"revision": under.revision}
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / JOINED).write_text(json.dumps({"on": under.folder, "ranks": below}) + "\n", encoding="utf-8")


def trained_part(tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Return the adapters of a checkpoint that its run trains, without those below them."""
    if not (folder / JOINED).exists():
        return tensors
    ranks = read_json(folder / JOINED)["ranks"]
    own_tensors = {}
    for key, value in tensors.items():
        name, _, part = key.removeprefix("base_model.model.").partition(".lora_")
        first = ranks.get(name, 0)  # the lower adapters' ranks come first, see `join_saved`
        down = part.removesuffix(".weight").endswith("A")
        own_tensors[key] = value if not part else value[first:] if down else value[:, first:]
    return {key: value for key, value in own_tensors.items() if value.numel()}


def _settings(folder: Path) -> dict[str, object]:
    try:
        settings = read_json(folder / CONFIG)
        settings["base_model_name_or_path"]  # adapters that name no base cannot be opened
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / CONFIG} cannot be read: {type(error).__name__}: {error}") from error
    return dict(settings)


def _started_from(folder: Path) -> str | None:
    """Return the model that the run of a checkpoint says it trained adapters on; None where nobody says."""
    # only a run's own folders: any other config.yaml around a model says nothing of it
    file = folder.resolve().parent / "config.yaml"
    if folder.resolve().name not in ("checkpoint", "best") or not file.is_file():
        return None
    try:
        model = load_yaml(read_file(file).decode("utf-8"))["model"]
        return str(Path(str(model["name"])).expanduser()) if model["lora"] is not None else None
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None


def _layers(model: nn.Module) -> dict[str, Layer]:
    """Return the updates of a network's adapters, by the layer's name."""
    layers = {}
    for name, module in unwrap(model).named_modules():
        for down, up, ending in _PARTS:
            if "default" not in (getattr(module, down, None) or {}):
                continue
            down_weight, up_weight = (getattr(module, part)["default"] for part in (down, up))
            if isinstance(down_weight, nn.Linear):  # embeddings have bare parameters
                down_weight, up_weight = down_weight.weight, up_weight.weight
            names = (f"{down}{ending}", f"{up}{ending}")
            layers[name] = Layer(down_weight.detach(), up_weight.detach(), float(module.scaling["default"]), names)
    return layers


def _merged(model: PeftModel, folder: str) -> Merged:
    """Return the adapters of a network with what they change, or with the reason why others cannot join them."""
    settings = model.peft_config["default"]
    # each of these would be lost in a plain sum of products
    if getattr(model.get_base_model(), _UNDER, None) is not None:
        return Merged(folder, obstacle="lie on others")
    if str(getattr(settings.peft_type, "value", settings.peft_type)) != "LORA":
        return Merged(folder, obstacle=f"are no LoRA ({settings.peft_type})")
    if settings.use_dora or settings.bias != "none" or getattr(settings, "lora_bias", False):
        return Merged(folder, obstacle="have DoRA's magnitudes or biases")
    whole_weights = sorted({*(settings.modules_to_save or ())} - HEADS)
    tokens = settings.trainable_token_indices
    if whole_weights or settings.target_parameters or isinstance(tokens, list):
        whole_words = ", ".join(whole_weights) or "tokens or parameters"
        return Merged(folder, obstacle=f"change whole weights too ({whole_words})")
    layers = {
        name: replace(layer, down=layer.down.clone(), up=layer.up.clone()) for name, layer in _layers(model).items()
    }
    # `join_saved` divides by a scale, which must not be 0
    unscaled = [name for name, layer in layers.items() if not layer.scale]
    obstacle = f"count 0 times in {unscaled[0]}" if unscaled else ""
    rows = sorted({row for ids in (tokens or {}).values() for row in ids})
    return Merged(folder, layers, obstacle, base_revision(Path(folder)), tuple(rows))


def _untie(base: PreTrainedModel) -> None:
    """Part a head and an embedding that share a matrix, where either has adapters."""
    ends = [getattr(base, f"get_{side}_embeddings")() for side in ("input", "output")]
    if None in ends:
        return
    weights = [end.get_base_layer().weight if hasattr(end, "get_base_layer") else end.weight for end in ends]
    adapted = [end for end in ends if hasattr(end, "get_base_layer")]
    if weights[0] is not weights[1] or not adapted:
        return
    # merging into the shared matrix would move the other end too
    adapted[0].get_base_layer().weight = nn.Parameter(weights[0].detach().clone(), requires_grad=False)
    # a model of several senses has a configuration of its own for the text
    base.config.get_text_config().tie_word_embeddings = False
    base.config.tie_word_embeddings = False


def _patterns(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values by patterns that match one layer's name each; peft reads them as regular expressions."""
    return {f"^{re.escape(name)}": value for name, value in values.items()}
