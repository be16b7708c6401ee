"""A process that has torch imported once and forks for every job, so that a stage costs no start-up.

Started by `core/executor.py`; every stage has a process of its own, which gives it an honest peak of memory,
and one that is killed takes nothing with it. Speaks JSON, a value a line. In: `{"id", "job", "threads", "log"}`, or
`{"interrupt": true}`; the end of the input asks every stage to stop. Out: `{"id", "status"}` or `{"id", "error"}` as
stages end.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from penchant.errors import PenchantError
from penchant.files import APPEND, open_safely
from penchant.typed_json import JsonObject

POLL_S = 0.05
LONGEST = 4000  # characters of an error: an answer has to fit a pipe that nobody reads yet


def main() -> None:
    """Serve until the input ends and the last stage with it."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints must not get between the answers
    _import_all()
    running: dict[int, tuple[int, int]] = {}  # process -> (id, the end of the pipe that it answers by)
    jobs = os.fdopen(0, "rb", buffering=0)  # or `select` would miss what was read ahead
    open_ = True
    while open_ or running:
        ready, _, _ = select.select([0] if open_ else [], [], [], POLL_S)
        if ready:
            line = jobs.readline()
            if not line:
                open_ = False
                _signal_all(running, signal.SIGTERM)
            elif "interrupt" in (message := json.loads(line)):
                _signal_all(running, signal.SIGINT)
            else:
                _import_for(message["job"]["settings"])
                process, answers = _fork(message)
                running[process] = message["id"], answers
        for answer in _collect_answers(running):
            with suppress(BrokenPipeError):  # nobody is left to hear it
                print(json.dumps(answer), file=out, flush=True)


def _import_all() -> None:
    gc.disable()
    import peft  # noqa: F401
    import transformers.models.gpt2.modeling_gpt2
    import transformers.models.llama.modeling_llama  # noqa: F401

    import penchant.train.gradient_run  # noqa: F401
    from penchant.studies.core.work import import_all

    import_all()
    gc.freeze()
    gc.enable()


def _import_for(settings: JsonObject) -> None:
    """Import what a stage and many like it need beyond that, once for all of them."""
    # takes a second, and such a stage itself a tenth of one
    if settings.get("classifier", {}).get("name") == "tfidf":
        import sklearn.feature_extraction.text
        import sklearn.linear_model
        import sklearn.pipeline  # noqa: F401


def _signal_all(running: dict[int, tuple[int, int]], number: int) -> None:
    for process in running:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _fork(message: JsonObject) -> tuple[int, int]:
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _become(message, writing)
    os.close(writing)
    return process, reading


def _become(message: JsonObject, answers: int) -> None:
    """Run the forked process from here to its end."""
    answer: JsonObject = {"error": "it ended without a word"}
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open_safely(Path(message["log"]), APPEND) as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        import torch

        from penchant.studies.core.job import StageJob
        from penchant.studies.core.work import work

        torch.set_num_threads(message["threads"])
        answer = {"status": work(StageJob.from_plain(message["job"]))}
    except KeyboardInterrupt:
        answer = {"status": "interrupted"}
    except PenchantError as error:
        answer = {"error": str(error)[:LONGEST]}
    except BaseException as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {str(error)[:LONGEST]} (see {message['log']})"}
    finally:
        with suppress(OSError):
            os.write(answers, json.dumps(answer).encode())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _collect_answers(running: dict[int, tuple[int, int]]) -> list[JsonObject]:
    """Return the answers of the processes that ended since the last call."""
    ended_jobs = []
    for process in list(running):
        done, status = os.waitpid(process, os.WNOHANG)
        if not done:
            continue
        number, answers = running.pop(process)
        with os.fdopen(answers, "rb") as pipe:
            reply = pipe.read()
        if reply:
            ended_jobs.append({"id": number, **json.loads(reply)})
        else:
            cause = f"killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "ended early"
            memory_note = (
                " (out of memory?)" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else ""
            )
            ended_jobs.append({"id": number, "error": f"its process was {cause}{memory_note}"})
    return ended_jobs


if __name__ == "__main__":
    main()
