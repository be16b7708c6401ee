"""`penchant init`: look at a file, and write a configuration that trains on it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from penchant.cli.arguments import Arguments, Command
from penchant.cli.early_imports import import_early
from penchant.cli.outputs import check_file
from penchant.config import Config, load_config
from penchant.config.limits import Text
from penchant.data.options import Template
from penchant.errors import InputError
from penchant.files import write_text

TEXTS = "text"
"""The layout of rows that are texts alone."""


class Init(Config):
    """Look at a file and write a commented configuration for it: method, model, sizes, and what training takes.

    `penchant train METHOD FILE.yaml` runs it as it is; of texts with classes `penchant weak train FILE.yaml`. Votes of
    several sources are answered with the commands that join them. Nothing is overwritten.
    """

    method: ClassVar[str] = "init"

    path: Text
    """The file, a folder or a hub id: comparisons, labels or demonstrations in any layout that is known, texts with
    classes, or votes."""
    model: Text | None = None
    """The model to train, as `model=` of training takes it; a small built-in one if not given."""
    split: str = "train"
    """Which split of a hub data set or folder."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """By field of a layout, the column that holds it, as training takes it: `{prompt: question}`."""
    template: Template = "auto"
    """How prompts are rendered, as `data.template` of training takes it."""
    out: Text = "penchant.yaml"
    """The file to write."""


def _init(arguments: Arguments) -> int:
    config = arguments.load(Init)
    out = check_file(config.out, arguments.flags)  # before the work, not after it
    if out.suffix not in (".yaml", ".yml"):
        raise InputError(f"out={out}: give a name that ends in .yaml, by which `penchant train` knows it as settings")
    from penchant.drafts.look import ShowsMediaError, look_at

    # bad data is refused at once; only then torch is imported
    try:
        look = look_at(config.path, split=config.split, columns=config.columns)
    except ShowsMediaError:  # such rows are no texts with classes either
        raise
    except InputError as error:
        if _draft_labels(config, out):
            return 0
        # the readers name the setting of training; here it stands at the top
        raise InputError(str(error).replace("data.columns", "columns")) from error
    # a class or votes beside each text would be lost on a model that learns to write such texts
    if look.layout == TEXTS and _draft_labels(config, out):
        return 0
    import_early("penchant.train.costs", "transformers.modeling_utils")
    from penchant.drafts.draft import Reading, default_model, make_draft
    from penchant.drafts.yaml_draft import cost_words, draft_yaml
    from penchant.methods import METHODS
    from penchant.reports.kit.text import count

    model, reason = (config.model, "") if config.model else default_model()
    reading = Reading(config.split, config.columns, config.template)
    draft = make_draft(config.path, reading, look, model)
    write_text(out, draft_yaml(draft, shlex.quote(str(out))))
    # what was just written is read as `train` reads it: a draft that does not run would be a mistake of ours
    load_config(METHODS[draft.method], str(out))
    print(f"{config.path}: {count(len(look.groups), 'prompt')}, {count(look.units, look.noun)}: for {draft.method}")
    print(f"model: {model}" + (f" ({reason}; model=... takes another)" if reason else ""))
    print(f"estimate: {count(draft.steps, 'step')}, {cost_words(draft)}")
    for problem in filter(None, [draft.advice, *draft.lengths.unrendered[:3]]):
        print(f"warning: {problem}")
    command = shlex.join(["penchant", "train", draft.method, str(out)])
    print(f"{out} is written: read its comments, then\n  {command}")
    return 0


def _draft_labels(config: Init, out: Path) -> bool:
    """Draft settings for texts with classes, or print the commands for votes; return whether the file holds either."""
    from penchant.drafts.labels import check_votes, labels_yaml, look_for_labels, votes_commands, votes_words
    from penchant.weak.command_settings import WeakTrain

    look = look_for_labels(config.path, split=config.split, columns=config.columns)
    if look is None:
        return False
    if look.sources:
        # before a command is shown that would refuse them
        check_votes(look)
        commands = votes_commands(look)
        print("\n".join([*votes_words(look), "no settings are needed:", *(f"  {command}" for command in commands)]))
        return True
    write_text(out, labels_yaml(look, config.split, shlex.quote(str(out))))
    # as it will be read: a draft that does not run would be a mistake of ours
    load_config(WeakTrain, str(out))
    print(f"{config.path}: {look.rows} rows, each a text with a class (the column `{look.label}`): for weak train")
    print(f"estimate with word counts: {look.time}")
    if look.text in ("text", "prompt"):
        print("to learn to write such texts instead: the same with columns='{label: null}'")
    command = shlex.join(["penchant", "weak", "train", str(out)])
    print(f"{out} is written: read its comments, then\n  {command}")
    return True


INIT = Command(
    "init",
    Init,
    _init,
    positionals={"path": "FILE"},
    example="prefs.jsonl model=smollm2-135m out=first.yaml",
    takes_config=False,  # a name that ends in .yaml is the data, or a slip
)
