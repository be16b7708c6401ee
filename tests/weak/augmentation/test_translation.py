"""Back-translation by any policy: both prompts, what gets lost on the way, copies, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.types import PromptGroup, Response
from penchant.weak.augmentation import translation
from penchant.weak.augmentation.settings import BackTranslation, Views
from penchant.weak.augmentation.texts import augment
from penchant.weak.classifiers.text_network import TextViews
from penchant.weak.networks.streams import UNLABELED, Stream

ENGLISH = {"le chat": "the cat", "un homme": "one man", "la pluie": ""}
FRENCH = {"a cat": "le chat", "a man": "un homme", "rain": "la pluie", "?": ""}


class Translator:
    """A policy that knows three words, and goes on behind its answer as base models do."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], Sampling]] = []

    def sample(self, prompts: Sequence[str], sampling: Sampling) -> list[PromptGroup]:
        self.calls.append((list(prompts), sampling))
        pages = [FRENCH if prompt.startswith("to French") else ENGLISH for prompt in prompts]
        answers = [page[prompt.partition(": ")[2]] for page, prompt in zip(pages, prompts, strict=True)]
        return [
            PromptGroup(prompt, [Response(f" {answer}\nEnglish: more")] if answer else [Response("")])
            for prompt, answer in zip(prompts, answers, strict=True)
        ]


@pytest.fixture
def translator(monkeypatch: pytest.MonkeyPatch) -> Translator:
    made = Translator()
    monkeypatch.setattr(translation, "load_policy", lambda model: made)
    return made


SETTINGS = BackTranslation(model="any", there="to French: {text}", back="to English: {text}", temperature=0.5)


def test_texts_go_there_and_back_and_what_gets_lost_stays(translator: Translator) -> None:
    assert augment(["a cat", "rain", "?", "a man"], [SETTINGS], 7) == ["the cat", "rain", "?", "one man"]
    (there, sampling), (back, way_back) = translator.calls
    assert there == ["to French: a cat", "to French: rain", "to French: ?", "to French: a man"]
    # what has no translation is not asked for
    assert back == ["to English: le chat", "to English: la pluie", "to English: un homme"]
    assert (sampling.seed, way_back.seed, sampling.temperature) == (7, 8, 0.5)


def test_a_fine_tuned_model_has_it_once_for_each_copy(translator: Translator) -> None:
    views = TextViews(["a cat", "a man"], Views(strong=[SETTINGS], copies=3), 0)
    assert len(translator.calls) == 6
    assert views.pick([1, 0], "strong", Stream([0], UNLABELED)) == ["one man", "the cat"]
    assert len(translator.calls) == 6


def test_what_changes_nothing_or_has_no_place_for_the_text_is_refused(translator: Translator) -> None:
    with pytest.raises(InputError, match="back_translation by any changes none of the 2 examples"):
        augment(["rain", "?"], [SETTINGS], 0)
    with pytest.raises(InputError, match="there"):
        BackTranslation(model="any", there="in French, please")


def test_a_real_model_says_something_else_and_the_same_twice(stories: str) -> None:
    texts = ["Tom was glad", "a cat ran home"]
    settings = BackTranslation(model=stories, there="{text} and then", back="{text} so", max_new_tokens=6)
    changed = augment(texts, [settings], 3)
    assert changed != texts
    assert changed == augment(texts, [settings], 3)
    assert all(isinstance(text, str) and text for text in changed)
