"""One suite that every judge has to pass, then what each is for."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.judges import Judge, Question, VerdictStore, ask, judge_one, make_judge
from penchant.judges.contract import digest
from penchant.judges.panel import majority
from penchant.judges.settings import JudgeSpec, Reward
from penchant.types import Comparison, PromptGroup, Verdict

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint

PAIRS = [
    Question("How was it?", "It was wonderful and I loved it.", "It was awful."),
    Question("How was it?", "Bad.", "A great and lovely evening with good friends."),
    Question("And then?", "We went home.", "Then it rained, and all of us were sad."),
    Question("Why? {{ 7 * 7 }}", "<script>alert(1)</script>", "No \u202e idea {% raw %}"),
]


def make(**settings: Any) -> Judge:
    return make_judge(TypeAdapter(JudgeSpec).validate_python(settings))


@pytest.fixture
def prefs(tmp_path: Path) -> str:
    """Three people: of the first pair two take the first, of the second all the other, of the third one a tie."""
    groups = [
        PromptGroup(
            asked.prompt,
            [asked.a, asked.b],
            [
                Comparison(int(vote == "b"), int(vote != "b"), tie=vote == "t", annotator=f"person {who}")
                for who, vote in enumerate(votes)
            ],
        )
        for asked, votes in zip(PAIRS, ("aab", "bbb", "abt"), strict=False)
    ]
    write_groups(groups, tmp_path / "prefs.jsonl")
    return str(tmp_path / "prefs.jsonl")


@pytest.fixture(params=["longest", "random", "reward", "policy", "endpoint", "panel", "noisy"])
def judge(request: pytest.FixtureRequest, stories: str) -> Judge:
    settings: dict[str, dict[str, Any]] = {
        "policy": {"model": stories, "device": "cpu"},
        "panel": {"judges": [{"name": "longest"}, {"name": "reward"}, {"name": "random"}]},
        "noisy": {"rate": 0.5},
    }
    if request.param == "endpoint":
        fake: FakeEndpoint = request.getfixturevalue("endpoint")
        return make(name="endpoint", model="m", base_url=fake.url)
    return make(name=request.param, **settings.get(request.param, {}))


def test_every_question_has_one_verdict_and_the_same_again(judge: Judge) -> None:
    found: list[tuple[int, Verdict]] = []
    judge.judge_many(PAIRS, lambda place, verdict: found.append((place, verdict)))
    assert sorted(place for place, _ in found) == [0, 1, 2, 3]
    assert {verdict.winner for _, verdict in found} <= {"a", "b", "tie"}
    again: dict[int, Verdict] = {}
    judge.judge_many(PAIRS, again.__setitem__)
    assert {place: verdict.winner for place, verdict in found} == {p: v.winner for p, v in again.items()}
    assert judge_one(judge, PAIRS[0].prompt, PAIRS[0].a, PAIRS[0].b).winner == again[0].winner
    assert all(verdict.confidence is None or 0 <= verdict.confidence <= 1 for _, verdict in found)
    judge.judge_many([], lambda *_: pytest.fail("nobody asked"))


def test_who_reads_contents_alone_says_the_same_in_both_orders(judge: Judge) -> None:
    if "policy" in judge.identity:
        pytest.skip("a model may prefer a place; that is why both orders are asked")
    assert all(answer.flipped is not True for answer in ask(judge, PAIRS))


def test_an_identity_says_all_that_a_verdict_depends_on(stories: str, prefs: str, tmp_path: Path) -> None:
    other = tmp_path / "other.j2"
    other.write_text("Which? {{ prompt }} {{ a }} {{ b }}")
    (tmp_path / "fewer.jsonl").write_text("\n".join(Path(prefs).read_text().splitlines()[:2]) + "\n")
    several: list[dict[str, Any]] = [
        {"name": "longest"},
        {"name": "random"},
        {"name": "random", "seed": 1},
        {"name": "reward"},
        {"name": "reward", "margin": 0.1},
        {"name": "policy", "model": stories, "device": "cpu"},
        {"name": "policy", "model": stories, "device": "cpu", "margin": 0.1},
        {"name": "policy", "model": stories, "device": "cpu", "template": str(other)},
        {"name": "policy", "model": stories, "device": "cpu", "template": "summary"},
        {"name": "endpoint", "model": "m", "base_url": "http://127.0.0.1:1/v1"},
        {"name": "endpoint", "model": "n", "base_url": "http://127.0.0.1:1/v1"},
        {"name": "endpoint", "model": "m", "base_url": "http://127.0.0.1:1/v1", "temperature": 1.0},
        {"name": "people", "paths": [prefs]},
        {"name": "people", "paths": [str(tmp_path / "fewer.jsonl")]},
        {"name": "noisy"},
        {"name": "noisy", "rate": 0.2},
        {"name": "panel", "judges": [{"name": "longest"}, {"name": "random"}]},
    ]
    assert len({make(**settings).identity for settings in several}) == len(several)


def test_length_chance_and_rewards() -> None:
    lengths = [answer.outcome for answer in ask(make(name="longest"), PAIRS)]
    assert lengths == ["a", "b", "b", "a"]
    assert [answer.outcome for answer in ask(make(name="reward"), PAIRS[:3])] == ["a", "b", "a"]
    near = ask(make(name="reward", margin=10), PAIRS[:3])
    assert [answer.outcome for answer in near] == ["tie"] * 3
    many = [Question(f"p{number}", "x", "y") for number in range(400)]
    heads = [answer.outcome == "a" for answer in ask(make(name="random"), many)]
    assert 160 < sum(heads) < 240
    assert heads != [answer.outcome == "a" for answer in ask(make(name="random", seed=1), many)]


def test_a_noisy_annotator_errs_at_its_rate_whatever_the_order() -> None:
    many = [Question(f"p{number}", "It was good.", "It was bad.") for number in range(400)]
    answers = ask(make(name="noisy", rate=0.25), many)
    assert not any(answer.flipped for answer in answers)
    assert 70 < sum(answer.outcome == "b" for answer in answers) < 130
    assert all(answer.outcome == "a" for answer in ask(make(name="noisy", rate=0), many[:20]))
    assert all(answer.outcome == "b" for answer in ask(make(name="noisy", rate=1), many[:20]))


def test_people_are_found_by_content_in_any_order(prefs: str) -> None:
    people = make(name="people", paths=[prefs])
    assert [answer.outcome for answer in ask(people, PAIRS)] == ["a", "b", "tie", "unparseable"]
    assert [answer.outcome for answer in ask(people, [asked.swapped for asked in PAIRS])] == [
        "b",
        "a",
        "tie",
        "unparseable",
    ]
    (answer,) = ask(people, PAIRS[3:])
    assert answer.first is not None
    assert "nobody compared" in answer.first.transcript
    assert not answer.first.final


def test_a_panel_follows_most_of_its_members() -> None:
    assert majority({"a": 2, "b": 1}) == "a"
    assert majority({"a": 1, "b": 1}) == "tie"
    assert majority({"a": 1, "unparseable": 2}) == "a"
    assert majority({"unparseable": 1}) == "unparseable"
    panel = make(name="panel", judges=[{"name": "longest"}, {"name": "reward"}, {"name": "reward", "margin": 0.01}])
    assert [answer.outcome for answer in ask(panel, PAIRS[:3])] == ["a", "b", "a"]


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"name": "oracle"}, {"name": "noisy", "rate": 2}, {"name": "panel", "judges": [{"name": "longest"}]}):
        with pytest.raises((InputError, ValidationError)):
            make(**wrong)


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_where_one_text_ends_counts(one: list[str], other: list[str]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)


def test_a_reward_model_reads_the_end_of_a_long_prompt_and_says_what_it_cannot_read(
    tiny_model: str, tmp_path: Path
) -> None:
    """Its context has 160 bytes."""
    from transformers import AutoConfig, AutoTokenizer, LlamaForSequenceClassification

    config = AutoConfig.from_pretrained(tiny_model, num_labels=1)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    config.pad_token_id = tokenizer.eos_token_id
    LlamaForSequenceClassification(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    judge = make_judge(Reward(reward=str(tmp_path / "model"), device="cpu"))
    end = "b" * 100
    questions = [
        Question("p", "x", "y"),
        Question("a" * 500 + end, "x" * 60, "y"),
        Question("p", "x" * 200, "y"),
    ]
    verdicts: dict[int, Verdict] = {}
    judge.judge_many(questions, verdicts.__setitem__)
    assert [verdicts[place].winner in ("a", "b") for place in range(3)] == [True, True, False]
    assert "a response alone fills that" in verdicts[2].transcript
    assert verdicts[2].final
    alone: dict[int, Verdict] = {}
    judge.judge_many([Question("c" * 300 + end, "x" * 60, "y")], alone.__setitem__)
    assert alone[0] == verdicts[1]  # what was cut off does not matter


# -- verdicts are kept under the content of who gave them ----------------------------------------------------------


def test_a_function_that_was_edited_is_another_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_judge.py").write_text("from my_factor import FACTOR\ndef f(p): return [FACTOR * len(t) for _, t in p]")
    Path("my_factor.py").write_text("FACTOR = 1")
    with VerdictStore(tmp_path / "store.sqlite") as store:
        for reward in ("my_judge:f", "my_judge.py:f"):
            settings = {"name": "reward", "reward": reward}
            Path("my_factor.py").write_text("FACTOR = 1")
            long = [answer.outcome for answer in ask(make(**settings), PAIRS, store=store)]
            kept = len(store)
            assert [answer.outcome for answer in ask(make(**settings), PAIRS, store=store)] == long
            assert len(store) == kept  # nobody was asked again
            Path("my_factor.py").write_text("FACTOR = -1")  # a file that it imports
            short = [answer.outcome for answer in ask(make(**settings), PAIRS, store=store)]
            assert short == ["b" if one == "a" else "a" for one in long]


def test_a_model_with_other_weights_is_another_judge(tiny_model: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForSequenceClassification

    for labels in (1, 2):
        folder = tmp_path / f"labels-{labels}"
        shutil.copytree(tiny_model, folder)
        torch.manual_seed(0)
        AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=labels).save_pretrained(folder)
        name = f"classifier:{folder}" if labels == 2 else str(folder)
        before = make(name="reward", reward=name, device="cpu").identity
        file = folder / "model.safetensors"
        weights, times = load_file(file), file.stat()
        save_file({key: -value for key, value in weights.items()}, file, {"format": "pt"})
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert file.stat().st_size == times.st_size
        assert make(name="reward", reward=name, device="cpu").identity != before


PARTS_OF_A_MODEL: dict[str, tuple[str, str, object]] = {
    "rotary base": ("config.json", "rope_parameters", {"rope_theta": 5.0, "rope_type": "default"}),
    "chat template": (
        "tokenizer_config.json",
        "chat_template",
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}",
    ),
    "end tokens": ("generation_config.json", "eos_token_id", [256, 10]),
    "decoder": ("tokenizer.json", "decoder", None),
}


@pytest.mark.parametrize("part", PARTS_OF_A_MODEL)
def test_a_model_with_the_same_weights_and_another_part_is_another_judge(
    part: str, tiny_model: str, tmp_path: Path
) -> None:
    file, key, value = PARTS_OF_A_MODEL[part]
    folder, template = shutil.copytree(tiny_model, tmp_path / "model"), tmp_path / "which.j2"
    template.write_text("{{ prompt }}: {{ a }} or {{ b }}?")
    settings: dict[str, Any] = {"name": "policy", "model": str(folder), "template": str(template), "device": "cpu"}
    before = make(**settings)
    assert make(**{**settings, "model": tiny_model}).identity == before.identity  # the place does not count
    content = json.loads((folder / file).read_text())
    assert content.get(key) != value
    (folder / file).write_text(json.dumps({**content, key: value}))
    after = make(**settings)
    assert after.identity != before.identity
    if part in ("rotary base", "chat template"):  # what the judge says is other too
        said = [judge_one(judge, "Say hi", "Hi", "Go").transcript for judge in (before, after)]
        assert said[0] != said[1]


def test_a_policy_judge_is_asked_with_template_args(tiny_model: str, tmp_path: Path) -> None:
    """The scores are those of the text that `transformers` writes with the same arguments, token by token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, asks = shutil.copytree(tiny_model, tmp_path / "model"), tmp_path / "which.j2"
    asks.write_text("{{ prompt }}: {{ a }} or {{ b }}?")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = (
        "{% set mark = '!' if quick else '' %}"
        "{% for m in messages %}[{{ m.role }}]{{ mark if m.role == 'assistant' }}{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{{ mark }}{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    settings: dict[str, Any] = {"name": "policy", "model": str(folder), "template": str(asks), "device": "cpu"}
    network = AutoModelForCausalLM.from_pretrained(folder).eval()
    said, identities = [], set()
    for args in ({}, {"quick": True}):
        judge = make(**settings, template_args=args)
        said.append(judge_one(judge, "Say hi", "Hi", "Go").transcript)
        identities.add(judge.identity)
        sums = []
        for word in ("Verdict: A", "Verdict: B"):
            turns = [{"role": "user", "content": "Say hi: Hi or Go?\n"}]
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **args)
            head, answer = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (text, word))
            with torch.no_grad():
                logps = network(torch.tensor([head + answer])).logits[0].log_softmax(-1)
            sums.append(sum(float(logps[len(head) + place - 1, token]) for place, token in enumerate(answer)))
        kept = [float(number) for number in said[-1].removeprefix("logps ").split(" and ")]
        assert kept == pytest.approx(sums, abs=2e-4)
    assert said[0] != said[1]
    assert len(identities) == 2
    with pytest.raises(InputError, match=r"does not read the argument 'quik'.*quick"):
        make(**settings, template_args={"quik": True})


def test_template_args_that_are_not_given_leave_addresses_as_they_were() -> None:
    for settings in (
        {"name": "policy", "model": "m"},
        {"name": "endpoint", "model": "m"},
    ):
        spec = TypeAdapter(JudgeSpec).validate_python(settings)
        assert "template_args" not in spec.addressed()
        given = spec.replace(template_args={"enable_thinking": False})
        assert given.addressed()["template_args"] == {"enable_thinking": False}


def test_the_version_of_vader_is_in_the_key() -> None:
    assert f" vader {importlib.metadata.version('vaderSentiment')} " in make(name="reward").identity


def test_verdicts_of_an_earlier_version_are_known_still() -> None:
    """Where nothing behind the name can change, the key is the one that c111d53 kept them under."""
    assert make(name="longest").identity == "longest"
    assert make(name="random", seed=3).identity == "random 3"


def test_a_run_that_did_not_end_is_no_judge(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("method: dpo\n")
    with pytest.raises(InputError, match="cannot be a judge: the run did not come to its end"):
        make(name="policy", model=str(tmp_path / "run" / "checkpoint"))


@pytest.mark.parametrize("when", ["import", "call"])
def test_a_judge_that_ends_the_program_is_an_error(
    tmp_path: Path, when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from penchant.cli.main import main

    body = "import sys\nsys.exit(0)\n" if when == "import" else "import sys\ndef f(pairs):\n    sys.exit(0)\n"
    (tmp_path / "leaves.py").write_text(body)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "responses": ["bb", "b"]}\n')
    rows = str(tmp_path / "rows.jsonl")
    judge = f"judge={{name: reward, reward: '{tmp_path}/leaves.py:f'}}"
    assert main(["judge", rows, f"against={rows}", judge, f"out={tmp_path / 'out'}"]) == 2
    assert "leaves.py:f`" in (told := capsys.readouterr().err)
    assert "it ended the program (sys.exit(0))" in told
