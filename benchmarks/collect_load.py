"""Load on the page for people: simulated annotators against a server on this machine, which is killed in the middle.

    python benchmarks/collect_load.py --annotators 50 --judgments 5000 --kills 10

Each annotator is a task with a session of their own: it asks for the page, thinks, sends a judgment, and repeats a
submission that was not acknowledged, with the same id, as the page's script does. At the end every acknowledged
judgment must stand in the database once, and nothing else.

Two things are timed, which one number would mix up. **Latency**: requests that the running server answered, begun after
it had answered its first one and answered at the first attempt; those of others while a crowd comes back after a
restart count, too. **Waits**: how long people waited through a restart, from their first attempt to the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from side_by_side.environment import machine


@dataclass(frozen=True)
class Asked:
    """A request and its answer, in seconds of one clock: the first attempt, the answer, how many attempts it took, and
    since when the server that answered was running."""

    kind: str
    began: float
    answered: float
    attempts: int
    up: float

    @property
    def waited(self) -> bool:
        """Whether a restart is in it: it was asked before the server ran, or more than once."""
        return self.attempts > 1 or self.began < self.up


@dataclass
class Load:
    """What is measured: answered requests, ids that were acknowledged, attempts that failed, the server's restarts."""

    asked: list[Asked] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    failed: int = 0
    refused: int = 0
    odd: list[str] = field(default_factory=list)
    up: float = 0.0
    down_s: list[float] = field(default_factory=list)


class Server:
    """`penchant collect` as a process."""

    def __init__(self, folder: Path, settings: list[str]) -> None:
        self.folder, self.settings = folder, settings
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.links: dict[int, str] = {}

    def start(self) -> None:
        command = [sys.executable, "-m", "penchant.cli", "collect", *self.settings, f"port={self.port}"]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http\S+/a/(\d+)/\S+", line):
                self.links[int(found[1])] = found[0]
            if line.startswith("Links are secret"):
                return
        raise SystemExit("the server did not start")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


async def annotator(number: int, server: Server, load: Load, enough: asyncio.Event, most: int, think: float) -> None:
    rng = random.Random(number)
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:

        async def ask(method: str, url: str, kind: str, **more: Any) -> httpx.Response:
            began, attempts = time.perf_counter(), 0
            while True:
                attempts += 1
                try:
                    answer = await client.request(method, url, **more)
                except httpx.HTTPError:  # killed: again, as the page does
                    load.failed += 1
                    await asyncio.sleep(0.2)
                    continue
                if answer.status_code in (429, 503):
                    load.refused += 1
                    await asyncio.sleep(0.5)
                    continue
                load.asked.append(Asked(kind, began, time.perf_counter(), attempts, load.up))
                return answer

        await asyncio.sleep(rng.random() * think)
        await ask("GET", server.links[number], "link")
        place = f"http://127.0.0.1:{server.port}/w/{number}/"
        while not enough.is_set():
            page = await ask("GET", place, "page")
            found = re.search(r'data-assignment="(\d+)" data-csrf="([^"]+)"', page.text)
            if page.status_code != 200 or found is None:
                load.odd.append(f"{page.status_code}: no item for {number}")
                return
            await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
            choice = rng.choice(("ranked", "ranked", "tie", "both_bad"))
            sent = {"id": str(uuid.UUID(int=rng.getrandbits(128))), "assignment": int(found[1]), "choice": choice}
            if choice == "ranked":
                sent["places"] = rng.choice(([1, 2], [2, 1]))
            headers = {"X-CSRF-Token": found[2]}
            answer = await ask("POST", f"{place}judgments", "submission", json=sent, headers=headers)
            if answer.status_code == 200:
                load.acknowledged.append(str(sent["id"]))
            else:
                load.odd.append(f"{answer.status_code}: {answer.text[:100]}")
            if len(load.acknowledged) >= most:
                enough.set()


async def killer(server: Server, load: Load, enough: asyncio.Event, most: int, kills: int) -> int:
    """Kill the server at even distances of the whole; how often it was done."""
    done = 0
    while done < kills and not enough.is_set():
        if len(load.acknowledged) >= most * (done + 1) / (kills + 1):
            began, load.up = time.perf_counter(), math.inf
            server.kill()
            await asyncio.to_thread(server.start)
            await running(server, load)
            load.down_s.append(load.up - began)
            done += 1
        await asyncio.sleep(0.01)
    return done


async def running(server: Server, load: Load) -> None:
    """Note when the server has answered its first request."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        while True:
            try:
                await client.get(f"http://127.0.0.1:{server.port}/health")
            except httpx.HTTPError:
                await asyncio.sleep(0.02)
                continue
            load.up = time.perf_counter()
            return


async def run(annotators: int, judgments: int, kills: int, think: float, folder: Path) -> dict[str, Any]:
    """The load, and what was found afterwards."""
    items = judgments  # with an overlap of 2, twice as many places as judgments: nobody runs out
    rows = (
        {"prompt": f"Question {n}?", "responses": [f"Answer {n}. " * 20, f"Other {n}. " * 30]} for n in range(items)
    )
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ["rows.jsonl", f"annotators={annotators}", "overlap=2", "requests_per_minute=100000"]
    server, load, enough = Server(folder, settings), Load(), asyncio.Event()
    await asyncio.to_thread(server.start)
    await running(server, load)
    started = time.perf_counter()
    people = [annotator(number, server, load, enough, judgments, think) for number in range(1, annotators + 1)]
    *_, killed = await asyncio.gather(*people, killer(server, load, enough, judgments, kills))
    seconds = time.perf_counter() - started
    server.kill()
    with closing(sqlite3.connect(folder / "penchant.sqlite")) as connection:
        stored = [one for (one,) in connection.execute("SELECT client_id FROM judgment")]
        most_of_item = connection.execute(
            "SELECT max(n) FROM (SELECT count(*) AS n FROM judgment JOIN assignment ON assignment.id = assignment_id "
            "WHERE undone_at IS NULL GROUP BY item_id)"
        ).fetchone()[0]
        whole = connection.execute("PRAGMA integrity_check").fetchone()[0]
    return {
        "annotators": annotators,
        "acknowledged": len(load.acknowledged),
        "stored": len(stored),
        "lost": len(set(load.acknowledged) - set(stored)),
        "doubled": len(stored) - len(set(stored)),
        "more than the overlap": most_of_item > 2,
        "integrity": whole,
        "kills": killed,
        "attempts that failed": load.failed,
        "asked to slow down": load.refused,
        "odd": load.odd[:5],
        "seconds": round(seconds, 1),
        "judgments/s": round(len(load.acknowledged) / seconds, 1),
        "server down, s": [round(one, 2) for one in load.down_s],
        **{f"{kind}s": timed(load.asked, kind) for kind in ("submission", "page")},
    }


def timed(asked: list[Asked], kind: str) -> dict[str, Any]:
    """Latency of a kind of request while the server ran (ms), and what people waited through restarts (s)."""
    of_kind = [one for one in asked if one.kind == kind]
    latencies = sorted(1000 * (one.answered - one.began) for one in of_kind if not one.waited)
    waits = sorted(one.answered - one.began for one in of_kind if one.waited)
    return {
        "answered by the running server": len(latencies),
        "p50, p95, p99 ms": [round(one, 1) for one in _at(latencies, 0.5, 0.95, 0.99)],
        "waited through a restart": len(waits),
        "waits p50, p95, longest s": [round(one, 2) for one in _at(waits, 0.5, 0.95, 1)],
    }


def _at(values: list[float], *shares: float) -> list[float]:
    """Quantiles of sorted values; none of none."""
    return [values[min(len(values) - 1, int(share * len(values)))] for share in shares] if values else []


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--judgments", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--think", type=float, default=1.0, help="seconds between page and submission, on average")
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers, such as results/MACHINE/collect.json")
    options = parser.parse_args()
    load_before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        numbers = asyncio.run(run(options.annotators, options.judgments, options.kills, options.think, Path(folder)))
    numbers |= {
        "think s": options.think,
        "machine": machine(),
        "load average before": [round(x, 2) for x in load_before],
    }
    print(json.dumps(numbers, indent=2))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(numbers, indent=2) + "\n")
    return int(bool(numbers["lost"] or numbers["doubled"] or numbers["integrity"] != "ok"))


if __name__ == "__main__":
    sys.exit(main())
