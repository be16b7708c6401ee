"""Say what a setting of another library is called here, once for the converter and for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Values = Mapping[str, object]
NO_DEFAULT = object()
"""Stands where a library has no default, so that a setting that is not given writes nothing."""


@dataclass
class Draft:
    """Our settings while they are gathered, and what could not be carried over.

    Attributes:
        method: our training method.
        settings: our configuration, nested.
        omissions: by their key, why it is not carried over.
        remarks: what is carried over and still means something else.
    """

    method: str
    settings: dict[str, object] = field(default_factory=dict)
    omissions: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def put(self, path: str, value: object) -> None:
        """Set a setting by its dotted path."""
        *outer, last = path.split(".")
        branch = self.settings
        for name in outer:
            inner = branch.setdefault(name, {})
            assert isinstance(inner, dict)  # a table never writes below a plain value
            branch = inner
        branch[last] = value

    def lose(self, key: str, reason: str) -> None:
        """Name a key that is not carried over."""
        self.omissions.setdefault(key, reason)

    def remark(self, sentence: str) -> None:
        """Name a difference that stays."""
        if sentence not in self.remarks:
            self.remarks.append(sentence)


Write = Callable[[Draft, object, Values], None]
"""Puts a value into a draft; the third argument is the whole file."""


@dataclass(frozen=True)
class Rule:
    """A key of another library.

    Attributes:
        key: its name there.
        setting: what the documentation names beside it: our setting, or words where several make it up.
        write: puts the value into the draft; None where the key is not carried over.
        reason: why not, or what is different here.
        default: its value where a file does not give it; `NO_DEFAULT` where that decides nothing.
        methods: our methods that the key belongs to; empty for all.
        harmless: whether leaving the key out changes no result (logging, folders, speed).
        together: whether it is put in together with others, by the library's `finish`.
    """

    key: str
    setting: str = ""
    write: Write | None = None
    reason: str = ""
    default: object = NO_DEFAULT
    methods: tuple[str, ...] = ()
    harmless: bool = False
    together: bool = False


@dataclass(frozen=True)
class Library:
    """A library whose configuration files can be read.

    Attributes:
        name: as `kind` takes it. title: as people write it.
        version: the release or commit whose names and defaults the table has.
        keys: keys that tell its files from others; a file belongs to the library that knows most of its keys.
        method: returns our method for a file, or None where the file does not say.
        rules: the table.
        finish: puts in what several keys make up together.
        methods: by their names there, our methods, for the documentation.
    """

    name: str
    title: str
    version: str
    keys: frozenset[str]
    method: Callable[[Values], str | None]
    rules: Sequence[Rule]
    finish: Callable[[Draft, Values, int], None]
    methods: Mapping[str, str]

    def rule(self, key: str) -> Rule | None:
        """Return the rule of a key."""
        return next((rule for rule in self.rules if rule.key == key), None)


def copy_value(path: str) -> Write:
    """Return what puts a value under our name as it is; null stands for nothing given."""

    def write(draft: Draft, value: object, _: Values) -> None:
        if value is not None:
            draft.put(path, value)

    return write


def number(path: str, kind: type[int] | type[float] = float) -> Write:
    """Return what puts a number under our name, which YAML 1.1 may have left as text (`1e-6`)."""

    def write(draft: Draft, value: object, _: Values) -> None:
        if value is None:
            return
        # text that is no number stays, and is refused with its setting when the result is checked
        converted = as_number(value)
        draft.put(path, value if converted is None else kind(converted))

    return write


def as_number(value: object) -> float | None:
    """Return a number, also of a text such as `1e-6`; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def whole_number(values: Values, key: str, default: int) -> int:
    """Return a whole number of a file, or its default."""
    converted = as_number(values.get(key))
    return default if converted is None else int(converted)


def harmless(*keys: str) -> list[Rule]:
    """Return the rules of keys that change no result."""
    return [Rule(key, reason="changes no result", harmless=True) for key in keys]


def together(setting: str, *keys: str, reason: str = "") -> list[Rule]:
    """Return the rules of keys that make up a setting together."""
    return [Rule(key, setting, reason=reason, together=True) for key in keys]


def without_counterpart(reason: str, *keys: str) -> list[Rule]:
    """Return the rules of keys that have no counterpart."""
    return [Rule(key, reason=reason) for key in keys]


def length_writer(default: int, remark: str = "") -> Write:
    """Return what puts the length of a row at most; longer ones are dropped and counted.

    Args:
        default: what stands for a text that is no number.
        remark: what the library does about longer rows, where it is something else.
    """

    def write(draft: Draft, value: object, _: Values) -> None:
        if value is None:
            return
        draft.put("data.max_length", int(as_number(value) or default))
        draft.put("data.overflow", "drop")
        if remark:
            draft.remark(remark)

    return write


def held_out_writer(remark: str = "") -> Write:
    """Return what puts the share or number of held-out prompts.

    Args:
        remark: what is different here, said where some are held out.
    """

    def write(draft: Draft, value: object, _: Values) -> None:
        share = as_number(value)
        if share is not None:
            draft.put("data.held_out", share if share < 1 else int(share))
        if share and remark:
            draft.remark(remark)

    return write


def refusal(key: str, reason: str) -> Write:
    """Return what names a switch that is on and has no counterpart."""

    def write(draft: Draft, value: object, _: Values) -> None:
        if value is True:
            draft.lose(key, reason)

    return write
