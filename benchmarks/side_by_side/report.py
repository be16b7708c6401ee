"""The results as Markdown, to be read beside the JSON that holds every run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from side_by_side import curves, sections
from side_by_side.environment import TRL
from side_by_side.rows import ROWS
from side_by_side.summary import LIMIT_TARGET, distance, equality, speed, verdict

NOT_YET = "not measured yet"
CUDA = (
    ("prompt 350 + 2 responses of 35, 0.5B-3B, bf16", ">= 1.7x (>= 2.2x its default)", "<= 0.6x"),
    ("prompt 6 + 4 responses of 32, 0.5B-3B, bf16", ">= 3.2x (>= 4.5x its default)", "<= 0.6x"),
)


def markdown(content: dict[str, Any], *, folder: str, plots: Sequence[str], notes: str = "") -> str:
    """The whole report: the targets at a glance, then a section a row.

    Args:
        content: of `State`.
        folder: that holds the plots, as seen from the report.
        plots: file names that are there.
        notes: Markdown that someone wrote beside the results (why a target is missed), for the end.
    """
    rows = content["rows"]
    lines = [
        "# Penchant beside TRL",
        "",
        *_where(content),
        "",
        *_glance(rows, content["mode"] == "quick"),
        "",
        *_cuda(content["machine"]),
    ]
    if "targets.png" in plots:
        lines += ["", f"![Ratios and targets]({folder}/targets.png)"]
    for name, row in rows.items():
        lines += ["", f"## {name}", "", row["settings"]["title"][0].upper() + row["settings"]["title"][1:] + ".", ""]
        if row["failed"]:
            lines += ["**Not measured to the end:**", "", "```", *row["failed"].splitlines(), "```", ""]
        lines += sections.of(name, row)
        if name == "curves" and "curves.png" in plots:
            lines += ["", f"![Curves]({folder}/curves.png)"]
    if notes:
        lines += ["", notes.strip()]
    return "\n".join(lines) + "\n"


def _where(content: dict[str, Any]) -> list[str]:
    of = content["machine"]
    quick = content["mode"] == "quick"
    return [
        f"- command: `{content['command']}`"
        + (" (**quick**: one repeat of short runs, for a look; take no verdict from it)" if quick else ""),
        f"- machine: {of['cpu']}, {of['cores']} cores, {of['memory_gib']} GiB, {of['system']}; "
        f"{content['threads']} threads on each side",
        f"- peer: TRL {TRL}, `DPOTrainer`, with `precompute_ref_log_probs` where nothing else is said",
        "",
        "Same weights (float32), same token ids, same pairs in each step, same optimizer. Medians over the repeats; "
        "ratios are taken within a repeat: median (lowest to highest). `benchmarks/README.md` says how to read this.",
    ]


def _glance(rows: dict[str, Any], quick: bool) -> list[str]:
    """The targets; a quick run has no verdicts."""
    lines = [
        "| row | pairs/s, times TRL's | target | | peak memory, times TRL's | target | | share of the limit | target "
        f"{LIMIT_TARGET:.0%} | losses and gradients |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in [row for row in ROWS if row != "smoke" or row in rows]:
        lines.append(f"| {name} | " + " | ".join(_training(rows.get(name), quick)) + " |")
    if "sweep" in rows:
        lines.append(_sweep(rows["sweep"], quick))
    if "start" in rows:
        lines += ["", "| start-up | seconds | target | |", "|---|---|---|---|", *_start(rows["start"])]
    return lines


def _training(row: dict[str, Any] | None, quick: bool) -> list[str]:
    if row is None:
        return [NOT_YET, *[""] * 8]
    runs, targets = row["runs"], row["settings"]["targets"]
    sides = speed(runs, row["settings"]["size"]["pairs_per_step"])
    ratios = sides.get("trl-precomputed", {})
    cells = []
    for measure, name, at_most in (("speed_ratio", "speed", False), ("memory_ratio", "memory", True)):
        ratio, target = ratios.get(measure), targets[name]
        shown = "" if target is None else f"{'<=' if at_most else '>='} {target:g}x"
        told = "" if ratio is None or target is None or quick else verdict(ratio["median"], target, at_most=at_most)
        cells += [NOT_YET if ratio is None else sections.times(ratio), shown, told]
    limit, same = distance(runs), equality(runs)
    share = None if limit is None else limit["share"]["median"]
    cells += ["", ""] if share is None else [f"{share:.0%}", verdict(share, LIMIT_TARGET)]
    if quick:
        cells[-1] = ""
    return [*cells, "" if same is None else "equal" if same["equal"] else "**NOT EQUAL**"]


def _sweep(row: dict[str, Any], quick: bool) -> str:
    ratio = sections.sweep_ratio(row["runs"])
    target = row["settings"]["target"]
    shown = NOT_YET if ratio is None else sections.times(ratio)
    told = "" if ratio is None or quick else verdict(ratio["median"], target)
    return f"| sweep (whole commands) | {shown} | >= {target:g}x | {told} |" + " |" * 6


def _start(row: dict[str, Any]) -> list[str]:
    lines = []
    for name, title in (("help_s", "`penchant --help`"), ("first_step_s", "command to end of first step")):
        of = sections.seconds(row["runs"], name)
        target = row["settings"]["targets"][name]
        shown = NOT_YET if of is None else sections.spread(of, ".2f", " s")
        told = "" if of is None else verdict(of["median"], target, at_most=True)
        lines.append(f"| {title} | {shown} | <= {target:g} s | {told} |")
    return lines


def _cuda(machine: dict[str, Any]) -> list[str]:
    why = "these rows are not written yet" if machine["cuda"] else "no CUDA machine was at hand"
    return [
        "| on CUDA | pairs/s, target | peak memory, target | |",
        "|---|---|---|---|",
        *(f"| {title} | {pairs} | {memory} | not measured: {why} |" for title, pairs, memory in CUDA),
    ]


def plot_data(content: dict[str, Any]) -> dict[str, Any]:
    """What `plots` draws: ratios with their targets, and the curves."""
    ratios = []
    for name, row in content["rows"].items():
        if name in ROWS and name != "smoke":
            of = speed(row["runs"], row["settings"]["size"]["pairs_per_step"]).get("trl-precomputed", {})
            if "speed_ratio" in of:
                ratios.append({"row": name, **row["settings"]["targets"], **of})
    if "sweep" in content["rows"] and (ratio := sections.sweep_ratio(content["rows"]["sweep"]["runs"])) is not None:
        target = content["rows"]["sweep"]["settings"]["target"]
        ratios.append({"row": "sweep", "speed": target, "memory": None, "speed_ratio": ratio})
    lines = content["rows"].get("curves")
    drawn = curves.series(lines["settings"], lines["runs"]) if lines else {}
    return {"ratios": ratios, "curves": {name: points for name, points in drawn.items() if points}}
