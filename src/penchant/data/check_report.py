"""Hold the report of `penchant data check`: its numbers as text, and what is worth a look."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from penchant.data.layouts.parse import SHOWN_PROBLEMS
from penchant.data.marks import alike_sentence
from penchant.data.media_counts import MediaCounts, media_sentences
from penchant.data.sources.values import Kind, bulleted, cut
from penchant.text_table import text_list

LONGER_WINS_WARNING = 0.6  # the share from which length alone explains many of the preferences
LONGER_WINS_MINIMUM = 20  # comparisons below which that share means nothing


@dataclass(frozen=True)
class LengthSummary:
    """Lengths of `count` texts: mean, median, the 95th percentile, the longest."""

    count: int
    mean: float
    median: float
    p95: float
    longest: int


@dataclass(frozen=True)
class TokenCounts:
    """Counts that need a tokenizer.

    Attributes:
        lengths: prompt and response tokens together, a tuple per group.
        unstable: where (source) the boundary between prompt and response falls into a token, once per response.
        unrenderable: groups that cannot be tokenized, and why.
        max_length: the limit, in tokens; None if none was given. is_context: whether it is the model's own.
        too_long: where (source) prompt and response are longer than that, once per response.
        equal: where (source) the two responses of a comparison are the same tokens.
        warnings: what the chat template does that a reader should know.
        media: tokens of the pictures of each prompt that has some.
    """

    lengths: tuple[tuple[int, ...], ...]
    unstable: tuple[str, ...]
    unrenderable: tuple[str, ...]
    max_length: int | None
    too_long: tuple[str, ...]
    is_context: bool = False
    equal: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    media: tuple[int, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """Counts of a preference file. Groups, responses and comparisons are counted after merging equal prompts.

    Attributes:
        source, layout: the file and the name of its layout.
        rows: all rows. bad_rows: those that cannot be used, with where and why. bad_kinds: how many of each
            kind (`empty`, `identical`, `missing`, `type`, `value`, `history`, `damaged`, `mixed`, `unread`, `column`;
            of pictures and sounds `absent`, `broken`).
        groups, responses, comparisons: prompts, their different responses, verdicts in usable rows (with
            ties).
        responses_per_prompt: how many prompts have so many responses.
        annotators: named ones.
        ties, duplicates: tied comparisons; comparisons that repeat an earlier one.
        contradictions, contradictions_same_annotator: pairs of responses preferred in both directions.
        repeated_responses: responses that stand more than once in one row.
        prompts_repeated: prompts with which all their responses begin. odd_turns: responses' prompts whose
            turns do not alternate. speaks_for_both: prompts with a response that holds a turn marker.
        lengths: by what was measured and its unit, such as `"response (characters)"`.
        longer_won, longer_compared: decided comparisons between different lengths, and how many of them the
            longer response won; in `length_unit`.
        tokens: counts that need a tokenizer; None without one.
        unread: columns that hold something and are not read, with the number of their rows; unread_texts: those of
            them that hold text of their own.
        ratings: how ratings were read, with the number of their rows. margin: by how much one has to be better.
        marks: a sentence about marks of a chat template in the texts; empty without any.
        notes: sentences about columns that judge and are not read, and about texts that may be damaged.
        look_alike: where comparisons stand between responses that differ in white space alone.
        labels: good labels, bad ones, and responses that have both; None in a file without labels.
        system_added: rows whose prompt was given the system turn of `system`.
        media: counts of pictures, sounds and videos by their kind; empty for text alone.
        problems: sentences about what is worth a look; empty for a file in order.
        refusals: why training would refuse the file; empty where it would not.
    """

    source: str
    layout: str
    rows: int
    bad_rows: tuple[str, ...]
    bad_kinds: dict[Kind, int]
    groups: int
    responses: int
    comparisons: int
    responses_per_prompt: dict[int, int]
    annotators: int
    ties: int
    duplicates: int
    contradictions: int
    contradictions_same_annotator: int
    repeated_responses: int
    prompts_repeated: int
    odd_turns: int
    speaks_for_both: int
    lengths: dict[str, LengthSummary]
    longer_won: int
    longer_compared: int
    length_unit: str
    tokens: TokenCounts | None
    unread: dict[str, int] = field(default_factory=dict)
    unread_texts: tuple[str, ...] = ()
    ratings: dict[str, int] = field(default_factory=dict)
    margin: float = 0.0
    marks: str = ""
    notes: tuple[str, ...] = ()
    look_alike: tuple[str, ...] = ()
    labels: tuple[int, int, int] | None = None
    system_added: int = 0
    media: dict[str, MediaCounts] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def longer_wins(self) -> float | None:
        """Return how often the longer response won, among comparisons of different lengths; None without any."""
        return self.longer_won / self.longer_compared if self.longer_compared else None

    def as_dict(self) -> dict[str, object]:
        """Return the report for JSON. Token lengths of single groups are left out; `lengths` has their summary."""
        values = dataclasses.asdict(self)
        # JSON has no numbers as keys
        values["responses_per_prompt"] = {str(size): count for size, count in self.responses_per_prompt.items()}
        values["longer_wins"] = self.longer_wins
        # a number per response of the file would be most of the output
        if values["tokens"] is not None:
            del values["tokens"]["lengths"]
        return values

    def as_text(self) -> str:
        """Return the report as text to print."""
        return "\n".join([f"{self.source}: layout {self.layout}", *_table(self), "", *_findings(self)])


def problems_of(report: CheckReport) -> Iterable[str]:
    """Yield sentences for what is worth a look, the worst first."""
    if report.bad_rows:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report.bad_kinds.items())
        yield f"{len(report.bad_rows)} of {report.rows} rows cannot be used ({kinds})"
    if report.labels is not None:
        yield from _label_problems(report.labels)
    elif not report.comparisons:
        yield "no comparison in the whole file"
    if report.contradictions:
        by_one_annotator = report.contradictions_same_annotator
        by_one = f", {by_one_annotator} of them by one and the same annotator" if by_one_annotator else ""
        yield f"{report.contradictions} pairs of responses are preferred in both directions{by_one}"
    if report.ties:
        yield (
            f"{report.ties} of {report.comparisons} comparisons are ties: choose ties=drop or ties=half to load them"
        )
    if report.unread_texts:
        # a table of hundreds of columns would hide every other sentence
        names = ", ".join(cut(name) for name in report.unread_texts[:10])
        yield f"columns with text that are not read: {names}"
    if report.marks:
        yield report.marks
    yield from report.notes
    yield from media_sentences(report.media)
    if report.look_alike:
        yield alike_sentence(report.look_alike)
    # where responses are labelled one at a time, a single one is no fault
    single_responses = sum(n for k, n in report.responses_per_prompt.items() if k < 2) if report.labels is None else 0
    counts = {
        "comparisons repeat an earlier one (their weights add)": report.duplicates,
        "responses stand more than once in one row": report.repeated_responses,
        "prompts have fewer than two responses": single_responses,
        "prompts stand again at the beginning of all their responses": report.prompts_repeated,
        "conversations have turns that do not alternate, or do not end with the user's": report.odd_turns,
        "prompts have a response with 'Human:' or 'Assistant:' inside": report.speaks_for_both,
    }
    yield from (f"{count} {finding}" for finding, count in counts.items() if count)
    # of a few comparisons such a share is chance
    if report.longer_compared >= LONGER_WINS_MINIMUM and (report.longer_wins or 0) >= LONGER_WINS_WARNING:
        yield f"the longer response wins {report.longer_wins:.0%} of the time: a policy may learn length"
    yield from _token_problems(report.tokens)


def _label_problems(labels: tuple[int, int, int]) -> Iterable[str]:
    good, bad, contradictory = labels
    if not (good and bad):
        yield f"every label is {'good' if good else 'bad'}: nothing tells good responses from bad ones"
    if contradictory:
        yield f"{contradictory} responses are labelled both good and bad"


def _token_problems(tokens: TokenCounts | None) -> Iterable[str]:
    if tokens is None:
        return
    if tokens.unrenderable:
        yield f"{len(tokens.unrenderable)} prompts cannot be tokenized (the first: {tokens.unrenderable[0]})"
    if tokens.unstable:
        yield (
            f"{len(tokens.unstable)} responses are tokenized differently at the boundary with their prompt "
            f"({_first_sources(tokens.unstable)})"
        )
    yield from tokens.warnings
    if tokens.equal:
        sources = _first_sources(tokens.equal)
        yield f"{len(tokens.equal)} comparisons are of responses that are the same tokens ({sources})"
    if tokens.too_long:
        sources = _first_sources(tokens.too_long)
        yield f"{len(tokens.too_long)} responses are longer than {tokens.max_length} tokens ({sources})"


def _first_sources(sources: Sequence[str]) -> str:
    unique = list(dict.fromkeys(sources))  # one prompt may be named for each of its responses
    return ", ".join(unique[:5]) + (", ..." if len(unique) > 5 else "")


def _table(report: CheckReport) -> list[str]:
    sizes = ", ".join(f"{count} with {size}" for size, count in report.responses_per_prompt.items())
    rate = report.longer_wins
    length_preference = "-" if rate is None else f"{rate:.1%} of {report.longer_compared} ({report.length_unit})"
    rows: list[tuple[str, object]] = [
        ("rows", f"{report.rows} ({len(report.bad_rows)} cannot be used)"),
        ("prompts", report.groups),
        ("responses", f"{report.responses} (prompts: {sizes})"),
        ("comparisons", report.comparisons),
        ("named annotators", report.annotators),
        ("rating that compares", _rating_rule(report)),
        ("ties", report.ties),
        ("duplicates", report.duplicates),
        ("contradictions", f"{report.contradictions} ({report.contradictions_same_annotator} by one annotator)"),
        ("columns that are not read", ", ".join(map(cut, list(report.unread)[:20])) or "none"),
        ("rows with empty text", report.bad_kinds.get("empty", 0)),
        ("rows with identical responses", report.bad_kinds.get("identical", 0)),
        ("the longer response wins", length_preference),
    ]
    if report.labels is not None:
        rows.insert(4, ("labels", "{} good, {} bad ({} responses have both)".format(*report.labels)))
    rows += [(kind, counts.sentence) for kind, counts in report.media.items()]
    if report.bad_kinds.get("absent"):
        rows.append(("rows whose files are absent", report.bad_kinds["absent"]))
    if report.bad_kinds.get("broken"):
        rows.append(("rows whose files are broken", report.bad_kinds["broken"]))
    if report.system_added:
        rows.insert(1, ("rows given the system turn", report.system_added))
    for name, summary in report.lengths.items():
        numbers = f"mean {summary.mean:.0f}, median {summary.median:.0f}, 95% {summary.p95:.0f}, max {summary.longest}"
        rows.append((name, numbers))
    tokens = report.tokens
    rows.append(("unstable boundaries", "- (needs a tokenizer)" if tokens is None else len(tokens.unstable)))
    if tokens is None or tokens.max_length is None:
        rows.append(("too long", "- (needs a tokenizer)" if tokens is None else "- (no limit given)"))
    else:
        rows.append((f"longer than {tokens.max_length} tokens", len(tokens.too_long)))
    return text_list([(name, str(value)) for name, value in rows], width=29)


def _rating_rule(report: CheckReport) -> str:
    """Return the rule by which ratings were read; where rows have several, each with their number."""
    # a file of many tools has a rule per tool: the first five stand for the rest
    rules = [f"{cut(rule)} ({count} rows)" for rule, count in list(report.ratings.items())[:5]]
    text = ", ".join(rules) if len(rules) > 1 else cut(next(iter(report.ratings), "none"))
    return f"{text}; nearer than {report.margin:g} is a tie" if report.margin else text


def _findings(report: CheckReport) -> list[str]:
    lines = ["worth a look:"] if report.problems else ["nothing worth a look"]
    lines += [f"  - {problem}" for problem in report.problems]
    if report.bad_rows:
        lines += ["", "rows that cannot be used:", *bulleted(report.bad_rows, SHOWN_PROBLEMS)]
    if report.refusals:
        lines += ["", "training refuses this file:", *(f"  - {_refusal(reason)}" for reason in report.refusals)]
    return lines


def _refusal(reason: str) -> str:
    """Return a refusal on one line: what is wrong, then what to do, without the rows, which are listed above it."""
    first, *remainder = reason.splitlines()
    # the last line of such an error is advice, and the indented ones name rows
    advice = remainder[-1] if remainder and not remainder[-1].startswith(" ") else ""
    return f"{first.rstrip(':')}. {advice}" if advice else first.rstrip(":")
