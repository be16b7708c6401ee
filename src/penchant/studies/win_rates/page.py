"""Fill in the page of a study of win rates from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.judges.compare.figures import Point, win_rate_picture
from penchant.judges.compare.page import RESULTS
from penchant.metrics.catalogue import metric
from penchant.models.builtin import described
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts, text_cell, texts_of_prompt
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, duration, format_share, number, p_words, recorded
from penchant.studies.core.definition import StudyPage
from penchant.studies.core.domains import domain_name
from penchant.studies.core.methods import swept_name
from penchant.studies.win_rates.summary import Domain, MethodRates, RowCounts, WinRateSummary
from penchant.studies.win_rates.words import OPPONENTS, findings, headline, judge_words

LABELS = {"dpo": "DPO", "ppo": "PPO"}
"""Of methods that papers report."""
TITLES = {
    "tldr": "Summaries: win rates against those of the data",
    "dialogue": "Dialogue: win rates against the preferred responses",
    "judged-transfer": "Transfer: win rates on other domains",
}
TASKS = {
    "tldr": "summarize posts",
    "dialogue": "answer in a dialogue",
    "judged-transfer": "train on one domain, and win on others",
}
_OUTCOMES = ("rate", "wins", "ties", "losses", "unparseable")
CAPTION = (
    "Wins and half of the ties, as a share of all pairs. Hollow markers are the paper's numbers for the method of the "
    "same colour. They have no intervals, and other models, data and judge."
)


def win_rate_pictures(study: WinRateSummary) -> dict[str, Picture]:
    """Return a figure for each domain, by key."""
    methods = {swept_name(method): method for method in study.methods}
    return {
        f"win-rate-{index}": win_rate_picture(
            {name: _points(method, domain) for name, method in methods.items()},
            f"{metric('rate').title} on {domain_name(domain)}",
            published={name: _published_points(study, method, domain) for name, method in methods.items()},
        )
        for index, domain in enumerate(study.domains)
    }


def win_rate_context(study: WinRateSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return the context that the template is filled with."""
    summary = _summary(study)
    return {
        "title": TITLES[study.study],
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "section": f"How often each wins against {OPPONENTS[study.study]}",
        "methods": [swept_name(method) for method in study.methods],
        "figures": [figure_context(key, picture, CAPTION) for key, picture in pictures.items()],
        "findings": findings(study),
        # The published table last: other models, data and judge than all that stands above it.
        "tables": [
            summary,
            *(_domain_table(study, domain) for domain in study.domains),
            _tests(study),
            _published_table(study),
        ],
        "legend_tables": [summary],
        "samples": _samples(study),
        "facts": _facts(study),
    }


def _points(method: MethodRates, domain: Domain) -> list[Point]:
    # A rate that is undefined has no place on an axis.
    rates = [(cell.temperature, cell.rate) for cell in method.cells if cell.domain == domain.name]
    return [(temperature, rate.value, rate.low, rate.high) for temperature, rate in rates if rate.value is not None]


def _published_points(study: WinRateSummary, method: MethodRates, domain: Domain) -> list[tuple[float, float]]:
    """Return published rates of a method by temperature; those without a temperature are in the table alone."""
    return [
        (rate.temperature, rate.rate)
        for rate in study.published.rates
        if (rate.method, rate.own) == (method.name, domain.own) and rate.temperature is not None
    ]


def _summary(study: WinRateSummary) -> Table:
    """Return everything about the judged pairs at the temperature of the tests, on the own domain."""
    rows = []
    for method in study.methods:
        tested = method.cell(study.own_domain, study.tested_at)
        if tested is None:  # its verdicts at this temperature are not there yet
            continue
        shares = [getattr(tested.summary.win_rate, key) for key in _OUTCOMES]
        # Beside each rate what is left of it at equal lengths, and what length alone would have won.
        shares += [tested.summary.length_controlled, tested.baselines["longest"]]
        rows.append((swept_name(method), *map(format_share, shares)))
    heads = ("method", *(metric(key).column for key in (*_OUTCOMES, "length_controlled", "longest")))
    return Table(f"On {study.own_domain}, at temperature {study.tested_at:g}.", heads, tuple(rows))


def _domain_table(study: WinRateSummary, domain: Domain) -> Table:
    rows = [
        (
            swept_name(method),
            *(format_share(method.rate_at(domain.name, temperature)) for temperature in study.temperatures),
        )
        for method in study.methods
    ]
    heads = ("method", *(f"at {temperature:g}" for temperature in study.temperatures))
    return Table(f"{metric('rate').title} on {domain_name(domain)}, by temperature.", heads, tuple(rows))


def _tests(study: WinRateSummary) -> Table:
    rows = [
        (
            f"{swept_name(test.one)} minus {swept_name(test.other)}",
            test.domain,
            recorded(test.difference, percent=True, sign=True),
            # The raw p-value is for a reader who planned this one test, Holm's for one who looks at all pairs.
            p_words(test.p),
            p_words(test.p_holm),
        )
        for test in study.tests
    ]
    caption = (
        f"Differences of win rates on the same prompts, at temperature {study.tested_at:g}; Holm's correction is "
        "over the pairs of a domain."
    )
    return Table(caption, ("methods", "domain", "difference", "p", "p by Holm"), tuple(rows))


def _published_table(study: WinRateSummary) -> Table:
    """Return the paper's rates beside ours at the same temperature."""
    rows = []
    for rate in study.published.rates:
        # Where the paper gives the best temperature only, ours is the rate at the temperature of the tests.
        temperature = study.tested_at if rate.temperature is None else rate.temperature
        our_rates = [
            f"{swept_name(method)} on {domain_name(domain)}: {format_share(method.rate_at(domain.name, temperature))}"
            for method in study.methods
            for domain in study.domains
            if method.name == rate.method and domain.own == rate.own
        ]
        temperature_words = "its best" if rate.temperature is None else f"{rate.temperature:g}"
        rows.append((LABELS[rate.method], temperature_words, rate.words, "; ".join(our_rates) or DASH))
    published = study.published
    caption = (
        f"Published ({published.rates[0].source}; {published.setting}) beside ours, which has another model, data and "
        "judge."
    )
    return Table(caption, ("method", "temperature", "published", "ours"), tuple(rows))


def _samples(study: WinRateSummary) -> dict[str, object] | None:
    """Return the first prompts of the own domain with the data's response and each method's first one."""
    if not study.examples:
        return None
    prompts = [
        texts_of_prompt(
            example.prompt,
            [
                text_cell("The data", example.met),
                *(
                    text_cell(swept_name(text), text.text, index=index, mark=RESULTS[text.outcome])
                    for index, text in enumerate(example.texts)
                ),
            ],
        )
        for example in study.examples
    ]
    note = (
        f"The first {count(len(prompts), 'prompt')} and the first response of each at temperature "
        f"{study.tested_at:g}, with what the judge made of it; none was picked by its verdict."
    )
    return {"title": "Responses side by side", "note": note, "prompts": prompts}


def _facts(study: WinRateSummary) -> list[tuple[str, str]]:
    rows, cost = study.trained_on, study.cost
    domains = [
        (domain_name(domain), f"{count(domain.rows.prompts or 0, 'prompt')}{_left_out(domain.rows)}")
        for domain in study.domains
    ]
    compared = count(rows.comparisons or 0, "comparison")
    judging = f"{count(cost.verdicts, 'verdict')}, {cost.judge_tokens:,} tokens, {duration(cost.judge_seconds)}"
    return [
        ("Task", TASKS[study.study]),
        ("Model", described(str(study.config["model"]["name"]))),
        ("Trained on", f"{compared} of {count(rows.prompts or 0, 'prompt')}{_left_out(rows)}"),
        *domains,
        # the headline says how often it is right
        ("Judge", judge_words(study).removeprefix("The judge is ").partition(", which")[0].rstrip(".")),
        ("Judged", judging),
        *shared_facts(study.seeds, study.provenance, cost.seconds),
    ]


def _left_out(rows: RowCounts) -> str:
    """Say what was done to the rows, as far as it changes what the numbers are about."""
    # What was only cut is said too: the judge and the policies saw no more of it.
    changes = (
        (rows.also_trained_on, "left out since they are trained on"),
        (rows.prompts_cut, "cut from the left"),
        (rows.prompts_too_long, "left out as too long"),
        (rows.responses_too_long, "responses left out as too long"),
        (rows.responses_empty, "responses left out as empty"),
    )
    parts = [f"{number(size, 0)} {text}" for size, text in changes if size]
    return f" ({', '.join(parts)})" if parts else ""


PAGE = StudyPage(pictures=win_rate_pictures, context=win_rate_context)
