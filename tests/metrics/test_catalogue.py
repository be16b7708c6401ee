"""The names of metrics."""

from __future__ import annotations

import pytest

from penchant.errors import InputError
from penchant.metrics.catalogue import METRICS, Metric, metric


@pytest.mark.parametrize("known", METRICS.values(), ids=METRICS)
def test_a_metric_has_all_its_names(known: Metric) -> None:
    assert known.title[0].isupper()
    assert known.label
    assert known.column
    assert not (known.is_share and known.unit), "a share is printed in percent"


def test_an_unknown_metric_is_refused_with_the_nearest_known_name() -> None:
    assert metric("kl_nats").axis_unit == "nats per response"
    assert metric("margin").axis_unit == "nats"
    with pytest.raises(InputError, match=r"there is no metric 'acuracy'.*accuracy"):
        metric("acuracy")
