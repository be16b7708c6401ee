"""The result of a run of an earlier session: whole, unfinished, and of a folder of several."""

from __future__ import annotations

import json

import pytest

from penchant.errors import InputError
from penchant.runs.load_run import load_run


def test_the_result_of_a_run_of_yesterday(make_run):
    path = make_run(steps=12)
    result = load_run(str(path))
    assert (result.method, result.path) == ("dpo", path)
    assert result.metrics == json.loads((path / "result.json").read_text())
    assert [line["step"] for line in result.history if line["kind"] == "train"] == list(range(1, 13))
    assert load_run(result) == result
    (path / "result.json").unlink()
    with pytest.raises(InputError, match="has not ended"):
        load_run(path)
    with pytest.raises(InputError):
        load_run(path / "nowhere")


def test_a_folder_of_several_runs_is_none_of_them(make_run):
    path = make_run("several/a", steps=12)
    make_run("several/b", steps=12)
    with pytest.raises(InputError, match="holds 2 runs: name one of them"):
        load_run(path.parent)


@pytest.mark.parametrize("value", [3, None, ["runs/first"], {"path": "runs/first"}])
def test_what_is_no_run_is_refused(value: object):
    with pytest.raises(InputError, match="expected a run directory or the result of a run, got a"):
        load_run(value)  # type: ignore[arg-type]
