"""Prompts with options of their own: rewards, logps and probes of them keep one contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.errors import InputError
from penchant.losses import preference
from penchant.losses.weak import cross_entropy
from penchant.losses.weak_settings import AdaptiveConfidence, Confidence, Product
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.studies.weak_to_strong.students import prepend_leaked_label
from penchant.types import PromptGroup, Response
from penchant.weak.classifiers.fine_tune import all_logits
from penchant.weak.classifiers.registry import make_classifier
from penchant.weak.classifiers.responses import RewardReading, WordsReading, encode_options, shortened
from penchant.weak.contract import Classifier, Example, in_other_words
from penchant.weak.settings import LanguageModel, Probe, Tfidf

GOOD, BAD = ("fine", "lovely", "warm"), ("dull", "awful", "cold")
TRAINING = {"epochs": 6, "batch_size": 20, "learning_rate": 2e-3, "head_learning_rate": 1e-2}
Make = Callable[[], Classifier]


def _pairs(seed: int, size: int = 60) -> tuple[list[PromptGroup], np.ndarray]:
    """Of two films the one with a good word is preferred."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size)
    rows = []
    for number, label in enumerate(labels):
        options = [f" It was a {rng.choice(BAD)} film.", f" It was a {rng.choice(GOOD)} film."]
        rows.append(PromptGroup(f"Ann saw film {number}.", options if label else options[::-1]))
    return rows, labels


def _lm(stories: str, kind: str, **settings: object) -> LanguageModel:
    return LanguageModel(
        **{"model": stories, "device": "cpu", "training": TRAINING, "reading": {"name": kind}, **settings}
    )


@pytest.fixture(params=["reward", "words", "probe"])
def make(request: pytest.FixtureRequest, stories: str) -> Make:
    specs = {"reward": _lm(stories, "head"), "words": _lm(stories, "words"), "probe": Probe(model=stories, layer=3)}
    return lambda: make_classifier(specs[request.param])


@pytest.mark.slow
def test_the_options_order_does_not_matter(make: Make) -> None:
    """Nearly, for a probe: the mean that it takes off and its bias come from rows in a random order."""
    rows, labels = _pairs(0)
    made = make().fit(rows, labels)
    turned = [PromptGroup(row.prompt, row.responses[::-1]) for row in rows]
    np.testing.assert_allclose(made.predict_proba(turned)[:, ::-1], made.predict_proba(rows), atol=0.1)


def test_soft_labels_of_two_options_are_bradley_and_terrys_loss(stories: str) -> None:
    reading = RewardReading(load_policy(stories, device="cpu", template="plain"), 2, longest=64)
    with torch.no_grad():
        reading.linear.weight.normal_()
    rows, _ = _pairs(0, 12)
    rewards = all_logits(reading, reading.encode(rows))
    first = torch.tensor([1.0, 0.0]).repeat(len(rows), 1)
    zeros = torch.zeros(len(rows))
    expected = preference.dpo(rewards[:, 0], rewards[:, 1], zeros, zeros, beta=1.0)
    torch.testing.assert_close(cross_entropy(rewards, first), expected)


def test_a_reward_is_the_heads_product_with_the_options_last_state(stories: str) -> None:
    policy = load_policy(stories, device="cpu", template="plain")
    reading = RewardReading(policy, 2, longest=64)
    with torch.no_grad():
        reading.linear.weight.normal_()
    rows, _ = _pairs(0, 5)
    for encoded, row in zip(reading.encode(rows), all_logits(reading, reading.encode(rows)), strict=True):
        for branch, reward in zip(encoded.branches, row, strict=True):
            ids = torch.tensor([[*encoded.prompt_ids, *branch.ids]])
            with torch.no_grad():
                state = policy.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0, -1]
                torch.testing.assert_close(reward, reading.linear(state)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("reading", [pytest.param("head", marks=pytest.mark.slow), "words"])
def test_rows_may_have_as_many_options_as_they_like(stories: str, reading: str) -> None:
    rows, labels = _pairs(0)
    third = [PromptGroup(row.prompt, [*row.responses, " It was a cold and awful film."]) for row in rows]
    mixed = [more if number % 3 == 0 else row for number, (row, more) in enumerate(zip(rows, third, strict=True))]
    brief = _lm(stories, reading, training=TRAINING | {"epochs": 3})
    for loss in (Confidence(), AdaptiveConfidence(), Product()) if reading == "head" else (None,):
        made = make_classifier(brief, loss=loss).fit(mixed, labels)
        found = made.predict_proba(mixed)
        assert found.shape == (60, 3)
        assert all(found[number, 2] == 0 for number in range(60) if number % 3)
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
        assert (found.argmax(-1) == labels).mean() > 0.95
    fewer = make_classifier(_lm(stories, reading, training=TRAINING | {"epochs": 1})).fit(rows, labels)
    with pytest.raises(InputError, match="3 options, more than the 2"):
        fewer.predict_proba(third)


def test_options_are_scored_as_responses_are(stories: str) -> None:
    policy = load_policy(stories, device="cpu", template="plain")
    rows = [PromptGroup("Ann saw", ["a dog", "a cat"]), PromptGroup("Tom", ["ran", "sat", "fell"])]
    reading = WordsReading(policy, None, width=3, longest=64, shots=[("Sue", "slept")])
    found = all_logits(reading, reading.encode(rows))
    groups = [
        PromptGroup(f"Sue slept\n\n{row.prompt}", [Response(f" {r.text}", finished=False) for r in row.responses])
        for row in rows
    ]
    for row, expected in zip(found, policy.score(groups), strict=True):
        torch.testing.assert_close(row[: len(expected)], expected, atol=1e-4, rtol=1e-4)
    assert found[0, 2] == -torch.inf


def test_shots_of_options_stand_before_the_prompt(stories: str) -> None:
    rows, labels = _pairs(0)
    shown = _lm(stories, "words", training=None, reading={"name": "words", "shots": 2})
    plain, shots = (make_classifier(one).fit(rows, labels) for one in (_lm(stories, "words", training=None), shown))
    assert not np.allclose(plain.predict_proba(rows), shots.predict_proba(rows))


def test_what_cannot_be_read_is_refused(stories: str) -> None:
    rows, labels = _pairs(0)
    mixed: list[Example] = ["a text", *rows[1:]]
    with pytest.raises(InputError, match="1 of 60 examples have no options"):
        make_classifier(_lm(stories, "head")).fit(mixed, labels)
    with pytest.raises(InputError, match="example 0 has 1 options"):
        make_classifier(_lm(stories, "head")).fit([PromptGroup("Ann", ["ran"])], [0])
    with pytest.raises(InputError, match="reads single texts"):
        make_classifier(Tfidf()).fit(rows, labels)
    third = [PromptGroup(row.prompt, [*row.responses, " It was."]) for row in rows]
    with pytest.raises(InputError, match="compares two options, and here are 3"):
        make_classifier(Probe(model=stories)).fit(third, labels)
    unembedded = LanguageModel(model=stories, device="cpu", reading={"name": "head", "init": "unembedding"})
    with pytest.raises(InputError, match="no tokens 0, 1"):
        make_classifier(unembedded).fit(rows, labels)
    with pytest.raises(InputError, match="the two do not mix"):
        make_classifier(_lm(stories, "words")).fit(rows, labels).predict_proba(["a text"])
    with pytest.raises(InputError, match="labels must lie between 0 and 1"):
        make_classifier(_lm(stories, "head")).fit(rows, np.full(60, 2))


def test_of_long_prompts_both_ends_are_read_and_of_long_options_the_beginning() -> None:
    row = Rendered(tuple(range(20)), (Branch((20, 21, 22), ((0, 3),)), Branch((30,), ((0, 1),))))
    assert shortened(row, 11).prompt_ids == (0, 1, 2, 3, 16, 17, 18, 19)
    assert shortened(row, 100) == row
    cut = shortened(row, 3)
    assert cut.prompt_ids == (19,)
    assert cut.branches[0] == Branch((20, 21), ((0, 2),))
    long = replace(row, branches=(Branch(tuple(range(50)), ((0, 50),)),))
    assert shortened(long, 20).prompt_ids == (0, 1, 17, 18, 19)  # a quarter of all, whatever the options need


@pytest.mark.parametrize("kind", ["head", "words"])
def test_what_is_written_around_a_long_prompt_is_read(stories: str, kind: str) -> None:
    rows = [PromptGroup("Tom saw a dog. " * 200, row.responses) for row in _pairs(0)[0][:20]]
    short = LanguageModel(model=stories, device="cpu", training=TRAINING, reading={"name": kind}, longest=64)
    reading = make_classifier(short).fit(rows, np.arange(20) % 2).reading  # type: ignore[attr-defined]
    around = ("{text} Who is right?", "So much: {text}")
    (plain, *_), after, before = (
        [row.prompt_ids for row in reading.encode([in_other_words(rows[0], form)])] for form in ("{text}", *around)
    )
    assert len({plain, *after, *before}) == 3
    assert reading.policy.renderer.decode((), after[0]).endswith("Who is right?")
    assert "So much: Tom saw" in reading.policy.renderer.decode((), before[0])


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow) for kind in ("head", "words")])
def test_a_student_that_is_told_the_labels_imitates_them(stories: str, kind: str) -> None:
    """Labels that nothing in a row gives away: without the hint there is nothing to learn."""
    rng = np.random.default_rng(0)
    (rows, _), (unseen, _) = _pairs(0), _pairs(1)
    said, later = rng.integers(0, 2, (2, len(rows)))
    agree = []
    for own, other in ((rows, unseen), (prepend_leaked_label(rows, said, ()), prepend_leaked_label(unseen, later, ()))):
        made = make_classifier(_lm(stories, kind)).fit(own, said)
        agree.append((made.predict_proba(other).argmax(-1) == later).mean())
    without, with_hints = agree
    assert without < 0.65
    assert with_hints > 0.75


def test_an_option_longer_than_the_models_context_is_cut(story_policy: Policy) -> None:
    """As comparisons of people have them: the model's own limit must not refuse the row before it is shortened."""
    assert story_policy.context is not None
    short, long = PromptGroup("Tom?", [" A.", " B."]), PromptGroup("Tom?", [" A.", " so long" * story_policy.context])
    rows = encode_options(story_policy, [short, long], 32)
    assert rows[0] == encode_options(story_policy, [short], 10_000)[0]
    assert max(len(rows[1].prompt_ids) + len(branch.ids) for branch in rows[1].branches) == 32
