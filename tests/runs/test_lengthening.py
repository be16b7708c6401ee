"""What a run's folder keeps of how it was made longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from penchant.digests import DamagedFile
from penchant.runs.lengthening import (
    FILE,
    Lengthening,
    first_lengths,
    lengthening_sentences,
    read_lengthenings,
    with_another,
)

ONE = Lengthening(3, {"max_steps": 3, "schedule.restarts": []}, {"max_steps": 9, "schedule.restarts": [3]})
TWO = Lengthening(9, {"max_steps": 9}, {"max_steps": None, "epochs": 2})


def test_sentences_name_the_lengths_and_a_warm_restart() -> None:
    assert ONE.sentence == "lengthened after step 3: max_steps from 3 to 9, with a warm restart of the schedule"
    assert TWO.sentence == "lengthened after step 9: max_steps from 9 to null and epochs from null to 2"
    assert lengthening_sentences("none") == lengthening_sentences([{"step": "x"}]) == []


def test_what_was_killed_before_it_took_a_step_gives_way() -> None:
    assert with_another([ONE], TWO) == [ONE, TWO]
    assert with_another([ONE, TWO], Lengthening(9, {"epochs": 1}, {"epochs": 3}))[1].after == {"epochs": 3}
    assert first_lengths([ONE, TWO]) == {"max_steps": 3, "schedule.restarts": []}


@pytest.mark.parametrize("text", ["", "[]", '{"lengthened": [{}]}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    assert read_lengthenings(tmp_path) == []
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DamagedFile, match=FILE):
        read_lengthenings(tmp_path)
