"""`penchant data hallucinations`: pairs of descriptions of pictures, of which one states what is not there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.cli.arguments import Arguments, Command
from penchant.cli.early_imports import import_early
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.config import Config
from penchant.config.limits import Draws, Seed, Text, Tokens
from penchant.errors import InputError
from penchant.models.loading_settings import DeviceName, RemoteCode, WeightDtype
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from penchant.metrics.object_mentions import ObjectVocabulary
    from penchant.rounds.hallucinations import KnownPicture, PairCounts, Rewriter

LIST = "list"
"""Names the rewriter that lists the objects of a description."""
REQUEST = (
    "Rewrite this description of a picture as one plain sentence. Keep every object that it names and add none. "
    "Answer with the sentence alone.\n\n{text}"
)


class Hallucinations(Config):
    """Make pairs about pictures whose objects are known: true descriptions against those that state what is not there.

    The descriptions are drawn from `model`, or are the responses of the file, as `penchant sample` writes them.
    """

    method: ClassVar[str] = "data hallucinations"

    path: Text
    """Prompts with pictures and a column of what each picture shows; or responses to them, with that column."""
    out: Text
    """The file to write: .jsonl or .jsonl.gz."""
    model: Text | None = None
    """A model of pictures that describes them; without one the responses of the file are taken."""
    objects: Text = "objects"
    """The column of what a picture shows: a list of names."""
    absent: Text | None = None
    """A column of what a picture does not show and may be claimed; without one every other object may be."""
    vocabulary: Text | None = None
    """A JSON or YAML file of objects with their synonyms (`dog: [puppy]`); the names in the columns unless given."""
    pairs: Literal["both", "best_worst", "swap"] = "both"
    """`best_worst`: the best description of a picture against the worst that states more that is false. `swap`: a true
    one against the same with one object exchanged for another."""
    length_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = 1.5
    """How many times the words of the shorter side the longer side of a `best_worst` pair may have; null for any."""
    rewrite: Text | None = None
    """Write both sides of all pairs anew in one style: `list` lists their objects, a model's name has it write them."""
    n: Draws = 6
    """With `model`: descriptions per picture."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """With `model`: divides the logits."""
    max_new_tokens: Tokens = 64
    """Length at which a description is cut; cut ones are left out."""
    seed: Seed = 0
    """Fixes the draws, and which objects are exchanged."""
    device: DeviceName = "auto"
    dtype: WeightDtype = "auto"
    trust_remote_code: RemoteCode = False

    @model_validator(mode="after")
    def _has_what_describes(self) -> Self:
        if self.model is None and (unused := {"n", "temperature"} & self.model_fields_set):
            raise ValueError(f"`{min(unused)}` is of descriptions that are drawn: name the `model` that draws them")
        return self


def _hallucinations(arguments: Arguments) -> int:
    config = arguments.load(Hallucinations)
    if config.model is not None or config.rewrite not in (None, LIST):
        import_early("penchant.models.load", "transformers.modeling_utils")
    from penchant.data.load import load_prompts, load_responses
    from penchant.data.write import refuse_overwriting, write_groups
    from penchant.rounds.hallucinations import PAIR_KINDS, build_pairs

    out = Path(config.out)
    refuse_overwriting(out, config.path)  # also with --overwrite: what is read would be lost
    check_file(out, arguments.flags)
    # a model writes anew what is described, so responses of the file would be mixed with its own
    read = load_responses if config.model is None else load_prompts
    rows = read(config.path, media=True, keep_columns=True)
    pictures = [_known_picture(config, row, number) for number, row in enumerate(rows)]
    vocabulary = _vocabulary(config, pictures)
    # before anything is sampled: a slip in the vocabulary is answered at once
    for picture in pictures:
        for name in (*picture.objects, *(picture.absent or ())):
            vocabulary.name_of(name)
    # a file of samples keeps what was drawn, so that pairs can be made of it again in another way
    samples = rows if config.model is None else _describe(config, rows)
    outcome = build_pairs(
        samples,
        pictures,
        vocabulary,
        kinds=PAIR_KINDS if config.pairs == "both" else (config.pairs,),
        length_ratio=config.length_ratio,
        rewrite=_rewriter(config, vocabulary),
        seed=config.seed,
    )
    print("\n".join(count_lines(outcome.counts)))
    if not outcome.groups:
        raise InputError(f"{config.path}: no pair was made, so {config.out} is not written; the counts above say why")
    write_groups(outcome.groups, out)
    print(f"{len(outcome.groups)} prompts with {outcome.counts.pairs} pairs written to {config.out}")
    return 0


def _known_picture(config: Hallucinations, row: PromptGroup, number: int) -> KnownPicture:
    """Return what a row says of its picture.

    Raises:
        InputError: a column is missing, or holds no list of names.
    """
    from penchant.rounds.hallucinations import KnownPicture

    def names(column: str) -> tuple[str, ...]:
        # an empty list is a picture that shows nothing, and no missing column
        cell = row.columns.get(column)
        if not isinstance(cell, list | tuple) or not all(isinstance(name, str) for name in cell):
            where = row.source or f"{config.path}: row {number}"
            cell_kind = "no such column" if cell is None else f"a {type(cell).__name__}"
            raise InputError(f"{where}: expected a list of names in the column {column!r}, got {cell_kind}")
        return tuple(cell)

    return KnownPicture(names(config.objects), names(config.absent) if config.absent is not None else None)


def _vocabulary(config: Hallucinations, pictures: Sequence[KnownPicture]) -> ObjectVocabulary:
    """Return the words for objects: those of the file, else the names that the rows have.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    from penchant.metrics.object_mentions import ObjectVocabulary

    if config.vocabulary is None:
        names = (name for picture in pictures for name in (*picture.objects, *(picture.absent or ())))
        return ObjectVocabulary.of_names(dict.fromkeys(names))
    import yaml

    file = Path(config.vocabulary).expanduser()
    try:
        text = file.read_text(encoding="utf-8")
        # safe: a vocabulary of strangers makes no objects
        content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{config.vocabulary} cannot be read as a vocabulary: {error}") from error
    # names alone: objects without synonyms
    if isinstance(content, list):
        content = {name: [] for name in content}
    is_vocabulary = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(words, list) and all(isinstance(word, str) for word in words)
        for name, words in content.items()
    )
    if not is_vocabulary:
        raise InputError(
            f"{config.vocabulary} holds no vocabulary: expected a list of objects, or objects with lists of their "
            "synonyms (dog: [puppy])"
        )
    return ObjectVocabulary(content)


def _describe(config: Hallucinations, rows: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Draw descriptions of the pictures; they keep the columns of their rows.

    Raises:
        InputError: the model reads no pictures, or a prompt leaves no room for a description.
    """
    from penchant.engine.sampling import Sampling
    from penchant.models.load import load_policy
    from penchant.models.settings import ModelConfig
    from penchant.rewards.columns import carry_columns
    from penchant.runs.progress import progress_bar
    from penchant.text_alone import has_media

    assert config.model is not None
    settings = ModelConfig(
        name=config.model, device=config.device, dtype=config.dtype, trust_remote_code=config.trust_remote_code
    )
    # loaded once for all rows
    policy = load_policy(settings)
    if policy.renderer.media is None and any(has_media(row) for row in rows):
        raise InputError(f"{config.model} reads text alone, and the prompts of {config.path} show pictures")
    sampling = Sampling(config.n, config.temperature, config.max_new_tokens, seed=config.seed)
    with progress_bar("describing", len(rows) * config.n, "samples") as advance:
        samples = policy.sample([row.prompt for row in rows], sampling, progress=advance)
    # what a picture shows goes on with its descriptions, which are counted by it
    return carry_columns(samples, rows)


def _rewriter(config: Hallucinations, vocabulary: ObjectVocabulary) -> Rewriter | None:
    """Return what writes descriptions anew; None where they stay as they are."""
    from penchant.rounds.hallucinations import list_objects

    if config.rewrite is None:
        return None
    if config.rewrite == LIST:
        return list_objects(vocabulary)
    from penchant.models.load import load_policy
    from penchant.models.settings import ModelConfig

    settings = ModelConfig(name=config.rewrite, device=config.device, trust_remote_code=config.trust_remote_code)
    policy = load_policy(settings)

    def rewrite(texts: Sequence[str]) -> list[str]:
        prompts = [REQUEST.format(text=text.strip()) for text in texts]
        # greedy: one text is always written in the same way
        return [row[0] for row in policy.generate(prompts, temperature=0, max_new_tokens=2 * config.max_new_tokens)]

    return rewrite


def count_lines(counts: PairCounts) -> list[str]:
    """Return what became of descriptions, as lines."""
    # a description that was cut has no end, and what it would have said is unknown
    finished = counts.samples - counts.cut
    lines = [
        f"{counts.prompts} pictures, {counts.samples} descriptions: {counts.captions_without_false} of {finished} that "
        f"ended state nothing false, {counts.false_mentions} false mentions, {counts.cut} cut and left out",
        f"{counts.best_worst} pairs of the best and the worst, {counts.swap} pairs with an exchanged object",
    ]
    reasons = {
        "no description better than one with more false claims": counts.equal,
        "such descriptions of other lengths alone (length_ratio)": counts.unequal_length,
        "no description without a false claim to exchange in": counts.never_clean,
        "no object that can be exchanged": counts.never_swapped,
        "pairs that state other objects once rewritten": counts.rewritten_wrongly,
    }
    # nothing is dropped in silence
    lines += [f"  left out: {count} with {reason}" for reason, count in reasons.items() if count]
    if counts.pairs:
        chosen, rejected = (words / counts.pairs for words in (counts.chosen_words, counts.rejected_words))
        lines.append(f"  words per side: {chosen:.1f} chosen, {rejected:.1f} rejected")
    return lines


HALLUCINATIONS = Command(
    "hallucinations",
    Hallucinations,
    _hallucinations,
    help="make pairs about pictures, of true and of false descriptions",
    positionals={"path": "FILE"},
    example="pictures.jsonl model=captioner n=6 out=pairs.jsonl",
    add_flags=add_overwrite_flag,
)
