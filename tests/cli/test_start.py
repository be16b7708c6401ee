"""A command that is interrupted ends with one word, however early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from penchant.cli.main import _interruptible

# says `started` once both signals have their handlers: before that, an interruption is the interpreter's own
START = """
import signal, sys
import penchant_start

def handle(number, handler, handle=signal.signal):
    before = handle(number, handler)
    if number == signal.SIGTERM:
        print("started", flush=True)
    return before

signal.signal = handle
sys.argv = ["penchant", "data", "check", "nope.jsonl"]
sys.exit(penchant_start.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_interrupts_a_command_and_both_are_put_back(number: int) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def command() -> None:
        with _interruptible():
            os.kill(os.getpid(), number)
            time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        command()
    assert {each: signal.getsignal(each) for each in before} == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_importing_ends_with_one_word(number: int) -> None:
    ended = []
    for wait in (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        process = subprocess.Popen(
            [sys.executable, "-c", START], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # the interpreter itself may be slow to start, and nobody can catch that
        time.sleep(wait)
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1]
        ended.append(process.returncode)
        assert "Traceback" not in errors
        # 2: it had come to its end; a signal may still meet the interpreter on its way out
        assert process.returncode in (2, 130, -number), (wait, process.returncode, errors)
        if process.returncode == 130:
            assert errors == "interrupted\n"
        elif process.returncode == 2:
            assert "nope.jsonl" in errors
    assert 130 in ended
