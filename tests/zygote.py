"""Starts `penchant` command lines as real processes, fast: torch is imported once, each command line is a fork.

Run by the fixture `penchant` of `conftest.py`. Reads orders, answers them, a JSON value a line:
`{"start": [arguments], "folder", "environment", "stdout", "stderr", "file_limit"}` -> the process id;
`{"wait": id}` -> the exit code, negative for the signal that ended it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from typing import Any


def main() -> None:
    import peft  # noqa: F401 - what a run imports, so that no fork has to
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401

    import penchant.cli
    import penchant.train.session

    torch.set_num_threads(1)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                become(order, penchant.cli.main)
        print(json.dumps(answer), flush=True)


def become(order: dict[str, Any], command: Any) -> None:
    """The forked child: a `penchant` process from here to its end."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        for stream, name in ((0, os.devnull), (1, order["stdout"]), (2, order["stderr"])):
            flags = os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags), stream)
        if order["file_limit"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"], resource.RLIM_INFINITY))
        sys.argv = ["penchant", *order["start"]]
        code = command(order["start"])
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
