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
from penchant.cli import main
from penchant.digests import SUMS
from penchant.train import loop

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
FILES = (*RUN, *(f"checkpoint/{name}" for name in CHECKPOINT))


@dataclass(frozen=True)
class Inputs:
    """A folder with model and data, a run in it that was stopped, and what it comes to when nothing is damaged."""

    folder: Path
    weights: bytes
    metrics: str


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inputs]:
    folder = unpack(tmp_path_factory.mktemp("inputs"), "unfinished")
    stop = loop.Interrupt()
    stop.asked = True
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PENCHANT_CACHE", str(folder / "cache"))
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(loop, "interruptible", lambda: contextlib.nullcontext(stop))
            assert main([*TRAIN, *SMALL, "out=stopped"]) == 130
        shutil.copytree("stopped", "whole")
        assert main(["train", "dpo", "--resume", "out=whole"]) == 0
        yield Inputs(folder, Path("whole/checkpoint/model.safetensors").read_bytes(), numbers(Path("whole")))


def numbers(run: Path) -> str:
    """The metrics of a run without what a clock says."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return json.dumps([{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_s")} for row in rows])


def resume(inputs: Inputs, run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Resume a run; the exit code and all that was said."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inputs.folder)
        patch.setenv("PENCHANT_CACHE", str(inputs.folder / "cache"))
        code = main(["train", "dpo", "--resume", f"out={run}"])
    return code, "".join(capsys.readouterr())


def check(
    inputs: Inputs,
    run: Path,
    name: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> str:
    """Resume a run of which one file is damaged; what became of it. Anything silent or unnamed fails."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        code, said = resume(inputs, run, capsys)
    said += caplog.text
    assert "Traceback" not in said
    file = name.rpartition("/")[2]
    if code == 2:
        assert file in said or "config.yaml" in said or "out=" in said, said
        assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1
        return "refused"
    assert code == 0, said
    assert (run / "checkpoint" / "model.safetensors").read_bytes() == inputs.weights
    if numbers(run) != inputs.metrics:
        assert file in said
        assert file in json.dumps(json.loads((run / "result.json").read_text())["warnings"])
        return "warned"
    return "right"


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_every_file_in_every_way(
    name: str,
    damage: str,
    inputs: Inputs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(inputs.folder / "stopped", run)
    DAMAGES[damage](run / name)
    outcome = check(inputs, run, name, capsys, caplog)
    print(f"{name} {damage}: {outcome}")


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["config.yaml", "provenance.json", "checkpoint/resume/state.pt", "checkpoint/model.safetensors"]
)
def test_every_file_of_a_run_without_digests(
    name: str,
    damage: str,
    inputs: Inputs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As version c111d53 wrote it: what cannot be read is refused, also where no digest tells."""
    run = tmp_path / "run"
    shutil.copytree(inputs.folder / "stopped", run)
    (run / SUMS).unlink()
    (run / "checkpoint" / SUMS).unlink()
    DAMAGES[damage](run / name)
    assert check(inputs, run, name, capsys, caplog) == "refused"


@given(name=st.sampled_from(FILES), place=st.integers(0, 1 << 20), mask=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_or_a_cut_anywhere(
    name: str,
    place: int,
    mask: int,
    cut: bool,
    inputs: Inputs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = tmp_path / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(inputs.folder / "stopped", run)
    content = bytearray((run / name).read_bytes())
    place %= len(content)
    content[place] ^= mask
    (run / name).write_bytes(content[:place] if cut else content)
    check(inputs, run, name, capsys, caplog)


@pytest.mark.slow
def test_the_corruption_drill_of_a_run(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Flip one byte in every file, several times; `PENCHANT_FLIPS` says how often."""
    generator, counts = random.Random(0), {"refused": 0, "warned": 0, "right": 0}
    for _ in range(int(os.environ.get("PENCHANT_FLIPS", "4"))):
        for name in FILES:
            run = tmp_path / "run"
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(inputs.folder / "stopped", run)
            content = bytearray((run / name).read_bytes())
            content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
            (run / name).write_bytes(content)
            counts[check(inputs, run, name, capsys, caplog)] += 1
    with capsys.disabled():
        print(f"\n{sum(counts.values())} flipped bytes: {counts}, 0 other numbers in silence")
    assert counts["refused"] > 0


def test_links_in_a_run_are_not_followed(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
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
        run = tmp_path / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(inputs.folder / "stopped", run)
        (run / name).symlink_to(target)
        check(inputs, run, name, capsys, caplog)
        assert [path.name for path in victim.iterdir()] == ["precious"]
        assert (victim / "precious").read_text() == "precious"
    for name in ("metrics.jsonl", "result.json"):
        shutil.rmtree(run)
        shutil.copytree(inputs.folder / "stopped", run)
        content = (run / name).read_bytes()
        (victim / "precious").write_bytes(content)
        (run / name).unlink()
        (run / name).symlink_to(victim / "precious")
        check(inputs, run, name, capsys, caplog)
        assert (victim / "precious").read_bytes() == content


def test_what_decides_a_number_is_compared(inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tokens that a template makes, the model's configuration, the data: changed between two sessions."""
    run = tmp_path / "run"
    shutil.copytree(inputs.folder / "stopped", run)
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
        file = inputs.folder / name
        text = file.read_text()
        try:
            assert old in text
            file.write_text(text.replace(old, new, 1))
            code, said = resume(inputs, run, capsys)
        finally:
            file.write_text(text)
        assert code == 2
        assert words in said
        assert "put back what it began with, or start a new run" in said
