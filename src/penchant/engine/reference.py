"""The reference: a table of numbers for fixed data, frozen weights for fresh samples.

For fixed data the reference is no second model: its log-probabilities are computed once before the first step and
kept on disk, keyed by content: token ids, all that the model is, the arithmetic. So every run of a sweep shares them.
For fresh samples the frozen weights answer: the policy's own with its adapters off, or a copy.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import json
import logging
import re
import sqlite3
import struct
import sys
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.data.rendering.renderer import Rendered
from penchant.digests import digest_file
from penchant.engine.attention import evaluating, output_head, unwrap
from penchant.engine.logps import log_softmax_blocks
from penchant.engine.score import DEFAULT_BUDGET, Progress, Scorer, batches, score_rows
from penchant.engine.tree import all_responses, unique_tokens
from penchant.files import locked_file

log = logging.getLogger("penchant.engine")

KEEP_EVERY = 512  # groups scored before their numbers are put on disk: what a kill may lose
ASK_FOR = 900  # keys in one query; older SQLite takes no more than 999
ADAPTER = re.compile(
    r"\.lora_|\.modules_to_save\.|\.trainable_tokens_"
)  # in the names of weights that are no part of the base
UNCOUNTED = ("transformers_version", "architectures")  # settings of a model that change no number


def fingerprint(model: nn.Module) -> str:
    """Return a digest of the base weights: every tensor's name, shape, dtype and bytes.

    Adapters and a PEFT wrapper's naming are left out, so a model, and the same one under LoRA, have one fingerprint:
    that of the reference which the LoRA policy starts from.
    """
    tensors = {_base_name(name): tensor for name, tensor in model.state_dict().items() if not ADAPTER.search(name)}
    tensors_by_memory = {_memory_key(tensor): tensor for tensor in tensors.values()}  # a tied matrix is read once
    contents = {memory: _content(tensor) for memory, tensor in tensors_by_memory.items()}
    digest = hashlib.sha256()
    # by name, since a wrapper may list the same tensors in another order
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode() + contents[_memory_key(tensor)])
    return digest.hexdigest()[:32]


def configuration(model: nn.Module) -> str:
    """Return as text what decides a model's scores besides its weights.

    Rotary base, attention scale, soft cap, windows and their like are settings and no weights; a model that comes with
    code of its own is that code too.
    """
    settings = {key: value for key, value in unwrap(model).config.to_dict().items() if key not in UNCOUNTED}
    settings = {key: value for key, value in settings.items() if not key.startswith("_")}
    text = json.dumps(settings, sort_keys=True, default=str)
    module = sys.modules.get(type(unwrap(model)).__module__)
    if module is not None and not module.__name__.startswith("transformers.") and module.__file__:
        text += digest_file(Path(module.__file__))
    return text


def model_digest(model: nn.Module, weights: str | None = None) -> str:
    """Return a digest of all that decides a model's scores, adapters aside: weights, configuration, code.

    Args:
        weights: their fingerprint, where it is known.
    """
    return hashlib.sha256(f"{weights or fingerprint(model)} {configuration(model)}".encode()).hexdigest()[:32]


def table_key(model: nn.Module, digest: str, precision: str) -> str:
    """Return the key of a model's table: what decides its scores, and the arithmetic that computes them.

    Args:
        digest: the model's, see `model_digest`.
        precision: of weights and arithmetic.
    """
    device = next(model.parameters()).device.type
    attention = getattr(model.config, "_attn_implementation", None)  # eager and sdpa differ where there is a soft cap
    versions = [importlib.metadata.version(name) for name in ("torch", "transformers")]
    return hashlib.sha256(f"{digest} {precision} {device} {attention} {versions}".encode()).hexdigest()[:32]


def _memory_key(tensor: Tensor) -> tuple[Hashable, ...]:
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _content(tensor: Tensor) -> bytes:
    flat = tensor.detach().contiguous().cpu().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).digest()


def _base_name(name: str) -> str:
    for part in ("base_layer.", "original_module.", "token_adapter."):
        name = name.replace(part, "")
    return name.removeprefix("base_model.model.")


@dataclass(frozen=True)
class Reference:
    """Frozen weights that answer for fresh samples.

    Attributes:
        scorer: a copy that never trains, or the LoRA policy's own scorer, whose adapters are off meanwhile.
        adapters_off: whether it is the policy's own.
    """

    scorer: Scorer
    adapters_off: bool

    @classmethod
    def of_policy(cls, policy: Scorer) -> Reference:
        """Return the reference that a policy starts from: itself without adapters, or a frozen copy of it."""
        if hasattr(policy.model, "disable_adapter"):
            return cls(policy, True)
        return cls(copy.deepcopy(policy).eval().requires_grad_(False), False)

    @contextmanager
    def active(self) -> Iterator[Scorer]:
        """Yield the reference's scorer, which is valid until the `with` block ends."""
        if self.adapters_off:
            with self.scorer.model.disable_adapter():  # type: ignore[operator]
                yield self.scorer
        else:
            yield self.scorer


def sequence_kl(
    policy: Scorer, reference: Reference, rendered: Sequence[Rendered], *, budget: int = DEFAULT_BUDGET
) -> list[Float[Tensor, " responses"]]:
    """Return KL(policy || reference) along each response, in nats.

    It is the exact KL over the vocabulary at every scored position, summed over the response's tokens.
    Averaged over responses sampled from the policy it is an unbiased estimate of the sequence-level KL, with less
    variance than the log-ratio of the samples (Rafailov et al. 2023 evaluate the same quantity).
    """
    counts = [len(row.branches) for row in rendered]
    flat = torch.zeros(sum(counts))
    with evaluating(policy.model, reference.scorer.model):
        packing = policy.packing_for(rendered).joined(reference.scorer.packing_for(rendered))
        for batch in batches(all_responses(rendered), budget=budget, packing=packing):
            batch = batch.to(policy.device)
            states, head = policy.states(batch), output_head(policy.model)
            with reference.active() as frozen:
                frozen_states = frozen.states(batch)
                frozen_head = output_head(frozen.model)
            kl = torch.empty(len(states), device=states.device)
            blocks = zip(log_softmax_blocks(states, head), log_softmax_blocks(frozen_states, frozen_head), strict=True)
            # two whole vocabularies, some rows at a time
            for (block, p), (_, q) in blocks:
                kl[block] = (p.exp() * (p - q)).sum(-1)
            flat.index_add_(0, batch.owners.cpu(), kl.cpu())
    return list(flat.split(counts))


class ReferenceTable:
    """Log-probabilities on disk, keyed by content. One SQLite file per reference, and a digest per row.

    The table is a cache: if it cannot be read or written (full disk, damaged file), that is logged and the numbers
    are computed, never guessed. So are those of a row that does not fit its digest.

    Args:
        folder: of all tables.
        key: what `table_key` says of the reference.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.path, self.key = folder / f"{key}.sqlite", key

    def get(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """Return the log-probabilities, in nats, of those keys that the table has."""
        if not self.path.exists():
            return {}
        try:
            values: dict[bytes, float] = {}
            keys, key_count = sorted(keys), 0  # in the order of the table: half the time
            with closing(self._open()) as db:
                for start in range(0, len(keys), ASK_FOR):  # the table may be that of many large data sets
                    batch = keys[start : start + ASK_FOR]
                    marks = ",".join("?" * len(batch))
                    rows = db.execute(f"SELECT key, logps, digest FROM scores WHERE key IN ({marks})", batch).fetchall()
                    values.update((key, logps) for key, logps, digest in rows if digest == self._digest(key, logps))
                    key_count += len(rows)
        except sqlite3.DatabaseError as error:
            log.warning("the reference table %s cannot be read (%s): computing anew", self.path, error)
            if not isinstance(error, sqlite3.OperationalError):  # damaged, not only locked by another run
                with suppress(OSError):
                    self.path.unlink(missing_ok=True)
            return {}
        if key_count > len(values):
            log.warning(
                "%d rows of the reference table %s are damaged: computing them anew", key_count - len(values), self.path
            )
        return values

    def _digest(self, key: bytes, logps: object) -> bytes:
        # SQLite takes a value of any type: what is no float is damaged, and its digest fits nothing
        number = struct.pack("<d", logps) if isinstance(logps, float) else b""
        return hashlib.sha256(self.key.encode() + key + number).digest()[:8]

    def put(self, rows: dict[bytes, float]) -> None:
        """Write log-probabilities, in nats, by their keys."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._open()) as db, db:
                content = [(key, logps, self._digest(key, logps)) for key, logps in rows.items()]
                db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", content)
        except (OSError, sqlite3.DatabaseError) as error:
            log.warning(
                "the reference table %s cannot be written (%s): the next run computes it again", self.path, error
            )

    @contextmanager
    def locked(self, keys: Iterable[bytes]) -> Iterator[None]:
        """Keep other runs on this machine from scoring the same rows until the `with` block ends.

        Of the runs of a sweep that start together one computes and the others wait and read. Runs with other data do
        not wait for it. Where the file system knows no locks nobody waits, and each computes for itself.
        """
        rows = hashlib.sha256(b"".join(sorted(keys))).hexdigest()[:16]
        path = self.path.with_name(f".{self.path.stem}-{rows}.lock")
        with ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    stack.enter_context(locked_file(path, remove_after=True))
                except BlockingIOError:
                    log.warning("another run is scoring the same rows: waiting for its numbers")
                    stack.enter_context(locked_file(path, remove_after=True, wait=True))
            except OSError as error:
                log.info("no lock for the reference table in %s (%s)", path.parent, error)
            yield

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=60)
        db.execute(
            "CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, logps REAL NOT NULL, digest BLOB NOT NULL) "
            "WITHOUT ROWID"
        )
        return db


def reference_logps(
    scorer: Scorer,
    rendered: Sequence[Rendered],
    table: ReferenceTable,
    *,
    budget: int = DEFAULT_BUDGET,
    progress: Progress | None = None,
) -> list[Float[Tensor, " responses"]]:
    """Return summed reference log-probabilities of fixed data, from the table where known, else computed and kept.

    `progress` is called with the number of tokens done, those of responses from the table included.
    """
    keys = [[row.key(index) for index in range(len(row.branches))] for row in rendered]
    # responses that stand twice in the data are scored once
    needed_keys = {key for row_keys in keys for key in row_keys}
    logps = table.get(list(needed_keys))
    unknown = needed_keys - logps.keys()
    with table.locked(unknown) if unknown else nullcontext():
        logps |= table.get(list(unknown))  # what another run computed while this one waited
        missing = [
            (row, [index for index, key in enumerate(row_keys) if key not in logps])
            for row, row_keys in zip(rendered, keys, strict=True)
        ]
        missing = [(row, indices) for row, indices in missing if indices]
        if progress:  # tokens that need not be computed
            progress(unique_tokens(all_responses(rendered)) - unique_tokens(missing))
        for start in range(0, len(missing), KEEP_EVERY):
            part = missing[start : start + KEEP_EVERY]
            fresh = score_rows(scorer, part, budget=budget, progress=progress).tolist()
            part_keys = [row.key(index) for row, indices in part for index in indices]
            computed = dict(zip(part_keys, fresh, strict=True))
            table.put(computed)
            logps |= computed
    return [torch.tensor([logps[key] for key in row_keys]) for row_keys in keys]
