"""Terms are explained once, where they first stand."""

from __future__ import annotations

import pytest

from penchant.reports.kit.glossary import TERMS, Glossary
from penchant.reports.kit.render import MOST_FACT, leading_facts


def test_a_term_is_explained_where_it_first_stands() -> None:
    glossary = Glossary()
    first = glossary.explain(["DPO reaches 0.3 at a KL of 7 nats."], "no more")
    assert [term for term, _ in first] == ["KL", "nats"]
    assert [term for term, _ in glossary.explain("KL and margin, nats")] == ["margin"]
    assert glossary.explain("margin") == []


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("Mean True reward", "true reward"),
        ("Efficiencies of methods", "efficiency"),
        ("Performance gap recovered", "PGR"),
        ("dpo wins 60% against ref.jsonl", "win rate"),
        ("Krippendorff's alpha of 3 raters", "alpha"),
    ],
)
def test_other_spellings_of_a_term_are_known(text: str, term: str) -> None:
    assert [found for found, _ in Glossary().explain(text)] == [term]


def test_words_that_hold_a_term_are_not_taken_for_it() -> None:
    assert Glossary().explain("alpha 0.5, marginal, KLM, preference") == []
    assert Glossary().explain("the other annotators 80% and longer wins 60%") == []


def test_meanings_are_sentences() -> None:
    assert all(meaning.endswith(".") and len(meaning) < 200 for meaning in TERMS.values())


def test_a_page_names_model_reward_and_data_before_its_numbers() -> None:
    facts = [("Model", "tiny"), ("True reward", "vader"), ("Seeds", "0"), ("Data", "x" * 200)]
    lines = dict(leading_facts(facts, ["DPO", "PPO"]))
    assert list(lines) == ["Methods", "Model", "True reward", "Data"]
    assert lines["Methods"] == "DPO and PPO"
    assert len(lines["Data"]) == MOST_FACT
    # the task is the first of them
    assert list(dict(leading_facts([("Task", "summarize"), *facts], ["DPO"])))[:3] == ["Task", "Methods", "Model"]
