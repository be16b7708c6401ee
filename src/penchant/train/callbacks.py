"""Functions of the user's that a run calls with each line of its metrics, and that may stop it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from penchant.extension.door import Door
from penchant.extension.user_code import call_problem

OWN_CALLBACKS = Door("callback", kind="function")
"""Callbacks, by `module:function`."""


class Callbacks:
    """The callbacks of a run, loaded and held to their contract.

    Args:
        names: as `callbacks` of the settings has them.

    Attributes:
        stopped_by: the name of the first one that asked to stop; empty while none did.

    Raises:
        InputError: a name that stands for no function, or a function that does not take one argument.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.stopped_by = ""
        self.functions: dict[str, Callable[..., object]] = {}
        for name in names:
            # called hours later: what it does not take is told before the model is loaded
            function = OWN_CALLBACKS.load_callable(name)
            if problem := call_problem(function, 1):
                raise OWN_CALLBACKS.refusal(name, f"it is called with one argument, a line of metrics, but {problem}")
            self.functions[name] = function

    def call(self, line: Mapping[str, object]) -> None:
        """Call each with a line of `metrics.jsonl`, and note who asks to stop.

        Raises:
            InputError: one failed, or returned what is neither true, false nor nothing.
        """
        for name, function in self.functions.items():
            with OWN_CALLBACKS.named_errors(name, f"failed on the line of step {line.get('step')}"):
                # a copy: what a callback does to it must not reach the record
                answer = function(dict(line))
            # a comparison with an array's number answers by numpy's own kind of truth
            if answer is not None and not isinstance(answer, bool | np.bool_):
                raise OWN_CALLBACKS.refusal(
                    name, f"it returned a {type(answer).__name__}, expected True to stop the run, or nothing to go on"
                )
            if answer and not self.stopped_by:
                self.stopped_by = name


def callback_inputs(names: Sequence[str]) -> dict[str, str]:
    """Return a digest of the code of each callback: one that stops a run decides where it ends."""
    content = {name: OWN_CALLBACKS.content(name) for name in names}
    return {f"the callback {name}": hashlib.sha256(text.encode()).hexdigest()[:32] for name, text in content.items()}
