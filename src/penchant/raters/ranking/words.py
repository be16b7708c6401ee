"""Say in sentences what is ranked, what a strength is, who leads, and what strengths cannot say."""

from __future__ import annotations

from penchant.raters.ranking.results import Ranking
from penchant.reports.kit.text import NAME, count, number, short

# 1 / (1 + exp(-1)) is 0.73, and 0.88 for a difference of 2.
CAPTION = (
    "Log-odds with mean zero, by {model}: a difference of 1 means 73% of wins against 27%, and one of 2 means 88% "
    "against 12%. A line is the interval."
)
CAPTION_OF_ANNOTATORS = (
    "Log-odds with mean zero, by {model}: a difference of 1 means that where exactly one of the two is with the "
    "majority of the others, it is the stronger one in 73%, of 2 in 88%. A line is the interval."
)
MODELS = {"bradley-terry": "the Bradley-Terry model", "plackett-luce": "the Plackett-Luce model of rankings"}
MEANING = (
    "One number per competitor assumes that strength alone decides who wins. Where A beats B, B beats C and C beats A, "
    "it does not: the table of wins shows that.",
    "A strength says who is preferred by these judges on these prompts, not who is right. Length and position may be "
    "part of it.",
)
MEANING_OF_ANNOTATORS = (
    "Of two annotators, one wins where it says what most of the others say and the other does not. Where both do, or "
    "neither, nothing is learned. So it does not matter how hard a comparison is (Rasch's model).",
    "A strong annotator agrees with the others, which is not the same as being right: shared habits make strong, and "
    "an annotator who alone sees what is right is weak.",
    "The others err too. That draws strengths towards each other, most where there are few annotators: of three, the "
    "others are one person. Strengths in one panel cannot be compared with those in another.",
)
# On Elo's scale a strength of ln 10 is 400 points.
ELO = "Elo: 1000 is the mean, and 400 points more are odds of ten to one."


def title(ranking: Ranking) -> str:
    """Return the title of the page."""
    # Annotators do not play against each other: the contest is who agrees with the majority of the others.
    measure = "agreement with the others" if ranking.by == "annotators" else "wins"
    return f"{count(len(ranking.items), ranking.by.removesuffix('s'))} ranked by {measure}"


def caption(ranking: Ranking) -> str:
    """Return the sentences below the figure: what a strength is."""
    words = CAPTION_OF_ANNOTATORS if ranking.by == "annotators" else CAPTION
    return words.format(model=MODELS[ranking.fit])


def headline(ranking: Ranking) -> list[str]:
    """Return the sentences at the top: who leads, and whether others may be first as well."""
    items = ranking.items
    best = short(items[0].name, NAME)
    # By places: intervals of two strengths may overlap though one is the higher in every resample.
    possible_firsts = [item for item in items[1:] if item.places and item.places[0] == 1]  # at the level asked for
    if not items[0].places:  # places come from the same resamples as the intervals
        first = f"{best} comes first; without intervals nobody knows how firmly."
    elif possible_firsts:
        first = f"{best} comes first, but {count(len(possible_firsts), 'other')} may be first as well."
    else:
        first = f"{best} is the strongest: no other may be first, by these intervals."
    return [first, f"{comparisons_words(ranking)}."]


def comparisons_words(ranking: Ranking) -> str:
    """Return how many comparisons or rankings the strengths are fitted to."""
    if ranking.rankings is not None:
        return f"{count(ranking.rankings, 'ranking')}, which are {count(ranking.comparisons, 'comparison')}"
    if ranking.by == "annotators":
        times = count(ranking.comparisons, "time")
        return f"{times} that of two annotators exactly one was with the majority of the others"
    return f"{count(ranking.comparisons, 'comparison')}, {count(ranking.ties, 'tie')} among them"


def findings(ranking: Ranking) -> list[str]:
    """Return sentences on what strengths mean, and on what they cannot mean."""
    sentences = [*(MEANING_OF_ANNOTATORS if ranking.by == "annotators" else MEANING), ELO]
    if ranking.reason:
        sentences.append(f"There are no intervals: {ranking.reason}.")
    if ranking.prior:
        ties = f"{number(ranking.prior)} virtual ties between every two"
        sentences.append(f"A prior of {ties} is part of every number here: it draws strengths towards each other.")
    return sentences
