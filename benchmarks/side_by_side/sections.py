"""The section of each row in the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from side_by_side import curves
from side_by_side.rows import ROWS, WARMUP
from side_by_side.summary import (
    GRADIENT_TOLERANCE,
    LOSS_TOLERANCE,
    Run,
    distance,
    equality,
    parts,
    span,
    speed,
)
from side_by_side.workers import BETA, SIDES


def of(name: str, row: dict[str, Any]) -> list[str]:
    """Lines of a row's section."""
    if name in ROWS:
        return _training(row)
    return {"sweep": _sweep, "start": _start, "sampling": _sampling, "curves": _curves}[name](row)


def spread(of: dict[str, float], form: str, unit: str = "") -> str:
    """A median with its range: `2.10 s (2.00 to 2.20)`."""
    return f"{of['median']:{form}}{unit} ({of['low']:{form}} to {of['high']:{form}})"


def times(of: dict[str, float]) -> str:
    """A ratio with its range."""
    return spread(of, ".2f", "x")


def _measured(row: dict[str, Any]) -> str:
    code = f"`{row['code']}`" + (f" (commit {row['commit']})" if row.get("commit") else "")
    by = f", by `{row['command']}`" if row.get("command") else ""
    return f"Measured on {row['date']}{by} with the code {code} and {_listed(row['versions'])}."


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


# -- training rows --------------------------------------------------------------------------------------------------


def _training(row: dict[str, Any]) -> list[str]:
    runs, size = row["runs"], row["settings"]["size"]
    sides = speed(runs, size["pairs_per_step"])
    if not sides:
        return ["No run yet."]
    told = row["data"]
    lines = [
        f"{told['prompts']} prompts of {told['mean_prompt_tokens']:.0f} tokens on average, responses of "
        f"{told['mean_response_tokens']:.0f}{_warmup(row)}. {size['steps']} steps of {size['pairs_per_step']} pairs, "
        f"{WARMUP} of them warm-up; {_batch(row)}. AdamW, beta {BETA:g}. {_measured(row)}",
        "",
        "| | runs | pairs/s | Penchant / this | peak memory | Penchant / this | tokens forwarded, a pair |",
        "|---|---|---|---|---|---|---|",
    ]
    for side, title in SIDES.items():
        if side in sides:
            of = sides[side]
            ratios = [times(of[name]) if name in of else "" for name in ("speed_ratio", "memory_ratio")]
            planned = size["with_default" if side == "trl" else "repeats"]
            lines.append(
                f"| {title} | {of['runs']} of {planned} | {spread(of['pairs_per_s'], '.2f')} | {ratios[0]} "
                f"| {of['peak_mib']['median']:.0f} MiB | {ratios[1]} | {of['forwarded']:.1f} |"
            )
    loads = [run["result"]["load_before"] for run in parts(runs, "speed")]
    quiet = (
        f"The load before a run was {min(loads):.1f} to {max(loads):.1f}. The run before leaves up to the number of "
        "threads; more says that the machine was not quiet, and a wide range of pairs/s that it mattered."
    )
    return [*lines, "", quiet, "", *_limit(runs), "", *_equality(row)]


def _repeats(count: int) -> str:
    return "One run a point and side" if count == 1 else f"Medians of {count} repeats"


def _warmup(row: dict[str, Any]) -> str:
    """What is to be said of data of which each repeat draws its own."""
    if not row["settings"].get("redraw"):
        return ""
    brief = "; warm-up steps have the shortest of all prompts" if row["settings"]["data"].get("short_warmup") else ""
    return f" (each repeat draws its own{brief})"


def _batch(row: dict[str, Any]) -> str:
    given = row["settings"]["size"]["trl_batch"]
    if given is not None:
        return f"TRL forwards {given} pairs at a time (fixed, no trial)"
    tried = [
        f"{run['trl_batch']}: did not run"
        if "failed" in run["result"]
        else f"{run['trl_batch']}: {run['result']['pairs_per_s']:.2f} pairs/s, {run['result']['peak_mib']:.0f} MiB"
        for run in parts(row["runs"], "trial")
    ]
    used = next(run["trl_batch"] for run in parts(row["runs"], "speed"))
    if len(tried) == 1:
        return f"TRL forwards {used} pairs at a time (fixed: {tried[0].partition(': ')[2]})"
    return f"TRL forwards {used} pairs at a time, its fastest in a short trial ({'; '.join(tried)})"


def _limit(runs: Sequence[Run]) -> list[str]:
    of = distance(runs)
    if of is None:
        return ["Distance to the limit: no run yet."]
    return [
        f"**Distance to the limit**: a step takes {of['measured_s']:.3g} s, optimizer included. Its matrix products "
        "alone, at the rate that this machine reached on the model's shapes in the same repeats "
        f"(trunk {of['trunk_gflops']:.0f} GFLOP/s, head {of['head_gflops']:.0f}), take {of['limit_s']:.3g} s: "
        f"{spread(of['share'], '.0%')} of the measured time. (Attention's own products are not counted.)"
    ]


def _equality(row: dict[str, Any]) -> list[str]:
    of, settings = equality(row["runs"]), row["settings"]["equality"]
    if of is None:
        return ["Equality: no run yet."]
    verdict = "equal" if of["equal"] else "NOT EQUAL, so the speeds cannot be compared"
    data = settings["data"]
    what = f" on prompts of at most {data['max_prompt_tokens']} tokens" if data and data["max_prompt_tokens"] else ""
    return [
        f"**Equality**: {verdict}. {of['steps']} steps of {settings['pairs_per_step']} pairs{what}, learning rate "
        f"{settings['learning_rate']:g}, no clipping; the loss starts at {of['loss_first']:.4f} and comes down to "
        f"{of['loss_lowest']:.4f}. Largest difference over all steps, Penchant to TRL:",
        "",
        "| loss (nats) | gradient of the first step | gradient norm | log-probability, chosen | rejected |",
        "|---|---|---|---|---|",
        f"| {of['loss']:.1e} (at most {LOSS_TOLERANCE:g}) | {of['gradient']:.1e} (at most {GRADIENT_TOLERANCE:g}) "
        f"| {of['grad_norm']:.1e} | {of['chosen_logps']:.1e} | {of['rejected_logps']:.1e} |",
        "",
        "The gradient is the norm of the difference over the norm, all weights; the last three are relative.",
    ]


# -- other rows -----------------------------------------------------------------------------------------------------


def sweep_ratio(runs: Sequence[Run]) -> dict[str, float] | None:
    """TRL's seconds over Penchant's, within a repeat; None without runs of both."""
    seconds = {(run["side"], run["repeat"]): run["result"]["total_s"] for run in parts(runs, "sweep")}
    repeats = [repeat for side, repeat in seconds if side == "penchant" and ("trl-precomputed", repeat) in seconds]
    if not repeats:
        return None
    return span(seconds["trl-precomputed", repeat] / seconds["penchant", repeat] for repeat in repeats)


def _sweep(row: dict[str, Any]) -> list[str]:
    settings, runs = row["settings"], parts(row["runs"], "sweep")
    betas = ", ".join(f"{beta:g}" for beta in settings["betas"])
    lines = [
        f"Betas {betas}, one command after another; {settings['steps']} steps of {settings['pairs_per_step']} pairs "
        "each. Each side starts a repeat without any reference and finds again what it computed in an earlier command "
        "of the repeat (both can). Penchant's commands also check the data and write a run directory with a "
        f"checkpoint; TRL's processes save nothing (they forward {settings['trl_batch']} pairs at a time). "
        f"{_measured(row)}",
        "",
        "| | repeats | seconds, whole sweep | seconds, first command | later ones | TRL / Penchant |",
        "|---|---|---|---|---|---|",
    ]
    ratio = sweep_ratio(runs)
    for side in ("penchant", "trl-precomputed"):
        of = [run["result"] for run in runs if run["side"] == side]
        if of:
            first = span(result["seconds"][0] for result in of)
            later = span(seconds for result in of for seconds in result["seconds"][1:])
            shown = times(ratio) if ratio and side != "penchant" else ""
            total = span(result["total_s"] for result in of)
            lines.append(
                f"| {SIDES[side]} | {len(of)} of {settings['repeats']} | {spread(total, '.1f')} "
                f"| {spread(first, '.1f')} | {spread(later, '.1f')} | {shown} |"
            )
    return lines


def seconds(runs: Sequence[Run], name: str) -> dict[str, float] | None:
    """Of the start row; None without runs."""
    found = [run["result"][name] for run in parts(runs, "start")]
    return span(found) if found else None


def _start(row: dict[str, Any]) -> list[str]:
    lines = [
        f"{row['settings']['repeats']} repeats, median and range. The training command is `penchant train dpo` on "
        f"SmolLM2-135M-Instruct (converted before), one step of {row['settings']['pairs_per_step']} pairs of "
        f"`four-short`, the reference computed, no samples. {_measured(row)}",
        "",
        "| | seconds |",
        "|---|---|",
    ]
    for name, title in (
        ("help_s", "`penchant --help`"),
        ("first_step_s", "start of the command to the end of its first step"),
        ("command_s", "the whole command, its checkpoint written"),
    ):
        of = seconds(row["runs"], name)
        lines.append(f"| {title} | {'no run yet' if of is None else spread(of, '.2f')} |")
    return lines


def _sampling(row: dict[str, Any]) -> list[str]:
    found = parts(row["runs"], "table")
    if not found:
        return ["No run yet."]
    table = found[-1]["result"]
    lines = [
        f"{table['title']}. {_measured(row)}",
        "",
        f"| {' | '.join(table['columns'])} |",
        "|" + "---|" * len(table["columns"]),
        *(f"| {' | '.join(map(str, cells))} |" for cells in table["rows"]),
    ]
    return [*lines, *(line for note in table["notes"] for line in ("", note))]


def _curves(row: dict[str, Any]) -> list[str]:
    settings = row["settings"]
    lines = [
        f"{_repeats(settings['repeats'])}, {settings['steps']} steps of about {settings['tokens']} tokens "
        f"(each prompt and response once), {WARMUP} of them warm-up; TRL forwards {settings['trl_batch']} pairs at a "
        f"time (fixed, no trial). Where nothing else is said, prompts of {curves.PROMPT} tokens, {curves.RESPONSES} "
        f"responses, vocabulary {curves.VOCABULARY:,}. {_measured(row)}",
    ]
    for name, points in curves.series(settings, row["runs"]).items():
        lines += [
            "",
            f"| {curves.TITLES[name]} | Penchant, pairs/s | TRL | ratio | Penchant, peak MiB | TRL | ratio |",
            "|---|---|---|---|---|---|---|",
        ]
        for point in points:
            cells = [f"{point['x']:,}"]
            for measure, form in (("pairs_per_s", ".1f"), ("peak_mib", ".0f")):
                ours, theirs = (point[side][measure]["median"] for side in curves.SIDES)
                cells += [f"{ours:{form}}", f"{theirs:{form}}", f"{ours / theirs:.2f}x"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines
