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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.digests import DamagedFile, append_block_digests
from penchant.engine.attention import evaluating
from penchant.engine.lengths import ANY_LENGTH, length_classes
from penchant.engine.reference import configuration, fingerprint
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET
from penchant.engine.tree import fill
from penchant.errors import InputError
from penchant.files import atomic_path, atomic_stream
from penchant.models.settings import Dtype, ModelConfig
from penchant.runs.progress import progress_bar
from penchant.weak.classifiers.activations import Activations
from penchant.weak.classifiers.readers import ImageReader, Read, Reader, load_reader
from penchant.weak.contract import Example, width_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger("penchant.weak")

Keys = NDArray[np.bytes_]

StoredRows = tuple[Activations, Mapping[bytes, int]]
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
    folders: Iterable[Path] = (),
    model: str | None = None,
) -> Activations:
    """Return the states after each layer for each text, or their difference between a prompt's two options.

    Of a picture there is one layer, see `penchant.models.image_encoder`.

    Args:
        folder: where they are kept. longest: how many tokens are read, or fewer where the model's context ends, see
            `penchant.weak.classifiers.reading.shorten`. deepest: the last layer to compute; all if not given.
        folders: others to look for examples in. model: what `digest_of` says of the reader's, where it is known.

    Returns:
        Of shape (layers + 1, examples, hidden), memory-mapped; layer 0 is the embedding.

    Raises:
        InputError: no examples, no such layer, other than two options, or a folder that cannot be written.
    """
    width = width_of(examples)
    # before any text is read: a layer that is not there would show after minutes
    depth, hidden = shape_of(reader)
    check_layer(deepest or 0, depth)
    if not examples:
        raise InputError("there are no texts to compute activations of")
    if width > 2:
        raise InputError(f"a probe compares two options, and here are {width}: take a language model (`name: lm`)")
    # by tokens, not by texts: a tokenizer that reads two texts alike gives them one digest
    ids = reader.encode(examples, longest)
    model = model or digest_of_reader(reader)
    keys = np.array([_key(row) for row in ids])
    # layers after the last that somebody probes are not computed: of 30 layers with the 20th probed that saves a third
    layers = depth if deepest is None else deepest
    # model, depth and examples are in the name: who asks for others gets another file
    path = folder / f"activations-{model}-{layers}-{_digest_of_keys(keys)}.npy"
    # a damaged file counts as none: it is named, and computed again
    stored = _opened(path, keys)
    if stored is None:
        shape = (layers + 1, len(ids), hidden)
        _write(reader, ids, keys, path, shape, list(_stored_earlier(model, layers, (folder, *folders))))
        stored = Activations(path)
    return stored


def digest_of(model: PreTrainedModel) -> str:
    """Return a digest of a model's weights and configuration.

    The configuration has numbers that decide what the weights compute, such as a rotary base.
    Where a row's numbers depend on the length of its pass, versions that had rows of all lengths in one pass left
    activations that are wrong: the digest is another one there.
    """
    classes = length_classes(model.config.get_text_config())
    suffix = "" if classes == ANY_LENGTH else "classes of lengths"
    return hashlib.sha256((fingerprint(model) + configuration(model) + suffix).encode()).hexdigest()[:16]


def digest_of_reader(reader: Reader) -> str:
    """Return a digest of all that decides a reader's states but the examples."""
    return reader.encoder.digest() if isinstance(reader, ImageReader) else digest_of(reader.model)


def shape_of(reader: Reader) -> tuple[int, int]:
    """Return how many layers a reader has above the first, and how many numbers each."""
    if isinstance(reader, ImageReader):
        return 0, reader.encoder.width
    return depth_of(reader.model), int(reader.model.config.get_text_config().hidden_size)


def depth_of(model: PreTrainedModel) -> int:
    """Count the layers of a model."""
    return int(model.config.get_text_config().num_hidden_layers)


def check_layer(layer: int, depth: int) -> None:
    """Refuse a layer that a model with `depth` layers does not have.

    Raises:
        InputError: there is no such layer.
    """
    if not depth and layer not in (-1, 0):
        raise InputError(f"layer {layer} is not there: an image model has one, its last; leave `layer` out")
    if not -depth - 1 <= layer <= depth:
        raise InputError(f"layer {layer} is not there: this model has layers 1 to {depth}, and 0, the embedding")


def _key(row: Read) -> bytes:
    """Return an example's digest: of its tokens, or of those of its prompt with each option."""
    digest = hashlib.sha256()
    for ids in row:
        digest.update(np.asarray(ids, dtype=np.int32).tobytes() + b"|")
    return digest.hexdigest()[:32].encode()


def _opened(path: Path, keys: Keys) -> Activations | None:
    """Return the stored activations of these examples; None where the file is missing or damaged."""
    if not path.exists():
        return None
    try:
        stored = Activations(path)
        # the name has a digest of the list: another length means that the file is damaged
        if stored.shape[1] != len(keys):
            raise DamagedFile(f"{path} holds {stored.shape[1]} examples instead of {len(keys)}")
        return stored
    except DamagedFile as error:
        log.warning("%s: computing anew", error)
        return None


def _keys_of(path: Path) -> Keys | None:
    """Return the digests of a file's examples; None where they do not fit the digest in its name."""
    try:
        keys: Keys = np.load(path.with_suffix(KEYS), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, TypeError):
        return None
    return keys if path.stem.endswith(f"-{_digest_of_keys(keys)}") else None


def _digest_of_keys(keys: Keys) -> str:
    return hashlib.sha256(keys.tobytes()).hexdigest()[:16]


def _stored_earlier(model: str, layers: int, folders: Iterable[Path]) -> Iterator[StoredRows]:
    """Yield the activations of a model that lie in some folders and have at least `layers` layers."""
    # sorted: which of two files a row is copied from may decide its last bit
    for file in (file for folder in folders for file in sorted(folder.glob(f"activations-{model}-*.npy"))):
        keys = _keys_of(file)
        stored = _opened(file, keys) if keys is not None else None
        if keys is not None and stored is not None and stored.shape[0] > layers:
            yield stored, {key: row for row, key in enumerate(keys.tolist())}


@dataclass(frozen=True)
class FeatureSettings:
    """Settings that decide the features of a text: a model, its `dtype`, and how it is read.

    Attributes:
        layer: 0 is the embedding, negative ones count from the last.
        longest: tokens of a text that are read; the rest is cut off.
    """

    model: str
    layer: int = -1
    dtype: Dtype = "auto"
    longest: int = LONGEST


class ModelFeatures:
    """A function from examples to activations of one layer, which computes each example once.

    Args:
        model: a language model or an encoder, and in which `dtype`; see `penchant.weak.settings.Probe`.
        layer: 0 is the embedding, negative ones count from the last.
        folder: where activations are kept; a temporary one, which goes with this object, if not given.
        folders: others to look for examples in.
    """

    def __init__(
        self,
        model: str,
        layer: int = -1,
        *,
        dtype: Dtype = "auto",
        longest: int = LONGEST,
        folder: Path | None = None,
        folders: Sequence[Path] = (),
    ) -> None:
        self.settings, self.folders = FeatureSettings(model, layer, dtype, longest), tuple(folders)
        # held by this object: the folder goes when nobody needs its features
        self._scratch = tempfile.TemporaryDirectory(prefix="penchant-") if folder is None else None
        self._folder = folder or Path(self._scratch.name if self._scratch else "")
        self._reader: Reader | None = None
        self._digest = ""

    def __call__(self, examples: Sequence[Example]) -> torch.Tensor:
        """Return features of shape (examples, hidden), float16."""
        settings = self.settings
        if self._reader is None:
            self._reader = load_reader(ModelConfig(name=settings.model, dtype=settings.dtype))
            self._digest = digest_of_reader(self._reader)  # once: nobody trains it
        check_layer(settings.layer, shape_of(self._reader)[0])
        stored = activations(
            self._reader,
            examples,
            self._folder,
            longest=settings.longest,
            deepest=None if settings.layer < 0 else settings.layer,
            folders=self.folders,
            model=self._digest,
        )
        return layer_of(stored, settings.layer)


def layer_of(stored: Activations, layer: int) -> torch.Tensor:
    """Return one layer of activations, in memory.

    Raises:
        InputError: there is no such layer.
    """
    check_layer(layer, stored.shape[0] - 1)
    return torch.as_tensor(stored.layer(layer))


def _write(
    reader: Reader,
    ids: Sequence[Read],
    keys: Keys,
    path: Path,
    shape: tuple[int, int, int],
    stored_earlier: Sequence[StoredRows],
) -> None:
    """Write activations and their keys, each file whole; the keys first, since a reader looks for the activations."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, shared=True) as temporary:
            # written row by row into the mapped file: activations may be larger than memory
            array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            _fill(reader, ids, keys, array, stored_earlier)
            array.flush()
            with temporary.open("r+b") as file:
                # behind the array: numpy reads what its header says, and ignores the rest
                append_block_digests(file)
            with atomic_stream(path.with_suffix(KEYS), shared=True) as file:
                np.save(file, keys)
    except OSError as error:
        raise InputError(
            f"cannot keep activations in {path.parent}: {error.strerror}; they need "
            f"{np.prod(shape) * 2 / 2**20:,.0f} MiB"
        ) from error


def _fill(
    reader: Reader, ids: Sequence[Read], keys: Keys, array: NDArray[np.float16], stored_earlier: Sequence[StoredRows]
) -> None:
    """Copy the activations that are stored already, and compute each other example once."""
    missing = {key: row for row, key in reversed(list(enumerate(keys.tolist())))}  # its first place
    for stored, row_of_key in stored_earlier:
        # a copied row was computed among other texts, so its last bit may differ from a fresh one
        shared = [key for key in missing if key in row_of_key]
        into = [missing.pop(key) for key in shared]
        try:
            array[:, into] = stored.columns(len(array), [row_of_key[key] for key in shared])
        except DamagedFile as error:
            log.warning("%s: computing anew", error)
            missing |= dict(zip(shared, into, strict=True))
    _compute(reader, ids, sorted(missing.values()), array)
    first: dict[bytes, int] = {}
    # an example that comes twice is computed once and copied
    repeated = [(first[key], row) for row, key in enumerate(keys.tolist()) if first.setdefault(key, row) != row]
    for source, row in repeated:
        array[:, row] = array[:, source]


def _compute(reader: Reader, ids: Sequence[Read], missing: Sequence[int], array: NDArray[np.float16]) -> None:
    """Compute the rows of the array that are missing."""
    budget = GPU_BUDGET if reader.device.type == "cuda" else DEFAULT_BUDGET
    lengths = [sum(map(len, ids[row])) for row in missing]
    with evaluating(reader.model), progress_bar("activations", len(missing), "rows") as advance:
        # texts of like length share a pass: padding costs as much as tokens do
        for batch in fill(lengths, budget):
            batch_rows = [missing[number] for number in batch]
            texts = [ids_of_text for row in batch_rows for ids_of_text in ids[row]]
            for layer, states in enumerate(reader.states(texts, len(array) - 1)):
                first, *second = states.float().view(len(batch_rows), -1, states.shape[-1]).unbind(1)
                # the difference of two options: a linear probe of it is a linear reward of each
                features = first - second[0] if second else first
                # float16 ends at 65,504: a larger state would become infinite, and a probe refuses that
                array[layer, batch_rows] = features.clamp(-LARGEST, LARGEST).cpu().numpy()
            advance(len(batch_rows), "")
