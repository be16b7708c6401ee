"""The part of a model card that says how well a model did, with intervals, and what its run warned of."""

from __future__ import annotations

from penchant.export.card_words import cell
from penchant.metrics.catalogue import METRICS, metric
from penchant.reports.kit.text import DASH, count, recorded
from penchant.reports.run.findings import findings
from penchant.reports.run.summary import Summary

MEANINGS = {
    "margin": "Margin: by how much the chosen response leads the rejected one.",
    "accuracy": "Accuracy: the share of comparisons in which the model ranks the chosen response first. Guessing gets "
    "50%.",
    "longest_wins": "Longest wins: the accuracy of always taking the longer response, without any model.",
    "label_accuracy": "Label accuracy: the share of labels, good or bad, that the model gives too.",
    "distinct_2": "Variety: the share of pairs of neighbouring tokens that are distinct within a response.",
    "repetition": "Repetition: the share of four tokens in a row that the response had before.",
    "finished": "Ended by itself: the share of samples that were not cut at the length limit.",
    "kl_nats": "KL: how far the model moved from its reference, as the mean log-probability ratio of a response.",
}
"""What a reader who knows none of these numbers is told of each that a card shows."""


def results_text(summary: Summary) -> str:
    """Return the tables of results, and what their numbers mean."""
    lines = []
    held_out = _held_out_rows(summary)
    if held_out:
        size = max((point.n for point in summary.held_last.held_out.values()), default=0) if summary.held_last else 0
        lines += [f"On held-out data ({count(size, 'item')}, none of them trained on):", ""]
        first, last = (point.step if point else 0 for point in (summary.held_first, summary.held_last))
        lines += [f"| | at step {first:,} | at step {last:,} |", "|---|---|---|", *held_out, ""]
    lines += _source_table(summary)
    sampled = _sampled_rows(summary)
    if sampled and summary.sampled:
        draws = max((point.n for point in summary.sampled.policy.values()), default=0)
        lines += [f"On {count(draws, 'sample')} drawn at step {summary.sampled.step:,}, from both models for the same "
                  "prompts and seeds:", ""]  # fmt: skip
        lines += ["| | reference | this model |", "|---|---|---|", *sampled, ""]
        if summary.gain:
            chance = "" if summary.gain.estimate.above(0) or summary.gain.estimate.below(0) else ", which may be chance"
            change = recorded(summary.gain.estimate, sign=True)
            lines += [
                f"Change of the reward: {change}{' (paired by prompt)' if summary.gain.paired else ''}{chance}.",
                "",
            ]
    lines += _outside_tables(summary)
    if not lines:
        return "Nothing was measured on held-out data or samples."
    lines.append("In brackets: 95% intervals, for which whole prompts were resampled.")
    # a reader of another field: each number that stands above is explained, and no other
    measured = {*(summary.held_last.held_out if summary.held_last else ()), *(summary.sampled.policy if sampled and
             summary.sampled else ())}  # fmt: skip
    if meanings := [meaning for key, meaning in MEANINGS.items() if key in measured]:
        lines += ["", *(f"- {meaning}" for meaning in meanings)]
    lines += ["", "Nothing else was measured: these numbers say nothing of knowledge, safety or other kinds of texts."]
    return "\n".join(lines)


def _outside_tables(summary: Summary) -> list[str]:
    """Return a table of each evaluation by tasks from outside."""
    lines = []
    for evaluation in summary.run.outside:
        lines += [f"By {cell(evaluation.benchmark)}:", "", "| | before | after | change |", "|---|---|---|---|"]
        for score in evaluation.scores:
            before, after = (recorded(measure, percent=score.is_share) for measure in (score.before, score.after))
            change = recorded(score.change, percent=score.is_share, sign=True)
            lines.append(f"| {cell(score.task)}, {cell(score.metric)} | {before} | {after} | {change} |")
        lines.append("")
    return lines


def _held_out_rows(summary: Summary) -> list[str]:
    point = summary.held_last
    if point is None:
        return []
    return [
        f"| {_title(key)} | {_measured(summary, key, last=False)} | {_measured(summary, key, last=True)} |"
        for key in point.held_out
        if key in METRICS
    ]


def _source_table(summary: Summary) -> list[str]:
    """Return a table of the held-out numbers of each source of a mixture; nothing for plain data."""
    by_source = summary.held_last.by_source if summary.held_last else {}
    keys = [key for key in ("accuracy", "label_accuracy", "loss") if any(key in part for part in by_source.values())]
    if not keys:
        return []
    rows = [
        f"| {cell(name)} | {' | '.join(recorded(part.get(key), percent=metric(key).is_share) for key in keys)} |"
        for name, part in by_source.items()
    ]
    titles = " | ".join(_title(key) for key in keys)
    return ["By source:", "", f"| source | {titles} |", f"|---|{'---|' * len(keys)}", *rows, ""]


def _measured(summary: Summary, key: str, *, last: bool) -> str:
    # with one evaluation, the start and the end are the same
    if not last and summary.held_first is summary.held_last:
        return DASH
    return recorded(summary.held_out_estimate(key, last=last), percent=metric(key).is_share)


def _title(key: str) -> str:
    m = metric(key)
    return f"{m.title}, {m.unit}" if m.unit else m.title


def _sampled_rows(summary: Summary) -> list[str]:
    point = summary.sampled
    if point is None:
        return []
    return [
        f"| {_title(key)} | {recorded(point.reference.get(key), percent=metric(key).is_share)} "
        f"| {recorded(value, percent=metric(key).is_share)} |"
        for key, value in point.policy.items()
        if key in METRICS
    ]


def warnings_text(summary: Summary) -> str:
    """Return the findings, warnings and notes of a run as a list."""
    lines = [f"- **{finding.title}.** {finding.detail} {finding.advice}".rstrip() for finding in findings(summary)]
    listed = (summary.run.result or {}).get("warnings")
    lines += [f"- {cell(str(line))}" for line in listed] if isinstance(listed, list) else []
    lines += [f"- {cell(note)}" for note in summary.run.notes]
    return "\n".join(dict.fromkeys(lines)) or "None of the checks that a run's report makes found anything."
