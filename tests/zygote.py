"""Starts `penchant` command lines as real processes, fast: torch is imported once, each command line is a fork.

Run by the fixture `zygote` of `conftest.py`. Reads orders, answers them, a JSON value a line:
`{"start": [arguments], "folder", "environment", "stdout", "stderr", "file_limit"}` -> the process id;
`{"wait": id}` -> the exit code, negative for the signal that ended it;
`{"serve": path}` -> the process id of a server on a socket, which serves `penchant` as a shell finds it (`CLIENT`, for
the tutorials and the studies): a client sends arguments, folder and environment with its three streams, and gets the
exit code. As `python` it knows `-c` and code, and `-m` and the server of a study's workers, which would be imports for
seconds.
"""

from __future__ import annotations

import gc
import json
import linecache
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from less_waiting import wait_less
from penchant.studies.core import fork_server as worker_server

CLIENT = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({path!r})
order = {{"start": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(server, [json.dumps(order).encode() + b"\\n"], [0, 1, 2])
sys.exit(int(server.recv(16) or 137))
"""


def main() -> None:
    import peft  # noqa: F401 - what a run imports, so that no fork has to
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401

    import penchant.cli.main
    import penchant.train.gradient_run
    from penchant.cli.commands import load_commands
    from penchant.runs.provenance import surroundings
    from penchant.studies.core.work import import_all

    load_commands()  # which a command imports when it is typed
    import_all()  # and what a study's workers do

    wait_less()
    surroundings()  # which keeps the versions for all forks
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # a fork's collector then neither reads nor copies all that: a short training takes 0.8 s, not 1.3 s
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        elif "serve" in order:
            server = socket.socket(socket.AF_UNIX)
            server.bind(order["serve"])
            server.listen()  # before the answer: who has it may connect
            answer = os.fork()
            if answer == 0:
                serve(server, penchant.cli.main.main)
            server.close()
        else:
            answer = os.fork()
            if answer == 0:
                become(order, penchant.cli.main.main)
        print(json.dumps(answer), flush=True)


def serve(server: socket.socket, command: Any) -> None:
    """Fork for every client, until this process is ended."""
    path = server.getsockname()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them
    while True:
        client, _ = server.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.executable = str(Path(path).with_name("penchant"))  # what is started from there comes here again
            message, streams, _, _ = socket.recv_fds(client, 1 << 20, 3)
            while not message.endswith(b"\n"):
                message += client.recv(1 << 20)
            become({**json.loads(message), "streams": streams}, command, client)
        client.close()


def become(order: dict[str, Any], command: Any, client: socket.socket | None = None) -> None:
    """The forked child: a `penchant` process from here to its end."""
    import torch

    code = 1
    try:
        # makes torch's pool of threads anew, which a fork has lost: the first two threads of the child that need it
        # would race for it, and one of them would find none
        torch.set_num_threads(1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        for stream, given in enumerate(order.get("streams") or _files(order)):
            os.dup2(given, stream)
        # what this process has read of its own orders must not be what the command begins with
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays open to the end
        if order.get("file_limit"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"], resource.RLIM_INFINITY))
        sys.argv = ["penchant", *order["start"]]
        if order["start"][:1] == ["-c"]:
            # as a notebook does: of its functions Python finds the source, of those of `-c` it does not
            linecache.cache["<tutorial>"] = (0, None, order["start"][1].splitlines(keepends=True), "<tutorial>")
            exec(compile(order["start"][1], "<tutorial>", "exec"), {"__name__": "__main__"})
            code = 0
        elif [part for part in order["start"] if part != "-P"][:2] == ["-m", worker_server.__name__]:
            worker_server.main()
            code = 0
        else:
            code = command(order["start"])
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if client is not None:
            client.sendall(str(code).encode())
        os._exit(code)


def _files(order: dict[str, Any]) -> tuple[int, int, int]:
    out, err = (os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for name in ("stdout", "stderr"))
    return os.open(os.devnull, os.O_RDONLY), out, err


if __name__ == "__main__":
    main()
