"""Bring rows of a study of win rates into one form: prompts alike, none too long, nothing seen twice.

Policies, reward models and the judge then read the same prompt. A judge that reads the whole post would know more than
the author of the summary did.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from penchant.data.merge import merge_groups
from penchant.data.options import RenderOptions
from penchant.data.rendering.renderer import Renderer
from penchant.judges.contract import digest
from penchant.models.load import load_renderer
from penchant.studies.core.job import StageJob
from penchant.studies.core.prompt_stage import content
from penchant.studies.core.stage_settings import StageSettings
from penchant.studies.win_rates.stage_settings import CutSettings
from penchant.types import Prompt, PromptGroup, Response, prompt_text, prompt_turns

REST_OF_WORD = re.compile(r"^\S+")
# 16 hexadecimal digits are 64 bits: among millions of prompts two still differ, and the file stays small.
SEEN, DIGITS = "seen.json", 16
WORDING = {
    "other_turns": "have another number of human turns",
    "prompts_cut": "prompts were cut from the left",
    "prompts_too_long": "prompts are too long (with a chat template none is cut)",
    "responses_too_long": "responses are too long",
    "responses_empty": "responses are empty",
}


@dataclass
class Cutter:
    """A converter of groups into the form in which policies, reward models and judges see them.

    Without a chat template a conversation becomes plain text, a prompt keeps its last `prompt_tokens` tokens, and a
    response begins with a space. Responses that are empty or longer than `response_tokens` go, with their comparisons.
    `counts` says how often what happened.
    """

    renderer: Renderer
    prompt_tokens: int | None
    response_tokens: int | None
    prompt_end: str
    answer_end: str
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def from_settings(cls, settings: CutSettings, model: str) -> Cutter:
        """Return the cutter of a stage; `model` is where its tokenizer lies."""
        rendering = RenderOptions(settings.template, settings.template_args or {})
        renderer, rows = load_renderer(model, rendering=rendering), settings.rows
        return cls(renderer, settings.prompt_tokens, settings.response_tokens, rows.prompt_end, rows.answer_end)

    def cut(self, groups: Sequence[PromptGroup]) -> list[PromptGroup]:
        """Return the groups that are left; those that became one prompt are merged."""
        cut_groups = (self._group(group) for group in groups)
        # Posts that differ in their beginnings alone become one prompt when cut, and must not count as two.
        return merge_groups((group for group in cut_groups if group is not None), counts_add=False).groups

    def explanation(self) -> str:
        """Return what happened, to stand behind a number that is smaller than expected."""
        parts = [f"{self.counts[name]:,} {words}" for name, words in WORDING.items() if self.counts[name]]
        return f": {', '.join(parts)}" if parts else ""

    def _group(self, group: PromptGroup) -> PromptGroup | None:
        prompt = self._prompt(group.prompt)
        if prompt is None:
            self.counts["prompts_too_long"] += 1
            return None
        # Comparisons name their responses by place, and places move up where a response goes.
        cut = enumerate(map(self._response, group.responses))
        responses = {old: response for old, response in cut if response is not None}
        index_of = {old: new for new, old in enumerate(responses)}
        comparisons = [
            replace(comparison, winner=index_of[comparison.winner], loser=index_of[comparison.loser])
            for comparison in group.comparisons
            if comparison.winner in index_of and comparison.loser in index_of
        ]
        return PromptGroup(prompt, list(responses.values()), comparisons, source=group.source)

    def _prompt(self, prompt: Prompt) -> Prompt | None:
        if self.renderer.chat:
            # A template puts its marks around the turns: cut text inside of them would be another conversation.
            fits = self.prompt_tokens is None or len(self.renderer.prompt_ids(prompt)) <= self.prompt_tokens
            return prompt if fits else None
        text = self.renderer.text(prompt)
        # Compared without white space, in which files differ: the ending must not stand there twice.
        if not text.rstrip().endswith(self.prompt_end.strip()):
            text = text.rstrip() + self.prompt_end
        starts = self._starts(text)
        if self.prompt_tokens is None or len(starts) <= self.prompt_tokens:
            return text
        self.counts["prompts_cut"] += 1
        # From the left, since the end has what is asked for (`TL;DR:`). The cut never begins inside of a word,
        # unless nothing else is left of the prompt.
        start = starts[-self.prompt_tokens]
        starts_in_word = not (text[start - 1].isspace() or text[start].isspace())
        words = REST_OF_WORD.sub("", text[start:]) if starts_in_word else text[start:]
        return words if words.strip() else text[start:]

    def _response(self, response: Response) -> Response | None:
        text = response.text.strip().removesuffix(self.answer_end).strip()
        if not self.renderer.chat:
            text = f" {text}"  # as behind `TL;DR:` and `Assistant:`
        if not text.strip():
            self.counts["responses_empty"] += 1
            return None
        if self.response_tokens is not None and len(self._starts(text)) > self.response_tokens:
            self.counts["responses_too_long"] += 1
            return None
        return Response(text)

    def _starts(self, text: str) -> list[int]:
        """Return where each token begins, in characters."""
        read = self.renderer.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return [start for start, _ in read["offset_mapping"]]


def with_human_turns(groups: Sequence[PromptGroup], turns: int | None, counts: Counter[str]) -> Sequence[PromptGroup]:
    """Return the groups whose prompt has so many turns of the human; all of them for None.

    A prompt that is a text is one turn.

    Args:
        counts: gets the number of those left out, as `other_turns`.
    """
    if turns is None:
        return groups
    chosen = [
        group for group in groups if sum(message.role == "user" for message in prompt_turns(group.prompt)) == turns
    ]
    counts["other_turns"] += len(groups) - len(chosen)
    return chosen


def select(groups: Sequence[PromptGroup], skip: int, limit: int | None) -> list[PromptGroup]:
    """Return some of the groups. Their order is the same whatever `skip` and `limit` take of it."""
    # Shuffled, as files are often sorted. One order for all, so that parts that do not overlap share no prompt.
    shuffled = np.random.default_rng(0).permutation(len(groups)).tolist()
    end = None if limit is None else skip + limit
    return [groups[index] for index in shuffled[skip:end]]


def prompt_digests(groups: Sequence[PromptGroup]) -> list[str]:
    """Return a digest of the words of each prompt, by which prompts are told apart."""
    return [digest(content(prompt_text(group.prompt)))[:DIGITS] for group in groups]


def write_seen(folder: Path, *parts: Sequence[PromptGroup]) -> None:
    """Write what this stage's prompts were, whole and cut, so that later stages can leave them out."""
    seen = sorted({key for groups in parts for key in prompt_digests(groups)})
    (folder / SEEN).write_text(json.dumps(seen) + "\n", encoding="utf-8")


def unseen(groups: Sequence[PromptGroup], job: StageJob[StageSettings]) -> list[PromptGroup]:
    """Return the groups without those whose prompt a stage before this one has."""
    # Before and after the cut (`write_seen` has both), so that files with other beginnings of a post do not meet.
    files = [folder / SEEN for folder in job.needs.values() if (folder / SEEN).is_file()]
    seen_digests = {key for file in files for key in json.loads(file.read_text(encoding="utf-8"))}
    return [group for group, key in zip(groups, prompt_digests(groups), strict=True) if key not in seen_digests]
