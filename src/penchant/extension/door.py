"""Open `module:attribute` where the name of a built-in loss, reward, judge, task or classifier can stand.

All doors find the code, refuse what is not there and digest what is in one way; what an attribute has to be, each
checks for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from penchant.errors import InputError, PenchantError
from penchant.extension.user_code import (
    check_function,
    describe_error,
    find_file,
    load_module,
    module_spec,
    public_definitions,
    raising_line,
    suggest,
)
from penchant.session.objects import absent_reason, find_object, find_source, shown_name
from penchant.session.store import PREFIX, is_session_name


def is_extension(name: str) -> bool:
    """Return whether a name is meant as `module:attribute`. Whether that is there is another matter."""
    return ":" in name or name.endswith(".py")  # a file without an attribute is told what to add, see `Door.split`


@dataclass(frozen=True)
class Door:
    """One kind of thing that users may add.

    Attributes:
        noun: what messages call it, such as `reward`.
        built_in: the names of the built-in ones; or such a name to the `module:attribute` that it stands for.
        kind: what the attribute is, in the forms that a message shows.
        other_forms: further forms that a name may have, such as `classifier:MODEL`.
    """

    noun: str
    built_in: Sequence[str] | Mapping[str, str] = ()
    kind: str = "attribute"
    other_forms: Sequence[str] = ()

    def split(self, name: str) -> tuple[str, str]:
        """Return the module (or the path of its file) and the attribute that a name stands for.

        Raises:
            InputError: it has no such form; the message says what is too much or missing, or the nearest built-in name.
        """
        if is_session_name(name):
            return PREFIX.rstrip(":"), name.removeprefix(PREFIX)
        full = self.built_in.get(name, name) if isinstance(self.built_in, Mapping) else name
        # the last colon: the path of a file may have one
        source, colon, attribute = full.rpartition(":")
        prefix = self._near_prefix(name)
        if full.endswith(".py") and "://" not in full:
            file = find_file(full)
            names = [f"`{name}:{definition}`" for definition in (public_definitions(file) if file else [])[:5]]
            examples = " or ".join(names) or f"`{name}:NAME`"
            raise self.refusal(name, f"it names a file, but no {self.kind} in it: write {examples}")
        if ":" in source and not prefix and attribute.isidentifier() and not find_file(source):
            raise self.refusal(
                name, f"it has one colon too many: expected one, between the module or file and its {self.kind}"
            )
        # a module's name that begins with a dot is relative, and there is no package that it could be relative to
        is_relative = source.startswith(".") and not source.endswith(".py")
        if not (colon and source and attribute.isidentifier()) or is_relative or prefix:
            forms = [*self.built_in, f"module:{self.kind}", f"path/to/file.py:{self.kind}", *self.other_forms]
            raise InputError(
                f"the {self.noun} `{name}` is unknown; expected {', '.join(forms[:-1])}, or {forms[-1]}"
                f"{prefix or suggest(name, list(self.built_in))}"
            )
        return source, attribute

    def _near_prefix(self, name: str) -> str:
        """Return a question for a name whose first word is no module but nearly that of another form, else nothing."""
        word, colon, _ = name.partition(":")
        if not (colon and word.isidentifier()) or find_file(word) is not None or module_spec(word) is not None:
            return ""
        return suggest(word + colon, [form.partition(":")[0] + ":" for form in self.other_forms if ":" in form])

    def check(self, name: str) -> None:
        """Refuse a name that stands for nothing, without running any code of the user's.

        Raises:
            InputError: no such file or module, no such attribute in it, or a file that is no Python.
        """
        if is_session_name(name):
            if find_object(name) is None and find_source(name) is None:
                raise self.refusal(name, absent_reason(name))
            return
        source, attribute = self.split(name)
        check_function(source, attribute, lambda reason: self.refusal(name, reason))

    def load(self, name: str) -> Any:
        """Run the code behind a name, anew each time, and return the attribute.

        Raises:
            InputError: as `check`, and code that fails while it is imported.
        """
        if (handed_over := find_object(name)) is not None:
            return handed_over.value
        source, attribute = self._stored(name) if is_session_name(name) else self.split(name)
        module = load_module(source, lambda reason: self.refusal(name, reason))
        try:
            return getattr(module, attribute)
        except AttributeError:
            public = [key for key in vars(module) if not key.startswith("_")]
            raise self.refusal(name, f"{source} has no `{attribute}`{suggest(attribute, public)}") from None

    def _stored(self, name: str) -> tuple[str, str]:
        """Return the file and the attribute of a function that a session handed over.

        Raises:
            InputError: only that session has it.
        """
        stored = find_source(name)
        if stored is None:
            raise self.refusal(name, absent_reason(name))
        return str(stored[0]), stored[1]

    def load_callable(self, name: str, expected: str = "a function") -> Callable[..., object]:
        """Run the code behind a name, anew each time, and return the attribute, which can be called.

        Args:
            expected: what it should be, for the message.

        Raises:
            InputError: as `load`, and an attribute that cannot be called.
        """
        attribute: object = self.load(name)
        if not callable(attribute):
            raise self.refusal(name, f"expected {expected}, but it is a {type(attribute).__name__}")
        return attribute

    def content(self, name: str) -> str:
        """Return the digest of the code behind a name (see `penchant.extension.code_digest`), and the attribute.

        Raises:
            InputError: as `check`.
        """
        if is_session_name(name):
            return name  # which ends in a digest of the source
        from penchant.extension.code_digest import code_content

        source, attribute = self.split(name)
        # the attribute belongs to it: two functions of one file are two rewards
        content = code_content(source)
        if not content:
            self.check(name)  # says what is not there
        return f"{content}:{attribute}"

    def refusal(self, name: str, reason: str) -> InputError:
        """Return the error that a name is refused with."""
        return InputError(f"the {self.noun} `{shown_name(name)}`: {reason}")

    def failure(self, name: str, error: BaseException, doing: str = "failed") -> InputError:
        """Return the error of user code that raised one while it ran."""
        return self.refusal(name, f"{doing}: {describe_error(error)}{raising_line(error, self.split(name)[0])}")

    @contextmanager
    def named_errors(self, name: str, doing: str = "failed") -> Iterator[None]:
        """Turn whatever user code raises inside the block into the error that names it; `sys.exit` raises, too."""
        try:
            yield
        except (PenchantError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self.failure(name, error, doing) from error
