"""Read the responses that are judged and those that they meet: samples of runs and references, or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from penchant.data.load import load_preferences, load_responses
from penchant.errors import InputError
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.shown_media import ResponseTexts, media_by_mark
from penchant.models.finished import check_finished
from penchant.models.locate import policy_run
from penchant.runs.read import Run, SampledPrompt, read_runs
from penchant.thoughts import shown_text
from penchant.types import Response, prompt_text

# The texts of each prompt, in order.
Responses = Mapping[str, Sequence[str]]


def responses(path: str, *, reference: bool = False, thoughts: bool = False) -> Responses:
    """Return the responses to each prompt, of a run's last samples (or its reference's) or of a file.

    A text that was drawn twice is there twice.

    Args:
        reference: of a run, the samples of its reference.
        thoughts: with the thoughts before an answer; else the answers alone.

    Raises:
        InputError: nothing to read there, or a prompt without a response.
    """
    if Path(path).expanduser().is_dir():
        rows = last_samples(run_at(path))
        texts_of = {
            row.prompt: [
                shown_text(Response(draw.text), thoughts=thoughts)
                for draw in (row.reference if reference else row.policy)
            ]
            for row in rows
        }
        # a run whose reference was not sampled has the prompts all the same
        texts_of = {prompt: texts for prompt, texts in texts_of.items() if texts}
        if not texts_of:
            missing = "samples of its reference" if reference else "samples"
            raise InputError(f"{path} has no {missing}: train with `evaluate.samples`, or use `penchant sample`")
        return texts_of
    groups = load_responses(path, media=True)
    # as often as it was drawn: responses are paired by their number, the first with the first
    texts_of = {
        prompt_text(group.prompt): [
            shown_text(response, thoughts=thoughts) for response in group.responses for _ in range(response.count)
        ]
        for group in groups
    }
    if empty := [prompt for prompt, texts in texts_of.items() if not texts]:
        raise InputError(f"{path}: {len(empty)} prompts have no response, the first: {preview(empty[0])}")
    return ResponseTexts(texts_of, media_by_mark(groups))


def opponents(config: JudgeConfig) -> dict[str, Responses]:
    """Return the texts that the responses of each path meet, by path.

    Raises:
        InputError: a file has no reference, `chosen` has no data, or nothing can be read.
    """
    if config.against == "reference":
        if files := [path for path in config.responses if not Path(path).expanduser().is_dir()]:
            raise InputError(f"{files[0]} is no run directory and has no reference: say `against`")
        return {path: responses(path, reference=True, thoughts=config.thoughts) for path in config.responses}
    if config.against == "chosen":
        if config.data is None:
            raise InputError("against=chosen needs `data`: the preferences whose chosen responses are met")
        chosen: dict[str, list[str]] = {}
        groups = load_preferences(config.data, ties="drop", media=True)
        for group in groups:
            # a response that won several comparisons is one opponent
            winners = [group.responses[comparison.winner] for comparison in group.comparisons]
            best = [shown_text(response, thoughts=config.thoughts) for response in winners]
            chosen[prompt_text(group.prompt)] = list(dict.fromkeys(best))
        return dict.fromkeys(config.responses, ResponseTexts(chosen, media_by_mark(groups)))
    return dict.fromkeys(config.responses, responses(config.against, thoughts=config.thoughts))


def preview(text: str) -> str:
    """Return the beginning of a text, in one line, for a message."""
    one_line = " ".join(text.split())
    return repr(one_line if len(one_line) <= 60 else f"{one_line[:59]}…")


def run_at(path: str) -> Run:
    """Return the run in a folder. Raises InputError where there is none, or one that did not come to its end."""
    folder = Path(path).expanduser()
    run = read_runs([policy_run(folder)])[0]
    check_finished(folder, "judged")
    return run


def last_samples(run: Run) -> list[SampledPrompt]:
    """Return the samples of the last step at which a run drew any."""
    # earlier steps are of a model that was not yet trained to the end
    last = max((row.step for row in run.samples), default=0)
    return [row for row in run.samples if row.step == last]
