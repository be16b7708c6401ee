"""`penchant chat`: talk with a run's policy, and see what its reference says to the same with the same seed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from penchant.clean_text import clean
from penchant.cli.arguments import Arguments, Command
from penchant.cli.early_imports import import_early
from penchant.cli.marked_lines import has_colours
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.config import Config
from penchant.config.limits import Seed, Text, Tokens
from penchant.data.rendering.template_source import TemplateName
from penchant.errors import InputError
from penchant.models.loading_settings import AttentionName, DeviceName, Placement, RemoteCode, WeightDtype, model_config

if TYPE_CHECKING:
    from penchant.models.conversation import Conversation
    from penchant.types import Response


class Chat(Config):
    """Talk with a run's policy beside its reference, or with any language model.

    The conversation goes on with the policy's answers; both models answer the same turns with the same seed.
    """

    method: ClassVar[str] = "chat"

    model: Text
    """A run directory, a checkpoint, or any language model: a built-in name, a folder, a GGUF file, or a hub id."""
    prompt: Text | None = None
    """Ask this alone, and end. Without it, lines are read until the input ends."""
    reference: Text | None = "run"
    """What answers beside it: `run` is what the run was held to (nothing for a model that is no run), else a model by
    its name; null for nothing."""
    system: str = ""
    """A system turn before the conversation."""
    style: Literal["auto", "turns", "text"] = "auto"
    """What a line is: a turn of a user, or text that the model continues. `auto`: turns where the model has a chat
    template."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Divides the logits; 0 takes the likeliest token. 1 is what training's evaluation draws with."""
    max_new_tokens: Tokens = 256
    """Length at which an answer is cut."""
    top_k: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Draw from the so many likeliest tokens; 0 for all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw from the likeliest tokens that have this probability together; 1 for all."""
    seed: Seed = 0
    """Fixes the draws, of both models."""
    template: TemplateName = "auto"
    """As for `sample`: `auto` takes what the model was trained with here, else its chat template."""
    template_args: dict[str, JsonValue] = Field(default_factory=dict)
    """What the template is told beside the conversation, such as `{enable_thinking: false}`."""
    out: Text | None = None
    """Write the conversation here at the end, for `collect` and `judge`: .jsonl or .jsonl.gz."""
    device: DeviceName = "auto"
    dtype: WeightDtype = "auto"
    attention: AttentionName = "auto"
    device_map: Placement = None
    trust_remote_code: RemoteCode = False


class _EndOfChat(Exception):
    """Raised where the user ends the conversation."""


@dataclass
class _Transcript:
    """The files that a conversation is saved to.

    Attributes:
        out: the file of the setting; None without one.
        own_files: those of this conversation, which it may write again.
    """

    out: str | None
    own_files: set[Path] = field(default_factory=set)

    def save(self, conversation: Conversation, name: str) -> None:
        """Write the conversation so far.

        Raises:
            InputError: the file is somebody's, or its name has another ending.
        """
        from penchant.data.write import write_groups

        path = Path(name).expanduser()
        if path not in self.own_files and os.path.lexists(path):
            raise InputError(f"{name} exists and is not overwritten: choose another name")
        write_groups(conversation.groups, path)
        self.own_files.add(path)
        print(f"{len(conversation.groups)} turns written to {name}")


def _chat(arguments: Arguments) -> int:
    config = arguments.load(Chat)
    from penchant.data.write import check_name

    transcript = _Transcript(config.out)
    if config.out is not None:  # before the conversation, not after it
        check_name(Path(config.out))
        transcript.own_files.add(check_file(config.out, arguments.flags))
    import_early("penchant.train.inputs.run_models", "transformers.modeling_utils")
    conversation = _open(config)
    try:
        if config.prompt is not None:
            _answer(conversation, config.prompt)
        else:
            _converse(conversation, transcript)
    finally:
        if config.out is not None and conversation.groups:
            transcript.save(conversation, config.out)
    return 0


def _open(config: Chat) -> Conversation:
    from penchant.engine.sampling import Sampling
    from penchant.models.conversation import Conversation
    from penchant.models.load import load_policy
    from penchant.train.inputs.run_models import find_run, open_reference

    run = find_run(config.model)
    settings = model_config(config.model if run is None else str(run.folder), config)
    policy = load_policy(settings, template=config.template, template_args=config.template_args)
    reference = open_reference(
        config.reference, run, policy, dtype=config.dtype, trust_remote_code=config.trust_remote_code
    )
    sampling = Sampling(1, config.temperature, config.max_new_tokens, config.top_k, config.top_p, config.seed)
    by_turns = policy.renderer.chat if config.style == "auto" else config.style == "turns"
    return Conversation(policy, reference, sampling, config.system, by_turns)


def _converse(conversation: Conversation, transcript: _Transcript) -> None:
    """Answer lines until the input ends; what goes wrong with one of them ends nothing."""
    watched = sys.stdin is not None and sys.stdin.isatty()
    if watched:
        kind = "turns" if conversation.by_turns else "text that the model continues"
        print(f"Lines are {kind}. {_HELP} Ctrl-C stops an answer, Ctrl-D ends.")
    for line in _lines(watched):
        try:
            if line.startswith("/"):
                _obey(conversation, line, transcript)
            elif line.strip():
                _answer(conversation, line)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            if not watched:  # a script is ended, a person's answer is stopped
                raise
            print("(stopped)", flush=True)
        except _EndOfChat:
            return


def _lines(watched: bool) -> Iterator[str]:
    """Yield what is typed, or the lines of a file or pipe, without their ends."""
    if sys.stdin is None:  # `<&-` closes it, and Python then has none
        return
    # bytes that are no text become halves of surrogate pairs, which the conversation refuses by the line
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if not watched:
        for line in sys.stdin:
            yield line.rstrip("\r\n")
        return
    with suppress(ImportError):
        import readline  # noqa: F401 - with it `input` has a history and arrows
    while True:
        try:
            yield input("> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return


def _answer(conversation: Conversation, line: str) -> None:
    answers = conversation.ask(line)
    names = ["policy", "reference"] if len(answers) > 1 else ["model"]
    for name, answer in zip(names, answers, strict=True):
        print(_answer_line(name, answer), flush=True)


def _answer_line(name: str, answer: Response) -> str:
    label = f"\x1b[1m{name}:\x1b[0m" if has_colours() else f"{name}:"
    # a model may write anything, control characters of the terminal too
    text = clean(answer.text).strip() or "(empty)"
    cut = "" if answer.finished else f" […cut at {len(answer.token_ids or ())} tokens]"
    return f"{label} {text}{cut}"


# -- commands -----------------------------------------------------------------------------------------------------


def _reset(conversation: Conversation, _value: str, _transcript: _Transcript) -> None:
    conversation.reset()
    print("a new conversation")


def _seed(conversation: Conversation, value: str, _transcript: _Transcript) -> None:
    if not value.isdecimal() or int(value) > 2**32 - 1:
        raise InputError(f"/seed {value}: expected a whole number from 0, such as /seed 1")
    conversation.sampling = replace(conversation.sampling, seed=int(value))


def _temperature(conversation: Conversation, value: str, _transcript: _Transcript) -> None:
    try:
        conversation.sampling = replace(conversation.sampling, temperature=float(value))
    except (ValueError, InputError):
        raise InputError(f"/temperature {value}: expected a number from 0, such as /temperature 0.7") from None


def _save_to(conversation: Conversation, value: str, transcript: _Transcript) -> None:
    name = value or transcript.out
    if not name:
        raise InputError("/save: expected the name of a file, such as /save chat.jsonl")
    transcript.save(conversation, name)


def _end(_conversation: Conversation, _value: str, _transcript: _Transcript) -> None:
    raise _EndOfChat


COMMANDS: dict[str, Callable[[Conversation, str, _Transcript], None]] = {
    "/reset": _reset,
    "/seed": _seed,
    "/temperature": _temperature,
    "/save": _save_to,
    "/end": _end,
}
_HELP = "/reset begins anew, /seed N and /temperature X change the draws, /save FILE keeps the conversation, /end ends."


def _obey(conversation: Conversation, line: str, transcript: _Transcript) -> None:
    """Do what a line says that begins with a slash.

    Raises:
        InputError: there is no such command, or its value is wrong.
    """
    name, _, value = line.strip().partition(" ")
    if name not in COMMANDS:
        raise InputError(f"there is no {clean(name)}. {_HELP} A text that begins with a slash needs a space before it")
    COMMANDS[name](conversation, value.strip(), transcript)


CHAT = Command(
    "chat",
    Chat,
    _chat,
    positionals={"model": "RUN|MODEL"},
    add_flags=add_overwrite_flag,
    example='runs/first prompt="Who are you?" temperature=0.7',
)
