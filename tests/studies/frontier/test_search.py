"""Which runs are added: by KLs that are made up, for methods that move slowly, fast, too fast, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.metrics.efficiency import missing_bracket
from penchant.studies.core.executor import Workers
from penchant.studies.core.methods import Setting
from penchant.studies.core.stage import Stage
from penchant.studies.core.study import run_study
from penchant.studies.frontier.grid import Grid, grid
from penchant.studies.frontier.search import Path, gaps_of, next_setting
from penchant.studies.frontier.settings import FrontierConfig

PARTS = (0.1, 0.16, 0.26, 0.42, 0.65, 1.0)  # of a run's steps, after which it is evaluated
TRUSTED = 4.0
MATCHED = (0.5, 1.0, 2.0)


def moved(setting: Setting, scale: float, power: float, broken: float = 1.0) -> tuple[float, ...]:
    """The KLs of a run's evaluations: so many nats at a learning rate of 1e-4, and none at all where it broke."""
    last = scale * (setting.rate / 1e-4) ** power
    return () if setting.rate >= broken else tuple(last * part**1.5 for part in PARTS)


@dataclass
class MadeUp:
    """Results as the grid asks for them; `scales` has nats at 1e-4 and the power of the rate, by method."""

    scales: dict[str, tuple[float, float]]
    known: Sequence[str] = ()
    broken: float = 1.0
    lost: tuple[str, ...] = ()

    @property
    def done(self) -> set[str]:
        return set(self.known) - set(self.lost)

    def has_ended(self, task: Stage) -> bool:
        return task.address in self.known

    def reference(self, task: Stage) -> Any:
        return SimpleNamespace(prompts=("a", "b"), trusted_kl=TRUSTED)

    def run(self, task: Stage, prompts: Sequence[str]) -> Any:
        assert task.rate is not None
        kls = moved(Setting(task.value, task.rate), *self.scales[task.kind], self.broken)
        return SimpleNamespace(points=[SimpleNamespace(kl_nats=np.full(2, kl)) for kl in kls])


def searched(config: FrontierConfig, scales: dict[str, tuple[float, float]], **more: Any) -> tuple[Grid, list[int]]:
    """The grid once it adds no stage, and how many runs it had each time that it was asked."""
    built, counts = grid(config), []
    while True:
        addresses = [task.address for task in built.stages()]
        counts.append(len(built.runs))
        grown = grid(config, MadeUp(scales, addresses, **more))  # type: ignore[arg-type]
        assert set(addresses) <= {task.address for task in grown.stages()}  # nothing is taken back
        if len(grown.runs) == len(built.runs):
            return grown, counts
        built = grown


def kls_of(built: Grid, method: str, scales: dict[str, tuple[float, float]]) -> list[float]:
    settings = [Setting(run.value, run.rate or 0.0) for run in built.runs if run.kind == method]
    return [kl for setting in settings for kl in moved(setting, *scales[method])]


PPO = {"target_nats": [3], "learning_rate": 1e-4, "steps": 2, "prompts_per_step": 4, "samples_per_prompt": 2}


@pytest.fixture
def config(study: Callable[..., FrontierConfig]) -> FrontierConfig:
    return study(
        dpo={"beta": [0.1], "learning_rate": 1e-4},
        preferred_ft={"learning_rate": 1e-4},
        unlikelihood=None,
        ppo_gt=PPO,
        matched_nats=MATCHED,
        search={"least": 2, "most": 6, "steps": 16},
    )


@pytest.mark.parametrize(
    "scales",
    [
        {"dpo": (2.5, 2.0), "preferred_ft": (0.05, 2.0), "ppo_gt": (3.0, 1.5)},
        {"dpo": (60.0, 2.0), "preferred_ft": (0.3, 1.0), "ppo_gt": (0.02, 2.0)},
        {"dpo": (2.9, 1.0), "preferred_ft": (3.0, 1.0), "ppo_gt": (2.6, 2.0)},
    ],
)
def test_every_method_comes_to_bracket_every_kl_with_as_many_runs_as_the_others(
    config: FrontierConfig, scales: dict[str, tuple[float, float]]
) -> None:
    built, counts = searched(config, scales)
    assert not built.open
    runs = Counter(run.kind for run in built.runs)
    assert len(set(runs.values())) == 1
    assert 2 <= runs["dpo"] <= 6
    assert (counts[0], counts[-1]) == (3, len(built.runs))
    for method in scales:
        assert not any(missing_bracket(kls_of(built, method, scales), kl, TRUSTED) for kl in MATCHED), method
    assert len({(run.kind, run.value, run.rate) for run in built.runs}) == len(built.runs)
    assert {task.settings.steps for task in built.runs} == {16, 2}  # of PPO, rounds of 8 steps


def test_what_brackets_at_once_gets_the_least_and_no_more(config: FrontierConfig) -> None:
    built, _ = searched(config, dict.fromkeys(("dpo", "preferred_ft", "ppo_gt"), (3.0, 2.0)))
    assert Counter(run.kind for run in built.runs) == {"dpo": 2, "preferred_ft": 2, "ppo_gt": 2}


def test_the_budget_ends_the_search(config: FrontierConfig) -> None:
    built, _ = searched(config, {"dpo": (3.0, 2.0), "preferred_ft": (1e-9, 0.1), "ppo_gt": (3.0, 2.0)})
    assert Counter(run.kind for run in built.runs) == {"dpo": 6, "preferred_ft": 6, "ppo_gt": 6}
    assert not built.open


def test_a_rate_at_which_runs_fail_is_not_passed(config: FrontierConfig) -> None:
    scales = {"dpo": (0.3, 2.0), "preferred_ft": (3.0, 2.0), "ppo_gt": (3.0, 2.0)}
    built, _ = searched(config, scales, broken=3.9e-4)
    rates = [run.rate or 0.0 for run in built.runs if run.kind == "dpo"]
    first = next(place for place, rate in enumerate(rates) if rate >= 3.9e-4) if max(rates) >= 3.9e-4 else len(rates)
    assert all(rate < 3.9e-4 for rate in rates[first + 1 :])


def test_an_unfinished_run_or_a_lost_reference_adds_nothing(config: FrontierConfig) -> None:
    built = grid(config)
    assert built.open
    scales = dict.fromkeys(("dpo", "preferred_ft", "ppo_gt"), (1.0, 2.0))
    most = [task.address for task in built.stages()][:-1]
    assert grid(config, MadeUp(scales, most)).open  # type: ignore[arg-type]
    whole = [task.address for task in built.stages()]
    lost = grid(config, MadeUp(scales, whole, lost=(built.reference.address,)))  # type: ignore[arg-type]
    assert len(lost.runs) == len(built.runs)
    assert not lost.open


def test_a_target_that_holds_ppo_back_is_raised() -> None:
    held = Path(Setting(1.0, 1e-4), ((0.3, 0.8, 0.95),))
    found = next_setting("ppo", [held], gaps_of(MATCHED, [held], TRUSTED), TRUSTED)
    assert found == Setting(2.8, 1e-4)  # the root of 2 times 4
    slow = Path(Setting(9.0, 1e-4), ((0.3, 0.8, 0.95),))
    assert next_setting("ppo", [slow], gaps_of(MATCHED, [slow], TRUSTED), TRUSTED) == Setting(9.0, 2.1e-4)


@given(
    st.lists(st.tuples(st.floats(1e-7, 1), st.one_of(st.none(), st.floats(1e-3, 50))), min_size=1, max_size=4),
    st.floats(1e-6, 1e4),
    st.floats(0, 3),
    st.sampled_from(["dpo", "preferred_ft", "ppo"]),
)
def test_there_is_always_a_next_setting_and_it_is_new(
    tried: list[tuple[float, float | None]], scale: float, power: float, method: str
) -> None:
    settings = list(dict.fromkeys(Setting(value, rate) for rate, value in tried))
    paths = [Path(setting, (moved(setting, scale, power, broken=0.5),) * 2) for setting in settings]
    found = next_setting(method, paths, gaps_of(MATCHED, paths, TRUSTED), TRUSTED)
    assert found not in settings
    assert found.rate > 0
    assert found == next_setting(method, paths, gaps_of(MATCHED, paths, TRUSTED), TRUSTED)


@pytest.mark.slow
def test_a_search_runs_to_its_end_and_a_second_call_adds_nothing(
    study: Callable[..., FrontierConfig], workers: Workers
) -> None:
    config = study(
        dpo={"beta": [0.1], "learning_rate": 1e-3},
        unlikelihood=None,
        search={"least": 1, "most": 2, "steps": 3},
        matched_nats=[0.2],
        evaluation={"times": 2, "samples": 2, "reference_samples": 16},
    )
    result = run_study(config, workers=workers)
    assert not result.failures
    runs = Counter(run["method"] for run in result.numbers["runs"])
    assert runs["dpo"] == runs["preferred_ft"] in (1, 2)
    assert {method["cost"]["optimizer_steps"] for method in result.numbers["methods"][:2]} == {3}
    assert result.numbers["search"] == {"open": False}
    again = run_study(config, workers=workers)
    assert again.ran == 0
    assert again.numbers == result.numbers
