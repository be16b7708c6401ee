"""A process that has torch imported once and forks for every job, so that a stage costs no start-up.

Started by `core/executor.py`. Every stage has a process of its own: that gives it an honest peak of memory, and one
that is killed takes nothing with it. It speaks JSON, one value per line (see `core/message.py`). In: a
`StageMessage`, or `{"interrupt": true}`; the end of the input asks every stage to stop. Out: an `Answer` as each stage
ends.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from penchant.errors import PenchantError
from penchant.files import APPEND, open_safely
from penchant.studies.core.message import Answer, StageMessage
from penchant.typed_json import from_json, to_object

# seconds between looks for stages that ended, since `select` wakes up for messages alone
POLL_S = 0.05
LONGEST = 4000  # characters of an error: an answer has to fit a pipe that nobody reads yet


def main() -> None:
    """Serve until the input ends and the last stage with it."""
    # answers go to a copy of standard output, which itself becomes standard error: a library that prints must not get
    # between the answers
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
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
                # the study is gone: a run writes its checkpoint, and any other stage ends and is begun anew
                _signal_all(running, signal.SIGTERM)
            elif "interrupt" in (message := json.loads(line)):
                _signal_all(running, signal.SIGINT)
            else:
                stage = from_json(StageMessage, message)
                _import_for(stage.settings)
                process, answers = _fork(stage)
                running[process] = stage.id, answers
        for answer in _collect_answers(running):
            with suppress(BrokenPipeError):  # nobody is left to hear it
                print(json.dumps(to_object(answer)), file=out, flush=True)


def _import_all() -> None:
    # a collection would touch the header of every object and copy its page into each fork, and count it in the peak
    # of memory that a stage reports: so none while these are made, and none of them looked at again (`freeze`)
    gc.disable()
    import peft  # noqa: F401
    import transformers.models.gpt2.modeling_gpt2
    import transformers.models.llama.modeling_llama  # noqa: F401

    import penchant.train.gradient_run  # noqa: F401
    from penchant.studies.core.work import import_all

    import_all()
    gc.freeze()
    gc.enable()


def _import_for(settings: Mapping[str, object]) -> None:
    """Import what only some stages need, before the fork, so that many alike import it once."""
    classifier = settings.get("classifier")
    # the import takes a second and such a stage itself a tenth of one; without TF-IDF nobody needs it
    if isinstance(classifier, Mapping) and classifier.get("name") == "tfidf":
        import sklearn.feature_extraction.text
        import sklearn.linear_model
        import sklearn.pipeline  # noqa: F401


def _signal_all(running: dict[int, tuple[int, int]], number: int) -> None:
    for process in running:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _fork(stage: StageMessage) -> tuple[int, int]:
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _become(stage, writing)
    # or reading would never end: a pipe is open as long as anybody can write to it
    os.close(writing)
    return process, reading


def _become(stage: StageMessage, answers: int) -> None:
    """Run the forked process from here to its end."""
    answer = Answer(stage.id, error="it ended without a word")
    try:
        # the server may ignore it, and a stage has to raise KeyboardInterrupt to write its checkpoint
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open_safely(Path(stage.log), APPEND) as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a stage that reads would take the server's next message
        import torch

        from penchant.studies.core.job import read_job
        from penchant.studies.core.work import work

        torch.set_num_threads(stage.threads)
        answer = Answer(stage.id, status=work(read_job(stage)))
    except KeyboardInterrupt:
        answer = Answer(stage.id, status="interrupted")
    # errors of ours say what to do and need no traceback
    except PenchantError as error:
        answer = Answer(stage.id, error=str(error)[:LONGEST])
    except BaseException as error:
        traceback.print_exc()
        answer = Answer(stage.id, error=f"{type(error).__name__}: {str(error)[:LONGEST]} (see {stage.log})")
    finally:
        with suppress(OSError):
            os.write(answers, json.dumps(to_object(answer)).encode())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # not `sys.exit`, which would unwind into the server's loop


def _collect_answers(running: dict[int, tuple[int, int]]) -> list[Answer]:
    """Return the answers of the processes that ended since the last call."""
    ended_jobs = []
    for process in list(running):
        done, status = os.waitpid(process, os.WNOHANG)
        if not done:
            continue
        number, answers = running.pop(process)
        with os.fdopen(answers, "rb") as pipe:
            # the answer waits in the pipe's buffer, which `LONGEST` keeps it within, so the process did not wait for us
            reply = pipe.read()
        if reply:
            ended_jobs.append(from_json(Answer, json.loads(reply)))
        else:
            cause = f"killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "ended early"
            memory_note = (
                " (out of memory?)" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else ""
            )
            ended_jobs.append(Answer(number, error=f"its process was {cause}{memory_note}"))
    return ended_jobs


if __name__ == "__main__":
    main()
