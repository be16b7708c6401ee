"""Choose the runs that a frontier study adds: one per method at a time, until all can be compared. Imports no torch.

What comes next follows from the KLs of the runs before and from nothing else. A policy moves further with a higher
learning rate: its KL goes with a power of it, which is guessed first and then taken from two runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penchant.studies.core.methods import Runs, Setting, settings_of
from penchant.studies.core.stage import Stage
from penchant.studies.frontier.settings import FrontierConfig

if TYPE_CHECKING:
    from penchant.studies.core.results import ReferenceSamples, Results

STEEPEST = 4.0  # change of a learning rate from one run to the next, at most
GENTLEST = 1.15  # and at least: less would be a run for a KL that is there already
POWER = 1.5  # of the learning rate, that the KL goes with: the square for small steps, less for large ones
POWERS = (0.5, 3.0)  # what two runs may make of it: KLs are noisy, and close rates would give any power
TARGET_REACHED = 0.7  # of its target KL, reached: then PPO is held by the target and not by its learning rate
LADDER = (("rate", 2.0), ("rate", 0.5), ("value", 3.0), ("value", 1 / 3), ("rate", 4.0), ("rate", 0.25))
"""What to try beside the first setting of a method that lacks nothing."""


@dataclass(frozen=True)
class Path:
    """The mean KLs of a setting's evaluations, for each seed; none where a run failed."""

    setting: Setting
    kl_nats: tuple[tuple[float, ...], ...]

    @property
    def peak(self) -> float:
        """The largest KL, of seeds the geometric mean; 0 where there is none."""
        # Geometric, as rates and KLs are compared by their ratios throughout; one seed without a KL makes it 0.
        peaks = [max(of_seed, default=0.0) for of_seed in self.kl_nats]
        return math.prod(peaks) ** (1 / len(peaks)) if peaks else 0.0

    @property
    def lowest_kl(self) -> float:
        """The smallest KL of the seed that has the smallest last."""
        return max((min(of_seed, default=math.inf) for of_seed in self.kl_nats), default=math.inf)

    @property
    def failed(self) -> bool:
        """True where a seed has no evaluation."""
        return not all(self.kl_nats)


def searched(
    config: FrontierConfig,
    reference: Stage,
    build: Callable[[Mapping[str, list[Setting]]], Runs],
    results: Results | None,
) -> tuple[Runs, bool]:
    """Return the runs that the results so far ask for, and whether more may follow.

    Args:
        reference: the stage whose samples say up to where KLs are trusted.
        build: makes runs of settings.
    """
    search = config.search
    assert search is not None
    # Replayed from the first run at every call: equal results give equal stages, so a study that was stopped goes on
    # as if it had not been.
    starts = settings_of(config)
    # as many of the starting settings as every method has need no results
    start_count = min((len(settings) for settings in starts.values()), default=search.least)
    chosen = {method: list(settings[:start_count]) for method, settings in starts.items()}
    kls_by_run: dict[str, tuple[float, ...]] = {}
    for number in range(start_count, search.most):
        runs = build(chosen)
        # Only when every run of this turn has ended, so that no method goes on while another still waits.
        if results is None or not all(results.has_ended(stage) for stage in (reference, *runs.runs)):
            return runs, True
        if reference.address not in results.done:  # it failed, and no KL can be called trusted
            return runs, False
        samples = results.reference(reference)
        paths = _paths(chosen, runs, samples, results, kls_by_run)
        gaps = {method: gaps_of(config.matched_nats, paths[method], samples.trusted_kl) for method in starts}
        # Every method can be compared at every trusted KL, and each had its learning rate looked for.
        if number >= search.least and not any(gaps.values()):
            return runs, False
        # Every method gets a run, those without a gap too: whoever has more runs has more chances to be good.
        for method, settings in starts.items():
            following = next_setting(method, paths[method], gaps[method], samples.trusted_kl)
            # A method's own settings come before what the search would choose.
            chosen[method].append(settings[number] if number < len(settings) else following)
    return build(chosen), False


def _paths(
    chosen: Mapping[str, list[Setting]],
    runs: Runs,
    samples: ReferenceSamples,
    results: Results,
    kls_by_run: dict[str, tuple[float, ...]],
) -> dict[str, list[Path]]:
    """Return the KLs of every chosen setting, by method; what is read is kept in `kls_by_run`, by address."""

    def kls(run: Stage) -> tuple[float, ...]:
        # Each turn of the replay asks for the runs of all turns before.
        if run.address not in kls_by_run:
            points = results.run(run, samples.prompts).points
            kls_by_run[run.address] = tuple(float(point.kl_nats.mean()) for point in points)
        return kls_by_run[run.address]

    def path(method: str, setting: Setting) -> Path:
        setting_runs = [
            run for run in runs.runs if run.kind == method and (run.value, run.rate) == (setting.value, setting.rate)
        ]
        return Path(setting, tuple(map(kls, setting_runs)))

    return {method: [path(method, setting) for setting in settings] for method, settings in chosen.items()}


@dataclass(frozen=True)
class Gap:
    """A matched KL on one side of which a seed has no evaluation. `above`: the side that lacks one."""

    kl_nats: float
    above: bool


def gaps_of(matched: Sequence[float], paths: Sequence[Path], trusted_kl: float) -> list[Gap]:
    """Return what keeps a method from being compared, at matched KLs within the trusted range.

    Args:
        paths: of all settings of the method, each with the same seeds.
    """
    # Imported late: a grid is laid out at every start of the command, and this is asked of results alone.
    from penchant.metrics.efficiency import has_point

    gaps = []
    # Beyond the trusted range nothing is compared, so no run is spent on it.
    for kl in sorted(kl for kl in dict.fromkeys(matched) if kl <= trusted_kl):
        for above in (False, True):
            by_seed = zip(*(path.kl_nats for path in paths), strict=True)
            points = [[kl for run in of_seed for kl in run] for of_seed in by_seed]
            if not all(has_point(of_seed, kl, trusted_kl, above=above) for of_seed in points):
                gaps.append(Gap(kl, above))
    return gaps


def next_setting(method: str, paths: Sequence[Path], gaps: Sequence[Gap], trusted_kl: float) -> Setting:
    """Return the setting to run next: one that should fill a gap, or without a gap one close to the first setting.

    Args:
        paths: of the settings before, at least one.
    """
    previous = {path.setting for path in paths}
    candidate = _setting_towards_gap(method, paths, gaps, trusted_kl) if gaps else None
    if candidate is not None and candidate not in previous:
        return candidate
    return next(setting for setting in _neighbours(paths) if setting not in previous)


def _setting_towards_gap(method: str, paths: Sequence[Path], gaps: Sequence[Gap], trusted_kl: float) -> Setting | None:
    """Return a setting whose last evaluation should fill a gap: above the largest such KL, or below the smallest."""
    complete_paths = [path for path in paths if not path.failed]
    if not complete_paths:  # all diverged: the rates are too high
        lowest = min((path.setting for path in paths), key=lambda setting: setting.rate)
        return replace(lowest, rate=_rounded(lowest.rate / STEEPEST))
    # Above before below: one far run fills the upper side of all gaps at once. Its aim lies between the largest matched
    # KL and the end of the trusted range, on a scale of ratios.
    above = [gap.kl_nats for gap in gaps if gap.above]
    # On the lower side, half of the smallest matched KL lies below all of them.
    aim = math.sqrt(max(above) * trusted_kl) if above else min(gap.kl_nats for gap in gaps) / 2
    kl_by_setting = {path.setting: path.peak if above else path.lowest_kl for path in complete_paths}
    nearest = min(complete_paths, key=lambda path: abs(math.log(kl_by_setting[path.setting] / aim))).setting
    if (
        method in ("ppo", "ppo_gt")
        and nearest.value
        and min(aim, kl_by_setting[nearest]) > nearest.value * TARGET_REACHED
    ):
        return replace(nearest, value=_rounded(aim))  # its target holds it back
    rate = _interpolate_rate(nearest, kl_by_setting, aim)
    # A rate at which a run failed is never passed again, only approached.
    failing = [path.setting.rate for path in paths if path.failed]
    if failing and rate >= min(failing):
        rate = math.sqrt(min(failing) * max(path.setting.rate for path in complete_paths))
    return replace(nearest, rate=_rounded(rate))


def _interpolate_rate(nearest: Setting, kl_by_setting: Mapping[Setting, float], aim: float) -> float:
    """Return the learning rate at which the KL should reach the aim, by the two nearest runs of this value."""
    kl_by_rate = {setting.rate: kl for setting, kl in kl_by_setting.items() if setting.value == nearest.value}
    # KL ~ rate ** power: two points give the power, one leaves the guess.
    close = sorted(kl_by_rate, key=lambda rate: abs(math.log(kl_by_rate[rate] / aim)))[:2]
    power = POWER
    if len(close) > 1 and kl_by_rate[close[0]] != kl_by_rate[close[1]]:
        power = math.log(kl_by_rate[close[0]] / kl_by_rate[close[1]]) / math.log(close[0] / close[1])
    factor = (aim / kl_by_rate[close[0]]) ** (1 / min(max(power, POWERS[0]), POWERS[1]))
    factor = min(max(factor, GENTLEST), STEEPEST) if factor >= 1 else max(min(factor, 1 / GENTLEST), 1 / STEEPEST)
    return close[0] * factor


def _neighbours(paths: Sequence[Path]) -> list[Setting]:
    """Return settings around the first one, the closest first; more of them than any budget has runs."""
    first = paths[0].setting
    settings = []
    for power in range(1, len(paths) + 2):
        for name, factor in LADDER:
            value = getattr(first, name)
            if value is not None:
                settings.append(replace(first, **{name: _rounded(value * factor**power)}))
    return settings


def _rounded(value: float) -> float:
    """Round to two significant digits, as people write a setting."""
    return float(f"{value:.2g}")
