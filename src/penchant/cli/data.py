"""`penchant data`: look at a file before training, or convert it to our own JSON Lines. Imports no torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from penchant.clean_text import clean
from penchant.cli.arguments import Arguments, Command, CommandGroup, RetiredForm, retired_flags
from penchant.cli.get import GET
from penchant.cli.hallucinations import HALLUCINATIONS
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.cli.show import SHOW
from penchant.config import Config
from penchant.config.limits import Text
from penchant.data.options import BadRows, Overflow, RenderOptions, Thoughts, Ties
from penchant.data.rendering.template_source import TemplateName
from penchant.errors import InputError, RunError
from penchant.files import atomic_write

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer
    from penchant.models.vision import VisionReader

# 2 as for bad input to any command: training would end with it too
PROBLEMS_FOUND, WOULD_REFUSE = 1, 2
"""Exit codes: a check found something, and training would refuse the file."""


class PreferenceFile(Config):
    """A preference file and how it is read; the settings of `data` in a training run have the same names."""

    path: Text
    """A file, or a hub id."""
    layout: str | None = None
    """The layout's name; found out by itself unless given."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """By field of the layout, the column that holds it, such as `columns.prompt=problem`; null leaves a column out."""
    system: Text | None = None
    """A system turn for prompts that have none; a prompt that is text becomes a user's turn behind it."""
    split: str = "train"
    """Which split of a hub data set."""
    bad_rows: BadRows = "error"
    """What to do with rows that cannot be used: name them all and stop, or skip them with a count."""
    score: str | dict[str, float] | None = None
    """The rating that compares responses, where rows have several: `helpfulness`, or a weighted sum such as
    `{helpfulness: 1, verbosity: -0.2}`; the layout's own rule unless given."""
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """By how much a rating has to be better, at least; pairs that are nearer are ties."""

    media_folder: Text | None = None
    """The folder that paths of pictures and sounds start from; that of the file unless given."""

    def reading(self) -> dict[str, Any]:
        """Return the settings that say how a file is read, by the keywords that loaders have for them."""
        names = {"layout", "columns", "system", "split", "bad_rows", "score", "margin", "media_folder"}
        return self.model_dump(include=names)


class DataCheck(PreferenceFile):
    """Say what a preference file holds, what is wrong with it, and whether training would refuse it."""

    method: ClassVar[str] = "data check"

    ties: Ties = "error"
    """What training will be told about ties: `error` asks you to choose, `drop` leaves them out, `half` is half a win
    each way."""
    overflow: Overflow = "error"
    """What training will be told about longer rows: stop, drop their group, or cut their prompt from the left."""
    contradictions: Literal["warn", "error"] = "warn"
    """What training will be told about pairs that were decided both ways."""
    max_length: Annotated[int, Field(ge=2, le=10_000_000)] | None = None
    """Count rows that are longer, in tokens; the model's context if not given. Needs `model`."""
    model: Text | None = None
    """A model whose tokenizer counts tokens and looks at the boundary of prompt and response."""
    template: TemplateName = "auto"
    """`chat` renders with the tokenizer's chat template, `plain` joins texts as they are, `auto` prefers chat. Or
    `chatml` and others that come with this package, or a `.jinja` file."""
    template_args: dict[str, JsonValue] = Field(default_factory=dict)
    """What the template is told beside the conversation, such as `{enable_thinking: false}`."""
    thoughts: Thoughts = "score"
    """What training will be told about thoughts before an answer: `score`, `mask` or `drop` them."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for a source that you trust as much as your own code."""
    out: Text | None = None
    """Write the report here too: .json for JSON, else text."""

    @model_validator(mode="after")
    def _has_what_counts(self) -> Self:
        if self.max_length and self.model is None:
            raise ValueError(
                "`max_length` counts tokens: name a model whose tokenizer counts them, such as model=smollm2-135m"
            )
        return self


class DataConvert(PreferenceFile):
    """Write a preference file of any known layout as JSON Lines of our own layout."""

    method: ClassVar[str] = "data convert"

    # a conversion loses nothing unless it is told to
    ties: Literal["drop", "half"] = "half"
    """`half` keeps ties, `drop` leaves them out."""
    merge: bool = True
    """Whether rows with the same prompt become one row."""
    out: Text
    """The file to write: .jsonl or .jsonl.gz."""


def _check(arguments: Arguments) -> int:
    config = arguments.load(DataCheck)
    if config.out is not None:
        check_file(config.out, arguments.flags)
    from penchant.data.check import check_preferences

    # without a model lengths are counted in characters, and torch stays away
    renderer: Renderer | VisionReader | None = None
    if config.model is not None:
        from penchant.models.bounded import load_bounded_renderer
        from penchant.models.load import reads_pictures
        from penchant.models.settings import ModelConfig
        from penchant.models.vision import load_vision_reader

        if reads_pictures(config.model, trust_remote_code=config.trust_remote_code):
            # its template stands in its processor, and so do the ways in which it can be told something
            settings = ModelConfig(name=config.model, trust_remote_code=config.trust_remote_code)
            reader = load_vision_reader(settings)
            renderer = replace(reader, max_length=min(filter(None, (config.max_length, reader.context)), default=None))
        else:
            rendering = RenderOptions(config.template, config.template_args, config.thoughts, config.max_length)
            renderer = load_bounded_renderer(
                config.model, rendering=rendering, trust_remote_code=config.trust_remote_code
            )
    report = check_preferences(
        config.path,
        renderer=renderer,
        # the renderer's limit is the smaller one of what was asked for and what the model takes
        max_length=None if renderer is not None else config.max_length,
        ties=config.ties,
        overflow=config.overflow,
        contradictions=config.contradictions,
        **config.reading(),
    )
    print(clean(report.as_text()))
    if config.out is not None:
        out = Path(config.out)
        text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False) if out.suffix == ".json" else report.as_text()
        try:
            atomic_write(out, text + "\n")
        except OSError as error:
            raise RunError(f"cannot write {out}: {error.strerror}") from error
    if report.refusals:  # whether or not `--strict`: a script that trains next must stop here
        return WOULD_REFUSE
    return PROBLEMS_FOUND if arguments.flags.strict and report.problems else 0


def _convert(arguments: Arguments) -> int:
    config = arguments.load(DataConvert)
    from penchant.data.load import read_preferences
    from penchant.data.write import refuse_overwriting, write_groups

    out = Path(config.out)
    refuse_overwriting(out, config.path, config.split)  # also with --overwrite: what is read would be lost
    check_file(out, arguments.flags)
    loaded = read_preferences(config.path, ties=config.ties, merge=config.merge, media=True, **config.reading())
    write_groups(loaded.groups, out)
    print(f"{config.path} ({loaded.layout}): {len(loaded.groups)} prompts written to {config.out}")
    return 0


def _columns(pairs: Sequence[str]) -> str:
    """Return `FIELD=COLUMN` texts of the flag `--column` as the setting."""
    columns: dict[str, str | None] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not (name and equals and column):
            raise InputError(f"--column {pair}: expected FIELD=COLUMN, such as prompt=problem")
        columns[name] = None if column == "null" else column  # "null" as YAML has it
    return f"columns={json.dumps(columns, ensure_ascii=False)}"


def _add_check_flags(parser: argparse.ArgumentParser) -> None:
    add_overwrite_flag(parser)
    parser.add_argument("--strict", action="store_true", help="exit with 1 if anything is worth a look")


RETIRED: dict[str, RetiredForm] = retired_flags("layout", "split", "ties", "bad_rows") | {"--column": _columns}
"""Flags that both commands had."""
DATA = CommandGroup(
    "data",
    metavar="ACTION",
    commands=(
        Command(
            "check",
            DataCheck,
            _check,
            help="say what a preference file holds and what is wrong with it",
            positionals={"path": "FILE"},
            example="prefs.jsonl ties=drop model=penchant-0.5m",
            add_flags=_add_check_flags,
            retired=RETIRED
            | retired_flags("model", "template", "max_length", "overflow")
            | {"--trust-remote-code": "trust_remote_code=true"},
        ),
        Command(
            "convert",
            DataConvert,
            _convert,
            help="write any known layout as our JSONL",
            positionals={"path": "FILE"},
            example="prefs.jsonl ties=drop out=ours.jsonl.gz",
            add_flags=add_overwrite_flag,
            retired=RETIRED | {"--no-merge": "merge=false"},
        ),
        SHOW,
        HALLUCINATIONS,
        GET,
    ),
)
