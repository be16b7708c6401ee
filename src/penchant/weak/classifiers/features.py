"""Activations of texts after every layer of a network (`penchant.weak.classifiers.readers`), computed once and kept.

Of a prompt with two options it is the difference between them: a linear probe of that is a linear reward of each.

A file's name is a digest of all that it depends on: the model, and the tokens of its texts in their order. So every
seed, loss and supervisor of a study reads the same file, memory-mapped. Beside it stand the digests of its examples: a
list that shares some with an earlier one copies these and computes the rest. The code that computes is no part of the
digest: who keeps files over versions looks at that, as the study's stage does.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from penchant.digests import DamagedFile, append_block_digests
from penchant.engine.lengths import ANY_LENGTH, length_classes
from penchant.engine.reference import configuration, fingerprint
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET, evaluating
from penchant.engine.tree import fill
from penchant.errors import InputError
from penchant.files import atomic_path, atomic_stream
from penchant.models.settings import Dtype, ModelConfig
from penchant.runs.progress import progress_bar
from penchant.weak.classifiers.activations import Activations
from penchant.weak.classifiers.readers import Read, Reader, load_reader
from penchant.weak.contract import Example, width_of

log = logging.getLogger("penchant.weak")

Keys = NDArray[np.bytes_]

Earlier = tuple[Activations, Mapping[bytes, int]]
"""Activations that are kept already, with the places of their examples."""
LARGEST = float(np.finfo(np.float16).max)
KEYS = ".keys"
LONGEST = 512  # tokens of a text; the rest is cut off


def activations(
    reader: Reader,
    examples: Sequence[Example],
    folder: Path,
    *,
    longest: int = LONGEST,
    deepest: int | None = None,
    known: Iterable[Path] = (),
    model: str | None = None,
) -> Activations:
    """The states after each layer of each text, or their difference between a prompt's two options.

    Args:
        folder: where they are kept. longest: so many tokens are read, or fewer where the model's context ends, see
            `penchant.weak.classifiers.reading.shorten`. deepest: the last layer to compute; all if not given.
        known: other folders to look for examples in. model: what `digest_of` says of the reader's, where it is known.

    Returns:
        Of shape (layers + 1, examples, hidden), memory-mapped; layer 0 is the embedding.

    Raises:
        InputError: no examples, no such layer, other than two options, or a folder that cannot be written.
    """
    width = width_of(examples)
    check_layer(deepest or 0, depth_of(reader.model))
    if not examples:
        raise InputError("there are no texts to compute activations of")
    if width > 2:
        raise InputError(f"a probe compares two options, and here are {width}: take a language model (`name: lm`)")
    ids = reader.encode(examples, longest)
    model = model or digest_of(reader.model)
    keys = np.array([_key(row) for row in ids])
    layers = depth_of(reader.model) if deepest is None else deepest
    path = folder / f"activations-{model}-{layers}-{_digest_of_keys(keys)}.npy"
    found = _opened(path, keys)
    if found is None:
        hidden = reader.model.config.get_text_config().hidden_size  # type: ignore[operator, union-attr]
        shape = (layers + 1, len(ids), hidden)
        _write(reader, ids, keys, path, shape, list(_earlier(model, layers, (folder, *known))))
        found = Activations(path)
    return found


def digest_of(model: nn.Module) -> str:
    """Of a model's weights and of its configuration, which has numbers that are no weights, such as a rotary base.

    Where a row's numbers depend on the length of its pass, versions that had rows of all lengths in one pass left
    activations that are wrong: the digest is another one there.
    """
    classes = length_classes(model.config.get_text_config())  # type: ignore[operator, union-attr]
    apart = "" if classes == ANY_LENGTH else "classes of lengths"
    return hashlib.sha256((fingerprint(model) + configuration(model) + apart).encode()).hexdigest()[:16]


def depth_of(model: nn.Module) -> int:
    """How many layers a model has."""
    return int(model.config.get_text_config().num_hidden_layers)  # type: ignore[operator, union-attr]


def check_layer(layer: int, depth: int) -> None:
    """Raise InputError for a layer that a model of so many does not have."""
    if not -depth - 1 <= layer <= depth:
        raise InputError(f"layer {layer} is not there: this model has layers 1 to {depth}, and 0, the embedding")


def _key(row: Read) -> bytes:
    """An example's digest: of its tokens, or of those of its prompt with each option."""
    digest = hashlib.sha256()
    for each in row:
        digest.update(np.asarray(each, dtype=np.int32).tobytes() + b"|")
    return digest.hexdigest()[:32].encode()


def _opened(path: Path, keys: Keys) -> Activations | None:
    """Return what is kept of these examples; None where there is no such file, or a damaged one, which is named."""
    if not path.exists():
        return None
    try:
        found = Activations(path)
        if found.shape[1] != len(keys):
            raise DamagedFile(f"{path} holds {found.shape[1]} examples instead of {len(keys)}")
        return found
    except DamagedFile as error:
        log.warning("%s: computing anew", error)
        return None


def _keys_of(path: Path) -> Keys | None:
    """Return the digests of a file's examples; its name has the digest of these. None where they do not fit it."""
    try:
        keys: Keys = np.load(path.with_suffix(KEYS), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, TypeError):
        return None
    return keys if path.stem.endswith(f"-{_digest_of_keys(keys)}") else None


def _digest_of_keys(keys: Keys) -> str:
    return hashlib.sha256(keys.tobytes()).hexdigest()[:16]


def _earlier(model: str, layers: int, folders: Iterable[Path]) -> Iterator[Earlier]:
    """What is kept of so many layers of a model in some folders."""
    for file in (file for folder in folders for file in sorted(folder.glob(f"activations-{model}-*.npy"))):
        keys = _keys_of(file)
        found = _opened(file, keys) if keys is not None else None
        if keys is not None and found is not None and found.shape[0] > layers:
            yield found, {key: place for place, key in enumerate(keys.tolist())}


class ModelFeatures:
    """Examples to activations of one layer, computed once for those that come again.

    Args:
        model: a language model or an encoder, and in which `dtype`; see `penchant.weak.settings.Probe`.
        layer: 0 is the embedding, negative ones count from the last.
        folder: where activations are kept; a temporary one, which goes with this object, if not given.
    """

    def __init__(
        self,
        model: str,
        layer: int = -1,
        *,
        dtype: Dtype = "auto",
        longest: int = LONGEST,
        folder: Path | None = None,
    ) -> None:
        self.settings: dict[str, Any] = {"model": model, "layer": layer, "dtype": dtype, "longest": longest}
        self._scratch = tempfile.TemporaryDirectory(prefix="penchant-") if folder is None else None
        self._folder = folder or Path(self._scratch.name if self._scratch else "")
        self._reader: Reader | None = None
        self._digest = ""

    def __call__(self, examples: Sequence[Example]) -> torch.Tensor:
        """Shape (examples, hidden), float16."""
        if self._reader is None:
            self._reader = load_reader(ModelConfig(name=self.settings["model"], dtype=self.settings["dtype"]))
            self._digest = digest_of(self._reader.model)  # once: nobody trains it
        layer = self.settings["layer"]
        check_layer(layer, depth_of(self._reader.model))
        limits = {"longest": self.settings["longest"], "deepest": None if layer < 0 else layer}
        return layer_of(activations(self._reader, examples, self._folder, **limits, model=self._digest), layer)


def layer_of(found: Activations, layer: int) -> torch.Tensor:
    """One layer of activations, in memory.

    Raises:
        InputError: there is no such layer.
    """
    check_layer(layer, found.shape[0] - 1)
    return torch.as_tensor(found.layer(layer))


def _write(
    reader: Reader,
    ids: Sequence[Read],
    keys: Keys,
    path: Path,
    shape: tuple[int, int, int],
    earlier: Sequence[Earlier],
) -> None:
    """Write activations and their keys, each file whole; the keys first, since a reader looks for the activations."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, shared=True) as temporary:
            kept = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            _fill(reader, ids, keys, kept, earlier)
            kept.flush()
            with temporary.open("r+b") as file:
                append_block_digests(file)
            with atomic_stream(path.with_suffix(KEYS), shared=True) as file:
                np.save(file, keys)
    except OSError as error:
        raise InputError(
            f"cannot keep activations in {path.parent}: {error.strerror}; they need "
            f"{np.prod(shape) * 2 / 2**20:,.0f} MiB"
        ) from error


def _fill(
    reader: Reader, ids: Sequence[Read], keys: Keys, kept: NDArray[np.float16], earlier: Sequence[Earlier]
) -> None:
    """Copy what is known, compute the rest, each different example once."""
    wanted = {key: place for place, key in reversed(list(enumerate(keys.tolist())))}  # its first place
    for found, places in earlier:
        shared = [key for key in wanted if key in places]
        into = [wanted.pop(key) for key in shared]
        try:
            kept[:, into] = found.columns(len(kept), [places[key] for key in shared])
        except DamagedFile as error:
            log.warning("%s: computing anew", error)
            wanted |= dict(zip(shared, into, strict=True))
    _compute(reader, ids, sorted(wanted.values()), kept)
    first: dict[bytes, int] = {}
    again = [(first[key], place) for place, key in enumerate(keys.tolist()) if first.setdefault(key, place) != place]
    for source, place in again:
        kept[:, place] = kept[:, source]


def _compute(reader: Reader, ids: Sequence[Read], wanted: Sequence[int], kept: NDArray[np.float16]) -> None:
    """The rows of `kept` at the wanted places."""
    budget = GPU_BUDGET if reader.device.type == "cuda" else DEFAULT_BUDGET
    lengths = [sum(map(len, ids[place])) for place in wanted]
    with evaluating(reader.model), progress_bar("activations", len(wanted), "texts") as advance:
        for batch in fill(lengths, budget):
            places = [wanted[number] for number in batch]
            texts = [each for place in places for each in ids[place]]
            for layer, states in enumerate(reader.states(texts, len(kept) - 1)):
                first, *second = states.float().view(len(places), -1, states.shape[-1]).unbind(1)
                found = first - second[0] if second else first
                kept[layer, places] = found.clamp(-LARGEST, LARGEST).cpu().numpy()
            advance(len(places), "")
