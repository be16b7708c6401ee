"""Write the self-contained page of one run or of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penchant.errors import InputError
from penchant.files import atomic_write, make_folder
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context, file_name, render_page
from penchant.reports.kit.tables import Table
from penchant.reports.run import tables
from penchant.reports.run.about import leading_lines, page_title
from penchant.reports.run.curves import REWARD_MODEL, SIDES, kl_paths, panels
from penchant.reports.run.figures import kl_picture, panel_picture, round_picture
from penchant.reports.run.findings import grouped
from penchant.reports.run.marked import marked_cards
from penchant.reports.run.outside import outside_tables
from penchant.reports.run.rounds import ROUND_KEYS, ROUNDS_TITLE, round_panels, round_table, stop_sentence
from penchant.reports.run.samples import samples
from penchant.reports.run.sentences import headline, sentences
from penchant.reports.run.summary import Summary, summarize
from penchant.reports.run.versus import versus_table
from penchant.runs.read import Run, read_runs
from penchant.types import RunResult

REWARD_KL = "reward_kl"
MARKED_ROWS = 4  # of a single run; of several, each has its first one
MOVED_TITLE, LEARNED_TITLE, WRITES_TITLE = "What the policy moved", "How it learned", "What it writes"
READ_AS_ONE = "Read log-probabilities, margin, KL and length together: each of them alone can mislead."
_LEARNING_KEYS = (
    "loss",
    "accuracy",
    "label_accuracy",
    "mean_logps",
    "kl_coefficient",
    "clip_fraction",
    "explained_variance",
    "grad_norm",
)
# In the place of the plane, where there is none: what says most of how it went.
_LEADS = ("accuracy", "label_accuracy", "rollout_reward", "loss")
_TWO_SIDED = ("logps", "log_ratios", "rewards")
SECTIONS: dict[str, tuple[str, ...]] = {
    MOVED_TITLE: (*_TWO_SIDED, "margin", "kl", "tokens"),
    LEARNED_TITLE: ("rollout_reward", *_LEARNING_KEYS),
    WRITES_TITLE: ("reward", "repetition", "distinct_2"),
}
# A reward model has no samples, and moves no policy.
SECTIONS_REWARD_MODEL: dict[str, tuple[str, ...]] = {
    "How it scores": ("rewards",),
    LEARNED_TITLE: _LEARNING_KEYS,
}
# With several runs the colour tells the run, so a figure of two sides becomes two figures.
SECTIONS_ACROSS: dict[str, tuple[str, ...]] = {
    MOVED_TITLE: (*(side for key in _TWO_SIDED for side in SIDES[key]), "kl", "tokens"),
    LEARNED_TITLE: (*SIDES["rollout_reward"], "margin", *_LEARNING_KEYS),
    WRITES_TITLE: SECTIONS[WRITES_TITLE],
}
# Not only those of this report: figures of an earlier one beside it have to be known to be removed.
FIGURE_KEYS = {
    REWARD_KL,
    *ROUND_KEYS,
    *(key for part in (SECTIONS, SECTIONS_ACROSS) for keys in part.values() for key in keys),
}


def runs_report(runs: Sequence[RunResult | str | Path], out: str | Path) -> Path:
    """Write the page of one run or of several; see `penchant.studies.report.report`."""
    check_page_name(Path(out))  # before the runs are read, which may take long
    return runs_page(read_runs(runs), Path(out))


def check_page_name(target: Path) -> None:
    """Refuse a folder where a page is to be written.

    Raises:
        InputError: it is one.
    """
    if target.is_dir():
        raise InputError(f"out must be a file such as {target / 'report.html'}, but {target} is a folder")


def runs_page(read: Sequence[Run], target: Path, unread: Table | None = None) -> Path:
    """Write the page of runs that were read.

    Args:
        unread: folders that are named on the page as not read.
    """
    summaries = [summarize(run) for run in read]
    pictures = _pictures(read)
    # Named after the page, so that two reports in one folder keep their figures apart.
    folder = target.with_name(f"{target.stem}-figures")
    # The page is filled in before anything is written: a failure leaves the old report whole.
    page = render_page("run.html.j2", {"folder": folder.name, "unread": unread, **_context(summaries, pictures)})
    target.parent.mkdir(parents=True, exist_ok=True)
    _write_figures(folder, pictures)
    atomic_write(target, page.encode("utf-8"), shared=True)
    return target


def _pictures(runs: Sequence[Run]) -> dict[str, Picture]:
    names = [run.name for run in runs]
    pictures = {key: panel_picture(panel, names) for key, panel in panels(runs).items()}
    # of several runs the table of comparison has the ends; their rounds need not be of one kind
    if len(runs) == 1:
        pictures |= {key: round_picture(panel, names) for key, panel in round_panels(runs[0]).items()}
    paths = kl_paths(runs)
    # The plane needs both a reward and a KL; panels need one number.
    return {REWARD_KL: kl_picture(paths, names), **pictures} if paths else pictures


def _write_figures(folder: Path, pictures: dict[str, Picture]) -> None:
    """Write the PNG files of this report; a figure of an earlier one that this one lacks would mislead and goes."""
    # A link in the folder's place is replaced before anything is removed through it.
    if folder.is_symlink() or pictures:
        make_folder(folder)
    for key in FIGURE_KEYS:
        if key not in pictures:
            _png(folder, key).unlink(missing_ok=True)
    for key, picture in pictures.items():
        atomic_write(_png(folder, key), picture.png, shared=True)


def _png(folder: Path, key: str) -> Path:
    return folder / f"{file_name(key)}.png"


def _context(summaries: Sequence[Summary], pictures: dict[str, Picture]) -> dict[str, object]:
    runs = [summary.run for summary in summaries]
    passages = sentences(summaries)
    single_run = len(summaries) == 1
    parts = _parts(runs)
    plane = _figure(REWARD_KL, pictures, passages)
    lead = None if plane else next((figure for key in _LEADS if (figure := _figure(key, pictures, passages))), None)
    in_sections = {key: picture for key, picture in pictures.items() if not lead or file_name(key) != lead["key"]}
    return {
        "title": page_title(runs),
        "about": leading_lines(runs),
        "runs": runs,
        "alone": single_run,
        "headline": headline(summaries),
        # Tiles have room for one run's numbers; several runs stand in the table of comparison.
        "tiles": tables.tiles(summaries[0]) if single_run else [],
        "comparison": None if single_run else tables.comparison(summaries),
        "differences": None if single_run else tables.differences(runs),
        "versus": None if single_run else versus_table(summaries),
        "warnings": grouped(summaries),
        "reward_kl": plane,
        "lead": lead,
        "no_reward_kl": "" if parts is SECTIONS_REWARD_MODEL else _why_no_plane(summaries),
        "sections": _sections(in_sections, passages, parts),
        "rounds": _rounds(runs, pictures),
        "samples": samples(runs),
        "marked": [
            {"run": run, "cards": marked_cards(run.marked[: MARKED_ROWS if single_run else 1])}
            for run in runs
            if run.marked
        ],
        "run_facts": [
            {
                "run": run,
                "facts": tables.facts(run),
                "evaluations": tables.evaluations(run),
                "outside": outside_tables(run),
                "sources": tables.sources(run),
                "provenance": tables.flatten(run.provenance),
            }
            for run in runs
        ],
    }


def _rounds(runs: Sequence[Run], pictures: dict[str, Picture]) -> dict[str, object] | None:
    """Return the section of a run's rounds; None for a run without, and for several runs."""
    round_rows = round_table(runs[0]) if len(runs) == 1 else None
    if round_rows is None:
        return None
    figures = [figure for key in ROUND_KEYS if (figure := _figure(key, pictures, {}))]
    return {"title": ROUNDS_TITLE, "table": round_rows, "figures": figures, "stopped": stop_sentence(runs[0])}


def _parts(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Return the sections of figures: of several runs, of a reward model, or of a policy."""
    if len(runs) > 1:
        return SECTIONS_ACROSS
    return SECTIONS_REWARD_MODEL if runs[0].method == REWARD_MODEL else SECTIONS


def _figure(key: str, pictures: dict[str, Picture], passages: dict[str, str]) -> dict[str, object] | None:
    return figure_context(key, pictures[key], passages.get(key, "")) if key in pictures else None


def _sections(
    pictures: dict[str, Picture], passages: dict[str, str], parts: dict[str, tuple[str, ...]]
) -> list[dict[str, object]]:
    sections: list[dict[str, object]] = []
    for title, keys in parts.items():
        figures = [figure for key in keys if (figure := _figure(key, pictures, passages))]
        if figures:
            # These figures mislead one by one: a chosen log-probability may fall in a good run and in a bad one.
            intro, meaning = (READ_AS_ONE, passages.get("logps_meaning", "")) if title == MOVED_TITLE else ("", "")
            sections.append({"title": title, "intro": intro, "figures": figures, "meaning": meaning})
    return sections


def _why_no_plane(summaries: Sequence[Summary]) -> str:
    """Say what the reward-KL plot lacks, where there is none."""
    # Each has a remedy of its own: samples, a reward, or a later evaluation.
    sampled = [point for s in summaries for point in s.run.evals if point.policy]
    if not sampled:
        return "No samples were evaluated, so there is no reward-KL plot."
    if not any("reward" in point.policy for point in sampled):
        return "The samples were evaluated without a reward, so there is no reward-KL plot."
    return "No checkpoint after step 0 was evaluated with both a reward and a KL, so there is no reward-KL plot."
