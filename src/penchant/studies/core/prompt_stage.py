"""The stage that reads prompts: those to train on, and those to measure on that have nothing in common with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penchant.data.load import load_demonstrations, load_prompts
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.models.load import load_renderer
from penchant.studies.core.job import StageJob
from penchant.studies.core.rated import rated_texts
from penchant.studies.core.stage_settings import PromptSource, PromptsSettings
from penchant.train.plan import split_key
from penchant.types import Prompt, PromptGroup, prompt_text

WORD = re.compile(r"\w+")


class Opening(NamedTuple):
    """A prompt and the text that it was cut from: itself, where nothing was cut."""

    prompt: Prompt
    text: str

    @property
    def contents(self) -> tuple[str, str]:
        """The words of the prompt and of its text; two openings that share either are the same."""
        return content(prompt_text(self.prompt)), content(self.text)


def content(text: str) -> str:
    """Return a text's words without case, spaces and punctuation; the text itself where it has no words."""
    return " ".join(WORD.findall(text.casefold())) or text


def prompts_stage(job: StageJob[PromptsSettings], folder: Path) -> dict[str, object]:
    """Write `train.jsonl` and `eval.jsonl`: nothing that is trained on is measured on, nor another part of its text.

    Raises:
        InputError: nothing to read, or nothing left to measure on.
    """
    train, candidates = (
        _openings(job.inputs[role], source, job.inputs["model"])
        for role, source in (("train", job.settings.train), ("eval", job.settings.eval))
    )
    # by words, and of the whole text too: two prefixes of one text are not the same prompt, but a model that learned to
    # go on from the one has seen the other
    trained_contents = {words for opening in train for words in opening.contents}
    unseen = [opening for opening in candidates if trained_contents.isdisjoint(opening.contents)]
    if not unseen:
        raise InputError(f"every one of the {len(candidates)} eval_prompts is among the prompts to train on")
    for role, openings in (("train", train), ("eval", unseen)):
        write_groups([PromptGroup(opening.prompt) for opening in openings], folder / f"{role}.jsonl")
    return {"train": len(train), "eval": len(unseen), "also_trained_on": len(candidates) - len(unseen)}


def _openings(path: str, source: PromptSource, model: str) -> list[Opening]:
    end = None if source.limit is None else source.skip + source.limit
    if source.prefix_tokens is not None:
        openings = _prefixes(path, source, end, source.prefix_tokens, model)
    else:
        openings = [Opening(prompt, prompt_text(prompt)) for prompt in _prompts(path, source.split, end)]
        openings = openings[source.skip :]
    if not openings:
        raise InputError(f"{path} has no more than {source.skip} prompts, and so many are skipped")
    return openings


def _prompts(path: str, split: str, end: int | None) -> Sequence[Prompt]:
    rated = rated_texts(path)
    if rated is not None:
        # repeats are dropped before the limit, which counts prompts
        return list(dict.fromkeys(rated))[:end]
    return [group.prompt for group in load_prompts(path, split=split, limit=end)]


def _prefixes(path: str, source: PromptSource, end: int | None, tokens: tuple[int, int], model: str) -> list[Opening]:
    """Cut each text after its first tokens, as the model's tokenizer counts them; prefixes that repeat count once.

    The texts are shuffled before `skip` and `limit` take a part of them.
    """
    # the paper's sentiment prompts are such prefixes, of 2 to 8 tokens of film reviews
    low, high = tokens
    tokenizer = load_renderer(model, template="plain").tokenizer
    texts = rated_texts(path)
    if texts is None:  # its own limit counts prompts, of which plain texts have none
        texts = [split_key(group) for group in load_demonstrations(path, split=source.split, merge=False)]
    # data sets of texts are often sorted by label; in one order whatever `skip` and `limit` are, so that the parts of
    # two settings do not overlap
    shuffled = np.random.default_rng(0).permutation(len(texts))
    texts = [texts[index] for index in shuffled.tolist()][:end]
    # a fixed seed for each part of the texts: the same settings always cut the same prompts
    lengths = np.random.default_rng(source.skip).integers(low, high + 1, len(texts))
    cut: dict[str, str] = {}
    for text, length in zip(texts[source.skip :], lengths.tolist(), strict=False):
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        if len(offsets) > length:  # else nothing is left to continue
            # cut in the text at a token's end, so that the prompt is to the letter a beginning of its text
            cut.setdefault(text[: offsets[length - 1][1]], text)
    return [Opening(prompt, text) for prompt, text in cut.items()]
