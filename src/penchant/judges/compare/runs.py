"""From responses of several sources to pairs, from pairs to verdicts, and from verdicts to who wins."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import get_args

from penchant.clean_text import clean
from penchant.errors import InputError, RunError
from penchant.files import atomic_write, file_above, read_json
from penchant.judges import Answer, Question, VerdictStore, ask, make_judge
from penchant.judges.ask import Calls, make_calls, plan_calls
from penchant.judges.compare.page import judge_page
from penchant.judges.compare.results import JudgedPair, JudgeResults, SourceResult, SourceTest
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.compare.sources import Responses, opponents, preview, responses
from penchant.judges.contract import Judge
from penchant.judges.prompts import load_template
from penchant.judges.settings import Endpoint, Longest, Random, endpoints_of
from penchant.judges.shown_media import media_in, thumbnails
from penchant.judges.summary import summarize
from penchant.metrics.win_rate import WinRate, holm, paired_difference
from penchant.runs.provenance import surroundings
from penchant.typed_json import to_object
from penchant.types import Winner

log = logging.getLogger("penchant")

# Pairs of each outcome to read, of each run and temperature; three times as many without temperatures.
READ = 1
LEVEL = 0.95  # of every interval here, as `cluster_mean` makes them


@dataclass(frozen=True)
class Source:
    """Responses that are judged.

    Attributes:
        path: the run directory or file.
        run: what results call it.
        temperature: at which the responses were drawn anew; None where they were there already.
        texts: by prompt.
    """

    path: str
    run: str
    temperature: float | None
    texts: Responses


def judge(config: JudgeConfig, *, tell: Callable[[str], None] | None = None) -> JudgeResults:
    """Judge the responses of a configuration, and write verdicts, `judge.json` and the page to its folder.

    Args:
        tell: called with what an endpoint will be asked, before it is.

    Raises:
        InputError: sources that cannot be read, or whose prompts differ; what would fail for all calls.
        RunError: nobody answers, or the disk is full. Verdicts that came before are kept.
    """
    folder = Path(config.out).expanduser().absolute()  # a user's judge may change the current folder
    if folder.is_file():
        raise InputError(f"out={config.out} is a file; verdicts need a folder: choose another name")
    if (file := file_above(folder)) is not None:
        raise InputError(f"out={config.out}: {file} is a file; verdicts need a folder in a folder")
    sources = _sources(config)
    opponent_texts = opponents(config)
    pairs = {name: _pairs(config, name, source.texts, opponent_texts[source.path]) for name, source in sources.items()}
    # One list for all sources: a pair that two of them share is asked once, and `max_calls` is of all together.
    all_pairs = [pair for source_pairs in pairs.values() for pair in source_pairs]
    judge = make_judge(config.judge)  # before the store, so that a judge that is refused leaves no folder
    with VerdictStore(folder / "judgments.sqlite") as store:
        answers_of = _by_source(_ask(config, judge, all_pairs, store, tell), pairs)
    # They cost nothing and are not stored. A win rate near theirs says little of quality.
    baselines: dict[str, dict[str, WinRate]] = {
        baseline.name: {
            name: summarize(answers).win_rate
            for name, answers in _by_source(ask(make_judge(baseline), all_pairs, orders=config.orders), pairs).items()
        }
        for baseline in ((Longest(), Random()) if config.baselines else ())
    }
    examples_each = READ if config.temperatures else 3 * READ
    results = JudgeResults(
        method=config.method,
        level=LEVEL,
        config=config.recorded(),
        against=Path(config.against).name,
        prompts=len({pair.prompt for pair in next(iter(pairs.values()))}),
        methods={
            name: SourceResult(sources[name].run, sources[name].temperature, summarize(answers))
            for name, answers in answers_of.items()
        },
        baselines=baselines,
        tests=_tests(answers_of, {name: source.temperature for name, source in sources.items()}),
        examples={name: _examples(answers, examples_each) for name, answers in answers_of.items()},
        provenance=to_object(surroundings()),
        thumbnails=thumbnails(
            answer.question for answers in answers_of.values() for _, answer in _read_answers(answers, examples_each)
        )
        or None,
    )
    _warn_of_another(folder, results)
    # last, so that a report is replaced by a whole one; what was paid for is in the store already
    content = json.dumps(to_object(results), ensure_ascii=True, indent=1) + "\n"
    try:
        atomic_write(folder / "judge.json", content.encode())
    except OSError as error:
        raise RunError(f"cannot write into {folder}: {error.strerror}; the verdicts are kept") from error
    judge_page(results, folder)
    return results


def _warn_of_another(folder: Path, results: JudgeResults) -> None:
    """Warn where the report of another comparison is about to be replaced."""
    try:
        replaced = read_json(folder / "judge.json")
        sources, against = list(replaced["methods"]), replaced["against"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # no report, or none that says what it compared
    if (sources, against) != (list(results.methods), results.against):
        log.warning(
            f"{folder / 'judge.json'} and its page compared {', '.join(sources)} with {against}; they are "
            "replaced, and the verdicts are kept. Give another `out` to keep both"
        )


def _ask(
    config: JudgeConfig,
    judge: Judge,
    pairs: Sequence[Question],
    store: VerdictStore,
    tell: Callable[[str], None] | None,
) -> list[Answer]:
    """Ask the judge what the store does not hold yet, after saying how much that is.

    Raises:
        RunError: every call failed.
    """
    calls = plan_calls(
        judge, pairs, store=store, orders=config.orders, max_calls=config.max_calls, ask_again=config.ask_again
    )
    # before the first call: an endpoint's calls cost money, and Ctrl-C is still free
    if tell is not None and (endpoints := list(endpoints_of(config.judge))):
        tell(_estimate(endpoints, calls))
    answers = make_calls(calls)
    _refuse_failures_alone(answers)
    return answers


def _by_source(answers: Sequence[Answer], pairs: Mapping[str, Sequence[Question]]) -> dict[str, list[Answer]]:
    """Return the answers of each source, from the answers to the pairs of all sources in their order."""
    following = iter(answers)
    return {name: list(islice(following, len(source_pairs))) for name, source_pairs in pairs.items()}


def _refuse_failures_alone(answers: Sequence[Answer]) -> None:
    """Refuse to report a comparison in which every call failed.

    Raises:
        RunError: no answer came to any question; with what the first call failed of.
    """
    verdicts = [verdict for answer in answers for verdict in answer.verdicts]
    failed = [verdict for verdict in verdicts if not verdict.final and verdict.transcript.startswith("failed: ")]
    if failed and len(failed) == len(verdicts):
        raise RunError(
            f"all {len(failed)} calls of the judge failed, so there is nothing to report. The first "
            f"{clean(failed[0].transcript.rstrip('.'))}. Correct what it names, and give the same command again"
        )


def _estimate(endpoints: Sequence[Endpoint], calls: Calls) -> str:
    """Return how many calls endpoints will get, and about how many tokens; stored verdicts cost none."""
    # four characters per token: good enough for a bill, and no tokenizer of the endpoint's model is here
    letters = sum(
        len(load_template(endpoint.template).ask(question)) for endpoint in endpoints for question in calls.missing
    )
    known_note = f"; {len(calls.stored):,} verdicts are known already" if calls.stored else ""
    left_note = f" (another {calls.left * len(endpoints):,} are left to another run)" if calls.left else ""
    return (
        f"{len(calls.missing) * len(endpoints):,} calls{left_note}, about {letters // 4:,} tokens to read{known_note}"
    )


def _sources(config: JudgeConfig) -> dict[str, Source]:
    """Return the responses that are judged, by the name that results have for them."""
    sources: dict[str, Source] = {}
    for path in config.responses:
        run = _name(path, config.responses)
        if config.temperatures:
            # brings torch, which samples that are there already do not need
            from penchant.judges.compare.draws import draw_responses

            for temperature, texts in draw_responses(config, path).items():
                sources[f"{run} at {temperature:g}"] = Source(path, run, temperature, texts)
        else:
            sources[run] = Source(path, run, None, responses(path, thoughts=config.thoughts))
    return sources


def _name(path: str, paths: Sequence[str]) -> str:
    short = Path(path).name or path
    return short if sum(Path(other).name == short for other in paths) == 1 else path


def _pairs(config: JudgeConfig, name: str, texts: Responses, opponent_texts: Responses) -> list[Question]:
    """Return the pairs of one source.

    Both sides must have the same prompts, unless the other one is a data set of more, or prompts to draw for were
    chosen.
    """
    missing = [prompt for prompt in texts if prompt not in opponent_texts]
    # else a prompt that only one side has would be left out in silence, and the two be measured on different prompts
    chosen = config.against == "chosen" or bool(config.temperatures)
    extra = [] if chosen else [prompt for prompt in opponent_texts if prompt not in texts]
    problems = [
        f"{len(prompts)} {problem}, the first: {preview(prompts[0])}"
        for prompts, problem in (
            (missing, "of its prompts are missing in the other"),
            (extra, "prompts of the other are missing in it"),
        )
        if prompts
    ]
    if problems:
        raise InputError(f"{name} and {config.against} are not about the same prompts: {'; '.join(problems)}")
    prompts = list(texts)[: config.limit]
    # both files may show the same pictures, by the same marks
    media = {mark: part for side in (texts, opponent_texts) for mark, part in getattr(side, "media", {}).items()}
    return [
        Question(prompt, text, other, media_in((prompt, text, other), media))
        for prompt in prompts
        for text, other in zip(texts[prompt][: config.n], opponent_texts[prompt][: config.n], strict=False)
    ]


def _tests(
    answers_of: Mapping[str, Sequence[Answer]], temperatures: Mapping[str, float | None]
) -> tuple[SourceTest, ...]:
    """Compare the sources two by two, on the pairs that both have, at the same temperature."""
    prompts = {name: [answer.question.prompt for answer in answers] for name, answers in answers_of.items()}
    outcomes = {name: [answer.outcome for answer in answers] for name, answers in answers_of.items()}
    differences = {
        (first, second): paired_difference(outcomes[first], outcomes[second], prompts[first])
        for first, second in combinations(answers_of, 2)
        if temperatures[first] == temperatures[second]
        # other prompts, or another number of responses: nothing to pair
        and prompts[first] == prompts[second]
        # a judge without a verdict says nothing of a difference
        and {"unparseable"} not in ({*outcomes[first]}, {*outcomes[second]})
    }
    # by number, as two names joined to one key could be those of another pair
    adjusted = holm({f"{number}": difference.p for number, difference in enumerate(differences.values())})
    return tuple(
        SourceTest(first, second, difference.estimate, difference.p, adjusted[f"{number}"])
        for number, ((first, second), difference) in enumerate(differences.items())
    )


def _examples(answers: Sequence[Answer], count: int) -> tuple[JudgedPair, ...]:
    """Return the first pairs of each outcome, to read."""
    return tuple(
        JudgedPair(
            outcome,
            answer.question.prompt,
            answer.question.a,
            answer.question.b,
            answer.first.transcript if answer.first else "",
            answer.second.transcript if answer.second else "",
        )
        for outcome, answer in _read_answers(answers, count)
    )


def _read_answers(answers: Sequence[Answer], count: int) -> Iterator[tuple[Winner, Answer]]:
    """Yield the first answers of each outcome."""
    for outcome in get_args(Winner):
        yield from [(outcome, answer) for answer in answers if answer.outcome == outcome][:count]
