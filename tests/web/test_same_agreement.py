"""The admin's page and `penchant agree` say the same of one database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from penchant.raters.agreement import measure_agreement
from penchant.raters.settings import Agree
from penchant.typed_json import to_object
from penchant.web.summary import summarize


def agreement_numbers(config: Agree) -> dict[str, Any]:
    """The content of `agree.json`."""
    return to_object(measure_agreement(config))


@pytest.mark.parametrize("responses", [2, 3])
def test_alpha_and_kappas_are_those_of_agree(make_site: Callable[..., Any], responses: int, sqlite_only: None) -> None:
    """Also where people lean to one response of each prompt, which stands first in the file, and where texts differ by
    white space only or come twice."""
    rng = np.random.default_rng(responses)
    rows = [{"prompt": f"p{n}", "responses": [f"{r} {n}" for r in range(responses)]} for n in range(6)]
    rows.append({"prompt": "p0", "responses": ["0 0", "1 0 "]})
    site = make_site(rows, annotators=3, overlap=3, names=["Zoe", "Ada"])
    for number in (1, 2, 3):
        person = site.person(number)
        while person.look() is not None:
            choice = rng.choice(["ranked", "ranked", "tie", "both_bad", "skip"])
            more = {"reason": "unclear"} if choice == "skip" else {}
            places = [int(place) + 1 for place in rng.permutation(responses)] if choice == "ranked" else None
            shown = person.look()[1]
            person.judge(str(choice), places[:shown] if places and shown == responses else None, **more)
    with site.database.reading() as session:
        page = summarize(session, 3)
    told = agreement_numbers(Agree(files=[site.config.out]))
    assert page.alpha.as_dict() == told["alpha"]
    assert page.alpha.value is not None
    kappas = {frozenset((one, other)): (raw.as_dict(), kappa.as_dict()) for one, other, raw, kappa in page.kappa}
    assert kappas == {frozenset((pair["one"], pair["other"])): (pair["raw"], pair["kappa"]) for pair in told["pairs"]}
    assert len(kappas) == 3
