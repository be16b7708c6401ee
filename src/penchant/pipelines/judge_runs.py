"""From responses of several sources to pairs, from pairs to verdicts, and from verdicts to who wins."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from penchant.data.load import load_preferences, load_responses
from penchant.errors import InputError, RunError
from penchant.judges import Answer, Question, VerdictStore, ask, make_judge
from penchant.judges.settings import Endpoint, JudgeSpec, Longest, Random
from penchant.judges.summary import summarize
from penchant.metrics.win_rate import Difference, holm, paired_difference
from penchant.pipelines.judge_settings import JudgeConfig
from penchant.reports.judge import judge_page
from penchant.reports.read import read_runs
from penchant.reports.render import write_file
from penchant.train.provenance import surroundings
from penchant.types import prompt_text

Responses = Mapping[str, Sequence[str]]
"""The texts of each prompt, in order."""
READ = 12


def judge(config: JudgeConfig, *, tell: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Judge; everything lands in the folder. Returns the content of `judge.json`.

    Args:
        tell: hears what an endpoint will be asked, before it is.

    Raises:
        InputError: sources that cannot be read, or whose prompts differ; what would fail for all calls.
        RunError: nobody answers, or the disk is full. Verdicts that came before are kept.
    """
    sources = [(_name(place, config.responses), _responses(place)) for place in config.responses]
    opponents = _opponents(config, sources)
    pairs = {name: _pairs(config, name, own, opponents[name]) for name, own in sources}
    if tell is not None and isinstance(config.judge, Endpoint):
        tell(_estimate(config, [pair for of in pairs.values() for pair in of]))
    folder = Path(config.out).expanduser()
    with VerdictStore(folder / "judgments.sqlite") as store:
        asked = {name: ask_all(config, config.judge, of, store) for name, of in pairs.items()}
        beside: dict[str, dict[str, Any]] = {}
        if config.baselines:
            for baseline in (Longest(), Random()):
                rates = {name: summarize(ask_all(config, baseline, of, None)) for name, of in pairs.items()}
                beside[baseline.name] = {name: rate["win_rate"] for name, rate in rates.items()}
    numbers = {
        "study": config.method,
        "config": config.model_dump(mode="json"),
        "against": Path(config.against).name,
        "prompts": len({pair.prompt for pair in next(iter(pairs.values()))}),
        "methods": {name: summarize(answers) for name, answers in asked.items()},
        "baselines": beside,
        "tests": _tests(asked),
        "examples": {name: _examples(answers) for name, answers in asked.items()},
        "provenance": surroundings(),
    }
    try:
        write_file(folder / "judge.json", (json.dumps(numbers, ensure_ascii=True, indent=1) + "\n").encode())
        write_file(folder / "report.html", judge_page(numbers).encode("utf-8"))
    except OSError as error:
        raise RunError(f"cannot write into {folder}: {error.strerror}; the verdicts are kept") from error
    return numbers


def ask_all(
    config: JudgeConfig, judge: JudgeSpec, pairs: Sequence[Question], store: VerdictStore | None
) -> list[Answer]:
    """What a judge says of pairs, as a configuration wants it asked."""
    most = config.max_calls if store is not None else None
    return ask(make_judge(judge), pairs, store=store, orders=config.orders, max_calls=most)


def _estimate(config: JudgeConfig, asked: Sequence[Question]) -> str:
    """What a run will ask of an endpoint."""
    orders = 2 if config.orders == "both" else 1
    letters = sum(len(pair.prompt) + len(pair.a) + len(pair.b) for pair in asked) * orders
    limit = "" if config.max_calls is None else f" (at most {config.max_calls:,} of them now)"
    calls = f"{len(asked) * orders:,} calls{limit}"
    return f"{calls}, about {letters // 4:,} tokens to read; those known already are not asked again"


def _name(place: str, places: Sequence[str]) -> str:
    short = Path(place).name or place
    return short if sum(Path(other).name == short for other in places) == 1 else place


def _responses(place: str, *, reference: bool = False) -> Responses:
    """Texts by prompt, of a run's last samples or of a file."""
    if Path(place).expanduser().is_dir():
        (run, *_) = read_runs([Path(place).expanduser()])
        last = max((row.step for row in run.samples), default=0)
        rows = [row for row in run.samples if row.step == last]
        found = {row.prompt: [draw.text for draw in (row.reference if reference else row.policy)] for row in rows}
        found = {prompt: texts for prompt, texts in found.items() if texts}
        if not found:
            what = "samples of its reference" if reference else "samples"
            raise InputError(f"{place} has no {what}: train with `evaluate.samples`, or use `penchant sample`")
        return found
    groups = load_responses(place)
    found = {prompt_text(group.prompt): [r.text for r in group.responses] for group in groups}
    if empty := [prompt for prompt, texts in found.items() if not texts]:
        raise InputError(f"{place}: {len(empty)} prompts have no response, the first: {_short(empty[0])}")
    return found


def _opponents(config: JudgeConfig, sources: Sequence[tuple[str, Responses]]) -> dict[str, Responses]:
    """Whom each source meets."""
    if config.against == "reference":
        places = dict(zip((name for name, _ in sources), config.responses, strict=True))
        if files := [place for place in places.values() if not Path(place).expanduser().is_dir()]:
            raise InputError(f"{files[0]} is no run directory and has no reference: say `against`")
        return {name: _responses(place, reference=True) for name, place in places.items()}
    if config.against == "chosen":
        if config.data is None:
            raise InputError("against=chosen needs `data`: the preferences whose chosen responses are met")
        chosen: dict[str, list[str]] = {}
        for group in load_preferences(config.data, ties="drop"):
            best = [group.responses[one.winner].text for one in group.comparisons]
            chosen[prompt_text(group.prompt)] = list(dict.fromkeys(best))
        return {name: chosen for name, _ in sources}
    theirs = _responses(config.against)
    return {name: theirs for name, _ in sources}


def _pairs(config: JudgeConfig, name: str, own: Responses, theirs: Responses) -> list[Question]:
    """The pairs of one source; the same prompts on both sides, where the other is not a data set of more."""
    missing = [prompt for prompt in own if prompt not in theirs]
    extra = [] if config.against == "chosen" else [prompt for prompt in theirs if prompt not in own]
    if missing or extra:
        said = (
            [f"{len(missing)} of its prompts are missing in the other, the first: {_short(missing[0])}"]
            if missing
            else []
        )
        said += [f"{len(extra)} prompts of the other are missing in it, the first: {_short(extra[0])}"] if extra else []
        raise InputError(f"{name} and {config.against} are not about the same prompts: {'; '.join(said)}")
    prompts = list(own)[: config.limit]
    return [
        Question(prompt, mine, other)
        for prompt in prompts
        for mine, other in zip(own[prompt][: config.n], theirs[prompt][: config.n], strict=False)
    ]


def _tests(asked: Mapping[str, Sequence[Answer]]) -> list[dict[str, Any]]:
    """Between the methods, two by two, on the pairs that both have."""
    found: dict[tuple[str, str], Difference] = {}
    for one, other in combinations(asked, 2):
        own, theirs = ([(answer.asked.prompt, answer.outcome) for answer in asked[name]] for name in (one, other))
        if [prompt for prompt, _ in own] != [prompt for prompt, _ in theirs]:
            continue  # other prompts, or another number of responses: nothing to pair
        first, second = ([outcome for _, outcome in of] for of in (own, theirs))
        found[one, other] = paired_difference(first, second, [prompt for prompt, _ in own])
    adjusted = holm({f"{number}": difference.p for number, difference in enumerate(found.values())})
    return [
        {
            "one": one,
            "other": other,
            "difference": difference.estimate.as_dict(),
            "p": difference.p,
            "p_holm": adjusted[f"{number}"],
        }
        for number, ((one, other), difference) in enumerate(found.items())
    ]


def _examples(answers: Sequence[Answer]) -> list[dict[str, str]]:
    """Some of each outcome to read."""
    shown: list[dict[str, str]] = []
    for outcome in ("a", "b", "tie", "unparseable"):
        of = [answer for answer in answers if answer.outcome == outcome]
        for answer in of[: READ // 4]:
            said = answer.first.transcript if answer.first else ""
            asked = answer.asked
            shown.append({"outcome": outcome, "prompt": asked.prompt, "a": asked.a, "b": asked.b, "said": said})
    return shown


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return repr(one_line if len(one_line) <= 60 else f"{one_line[:59]}…")
