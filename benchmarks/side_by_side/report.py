"""The results as Markdown, to be read beside the JSON that holds every run."""

from __future__ import annotations

from typing import Any

from side_by_side.runs import SIDES, TRIAL_STEPS
from side_by_side.summary import LOSS_TOLERANCE, agree


def markdown(results: dict[str, Any]) -> str:
    """The whole report: what ran where, then a section a workload."""
    machine, versions = results["machine"], results["versions"]
    named = {name: ", ".join(f"{k} {v}" for k, v in of.items()) for name, of in versions.items()}
    lines = [
        "# DPO: Penchant beside TRL",
        "",
        f"- date: {results['date']}",
        f"- command: `{results['command']}`",
        f"- machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; "
        f"{results['threads']} threads on each side",
        *(f"- {name}: {of}" for name, of in named.items()),
        "",
        "Same weights (float32), same token ids, same pairs in each step, same optimizer. Medians over the repeats; "
        "ratios are taken within a repeat: median (lowest to highest). `benchmarks/README.md` says how to read this.",
    ]
    for workload in results["workloads"]:
        lines += ["", *_section(workload)]
    return "\n".join(lines) + "\n"


def _section(workload: dict[str, Any]) -> list[str]:
    of, settings, summary = workload["workload"], workload["settings"], workload["summary"]
    lines = [
        f"## {of['name']}: {of['title']}",
        "",
        f"Repeats: {settings['repeats']}, each {settings['steps']} steps of {of['pairs_per_step']} pairs, "
        f"{settings['warmup']} of them warm-up. {settings['optimizer']}, learning rate {settings['learning_rate']:g}, "
        f"beta {settings['beta']:g}. Penchant forwards up to "
        f"{settings['tokens_per_batch'] or 'its default number of'} tokens at a time; TRL "
        f"{settings['trl_batch']} pairs{_tried(workload['tried'])}.",
        "",
        "| | pairs/s | Penchant / this | peak memory | Penchant / this | whole job | Penchant / this |",
        "|---|---|---|---|---|---|---|",
    ]
    for side, title in SIDES.items():
        numbers, ratios = summary["sides"][side], summary["ratios"].get(side)
        lines.append(
            f"| {title} | {numbers['pairs_per_s']:.2f} | {_span(ratios, 'pairs_per_s')} "
            f"| {numbers['peak_mib']:.0f} MiB | {_span(ratios, 'peak_mib')} "
            f"| {numbers['job_s']:.1f} s | {_span(ratios, 'job_s')} |"
        )
    lines += [
        "",
        "| tokens forwarded, a pair | policy, padding included | of these real | reference, padding included |",
        "|---|---|---|---|",
    ]
    for side, title in SIDES.items():
        numbers = summary["sides"][side]
        lines.append(
            f"| {title} | {numbers['policy_padded_a_pair']:.1f} | {numbers['policy_real_a_pair']:.1f} "
            f"| {numbers['reference_padded_a_pair']:.1f} |"
        )
    verdict = "agree" if agree(summary) else "DO NOT AGREE, so the speeds cannot be compared"
    lines += ["", f"Losses {verdict} (within {LOSS_TOLERANCE:g} at every step). Largest difference to Penchant:", ""]
    for side, largest in summary["differences"].items():
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.1e}" for name, value in largest.items())
        lines.append(f"- {SIDES[side]}: {shown}")
    return lines


def _span(ratios: dict[str, Any] | None, name: str) -> str:
    if ratios is None:
        return ""
    of = ratios[name]
    return f"{of['median']:.2f}x ({of['low']:.2f} to {of['high']:.2f})"


def _tried(tried: dict[int, dict[str, float]]) -> str:
    if not tried:
        return " (given)"
    shown = ", ".join(
        f"{batch}: {of['pairs_per_s']:.2f} pairs/s, {of['peak_mib']:.0f} MiB" for batch, of in tried.items()
    )
    return f", its fastest in a trial of {TRIAL_STEPS} steps with precomputed reference ({shown})"
