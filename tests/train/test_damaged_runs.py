"""Damaged files of a run: a message that names the file, or the right numbers; never others in silence."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from old_folders import unpack
from penchant.cli.main import main
from penchant.digests import SUMS
from penchant.train import loop
from penchant.train.interrupt import Interrupt

TRAIN = ("train", "dpo", "model=model", "model.device=cpu", "data=prefs.jsonl", "data.held_out=1", "batch_size=4")
SMALL = ("evaluate.samples.max_new_tokens=4", "evaluate.samples.n=1", "optimizer.learning_rate=1e-3", "max_steps=4")
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'user' %}Q:{% else %}A:{% endif %}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}A:{% endif %}"
)
DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut at a line": lambda path: path.write_bytes(path.read_bytes().rpartition(b"\n")[0].rpartition(b"\n")[0] + b"\n"),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "a list": lambda path: path.write_text("[1, 2]\n"),
    "a number": lambda path: path.write_text("7\n"),
    "an object": lambda path: path.write_text("{}\n"),
    "a folder": lambda path: path.unlink() or path.mkdir(),
    "a link to nowhere": lambda path: path.unlink() or path.symlink_to("nowhere"),
}
RUN = ("config.yaml", "provenance.json", "metrics.jsonl", "samples.jsonl", "result.json", SUMS)
CHECKPOINT = ("resume/state.pt", "model.safetensors", "config.json", "tokenizer.json", SUMS)
LINES = ("metrics.jsonl", "samples.jsonl")
CLOCK = ("seconds", "tokens_per_s")
DECIDING = ("config.yaml", "provenance.json", "checkpoint/resume/state.pt", "checkpoint/model.safetensors")
"""Files that a resumed run goes on from: none of them is used while it is not what was written."""
FILES = (*RUN, *(f"checkpoint/{name}" for name in CHECKPOINT))


@dataclass(frozen=True)
class Inputs:
    """A folder with model and data, a run in it that was stopped, and what it comes to when nothing is damaged."""

    folder: Path
    weights: bytes
    lines: dict[str, str]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inputs]:
    folder = unpack(tmp_path_factory.mktemp("inputs"), "unfinished")
    stop = Interrupt()
    stop.requested = True
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PENCHANT_CACHE", str(folder / "cache"))
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(loop, "interruptible", lambda **_: contextlib.nullcontext(stop))
            assert main([*TRAIN, *SMALL, "out=stopped"]) == 130
        shutil.copytree("stopped", "whole")
        assert main(["train", "dpo", "--resume", "out=whole"]) == 0
        yield Inputs(folder, Path("whole/checkpoint/model.safetensors").read_bytes(), numbers(Path("whole")))


def numbers(run: Path) -> dict[str, str]:
    """The lines of a run by file, without what a clock says."""
    found = {}
    for name in LINES:
        rows = [json.loads(line) for line in (run / name).read_text().splitlines()]
        found[name] = json.dumps([{k: v for k, v in row.items() if k not in CLOCK} for row in rows])
    return found


@dataclass(frozen=True)
class Drill:
    """A copy of the stopped run to damage and to resume."""

    inputs: Inputs
    run: Path
    capsys: pytest.CaptureFixture[str]
    caplog: pytest.LogCaptureFixture

    def renew(self) -> Path:
        """Put a fresh copy of the stopped run in place."""
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.inputs.folder / "stopped", self.run)
        return self.run

    def resume(self) -> tuple[int, str]:
        """Resume the run; the exit code and all that was printed or logged."""
        self.capsys.readouterr()
        self.caplog.clear()
        with pytest.MonkeyPatch.context() as patch, self.caplog.at_level(logging.WARNING):
            patch.chdir(self.inputs.folder)
            patch.setenv("PENCHANT_CACHE", str(self.inputs.folder / "cache"))
            code = main(["train", "dpo", "--resume", f"out={self.run}"])
        return code, "".join(self.capsys.readouterr())

    def outcome(self, name: str) -> str:
        """Resume the run of which one file is damaged: `refused`, `warned`, or `right`. Anything silent or unnamed
        fails."""
        code, output = self.resume()
        output += self.caplog.text
        assert "Traceback" not in output
        file = name.rpartition("/")[2]
        if code == 2:
            assert file in output or "config.yaml" in output or "out=" in output, output
            assert len([line for line in output.splitlines() if line.startswith("error:")]) == 1
            return "refused"
        assert code == 0, output
        assert (self.run / "checkpoint" / "model.safetensors").read_bytes() == self.inputs.weights
        if numbers(self.run) != self.inputs.lines:
            assert file in output
            assert file in json.dumps(json.loads((self.run / "result.json").read_text())["warnings"])
            return "warned"
        return "right"


@pytest.fixture
def drill(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Drill:
    made = Drill(inputs, tmp_path / "run", capsys, caplog)
    made.renew()
    return made


def expected(name: str, damage: str) -> str:
    """What must become of a run with this file damaged in this way."""
    if name in LINES:
        return "refused" if damage in ("a folder", "a link to nowhere") else "warned"
    if name in ("checkpoint/config.json", "checkpoint/tokenizer.json"):
        return "right"  # the model's own folder is read, and these are written anew
    if name == "result.json" and damage in ("missing", "a link to nowhere"):
        return "right"  # as after a kill
    if name.endswith(SUMS) and damage in ("missing", "cut at a line", "a link to nowhere"):
        return "right"  # as an earlier version wrote it; the line that is cut off is of a file that nobody reads
    return "refused"


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_every_file_in_every_way(name: str, damage: str, drill: Drill) -> None:
    DAMAGES[damage](drill.run / name)
    assert drill.outcome(name) == expected(name, damage)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["config.yaml", "provenance.json", "checkpoint/resume/state.pt", "checkpoint/model.safetensors"]
)
def test_every_file_of_a_run_without_digests(name: str, damage: str, drill: Drill) -> None:
    """As version c111d53 wrote it: what cannot be read is refused, also where no digest tells."""
    (drill.run / SUMS).unlink()
    (drill.run / "checkpoint" / SUMS).unlink()
    DAMAGES[damage](drill.run / name)
    assert drill.outcome(name) == "refused"


def flip_or_cut(file: Path, place: int, mask: int, cut: bool = False) -> None:
    """Change one byte of a file, or cut it there."""
    content = bytearray(file.read_bytes())
    place %= len(content)
    content[place] ^= mask
    file.write_bytes(content[:place] if cut else content)


@given(name=st.sampled_from(FILES), place=st.integers(0, 1 << 20), mask=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_or_a_cut_anywhere(name: str, place: int, mask: int, cut: bool, drill: Drill) -> None:
    flip_or_cut(drill.renew() / name, place, mask, cut)
    outcome = drill.outcome(name)
    assert outcome == "refused" or name not in DECIDING


@pytest.mark.slow
def test_the_corruption_drill_of_a_run(drill: Drill) -> None:
    """Flip one byte in every file, several times; `PENCHANT_FLIPS` says how often."""
    generator, counts = random.Random(0), {"refused": 0, "warned": 0, "right": 0}
    for _ in range(int(os.environ.get("PENCHANT_FLIPS", "4"))):
        for name in FILES:
            file = drill.renew() / name
            flip_or_cut(file, generator.randrange(file.stat().st_size), 1 << generator.randrange(8))
            outcome = drill.outcome(name)
            assert outcome == "refused" or name not in DECIDING
            counts[outcome] += 1
    with drill.capsys.disabled():
        print(f"\n{sum(counts.values())} flipped bytes: {counts}, 0 other numbers in silence")


def test_links_in_a_run_are_not_followed(drill: Drill, tmp_path: Path) -> None:
    """Whatever a packed run links to stays as it is."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("precious")
    for name, target in (
        (".lock", victim / "precious"),
        (".metrics.jsonl.tmp", victim / "precious"),
        (".checkpoint.new", victim),
        (".checkpoint.old", victim),
    ):
        (drill.renew() / name).symlink_to(target)
        drill.outcome(name)
        assert [path.name for path in victim.iterdir()] == ["precious"]
        assert (victim / "precious").read_text() == "precious"
    for name in ("metrics.jsonl", "result.json"):
        file = drill.renew() / name
        content = file.read_bytes()
        (victim / "precious").write_bytes(content)
        file.unlink()
        file.symlink_to(victim / "precious")
        drill.outcome(name)
        assert (victim / "precious").read_bytes() == content


def test_what_decides_a_number_is_compared(drill: Drill) -> None:
    """The tokens that a template makes, the model's configuration, the data: changed between two sessions."""
    for name, old, new, words in (
        ("model/config.json", '"rope_theta": 10000.0', '"rope_theta": 500.0', "the model and the reference changed"),
        (
            "model/tokenizer_config.json",
            "{",
            '{"chat_template": "' + TEMPLATE + '",',
            "the rendered tokens",
        ),
        ("prefs.jsonl", "Sad", "Bad", "the data (prefs.jsonl) changed"),
    ):
        file = drill.inputs.folder / name
        text = file.read_text()
        try:
            assert old in text
            file.write_text(text.replace(old, new, 1))
            code, output = drill.resume()
        finally:
            file.write_text(text)
        assert code == 2
        assert words in output
        assert "put back what it began with, or start a new run" in output
