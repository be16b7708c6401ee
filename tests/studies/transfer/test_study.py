"""The study of transfer: who is measured where, by what, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.config import load_config, to_yaml
from penchant.engine.reference import Reference, sequence_kl
from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.studies.core.definition import preset_file
from penchant.studies.core.executor import Workers
from penchant.studies.core.prompt_stage import content
from penchant.studies.core.prompts import locate_prompts
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.transfer.grid import DRAWS_SEED, TransferGrid, transfer_grid
from penchant.studies.transfer.settings import TransferConfig
from penchant.types import PromptGroup

OTHERS = ("Sun shines today", "ann went OUT", "Rain falls again", "Snow is here", "Fog all day")
RATED = "".join(f"{number}\t{1.5 - number}\t{text}\n" for number, text in enumerate(OTHERS))
NEWS = "Taxes rise.\nPrices fall.\nBanks close early.\n"


@pytest.fixture(scope="module")
def base(settings: dict[str, Any], inputs: Path) -> dict[str, Any]:
    (inputs / "weather.txt").write_text(RATED)
    (inputs / "news.txt").write_text(NEWS)
    changes = {
        "dpo": {"beta": [0.1], "learning_rate": 3e-3},
        "domains": {"weather": {"path": str(inputs / "weather.txt"), "prefix_tokens": [4, 6]}, "<b>news": "news.txt"},
        "temperatures": [0, 1],
        "evaluation": {"times": 1, "samples": 3, "reference_samples": 16},
        "own": "names",
    }
    changes["domains"]["<b>news"] = str(inputs / "news.txt")  # type: ignore[index]
    return {**settings, **changes}


@pytest.fixture
def make(base: dict[str, Any], tmp_path: Path) -> Callable[..., TransferConfig]:
    """`make(dpo=None)` is the configuration with changes, in a folder of the test's own."""
    return lambda **changes: TransferConfig(**{**base, "out": str(tmp_path / "study"), **changes})


@pytest.fixture(scope="module")
def config(base: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> TransferConfig:
    return TransferConfig(**base, out=str(tmp_path_factory.mktemp("transfer") / "study"))


@pytest.fixture(scope="module")
def result(config: TransferConfig, workers: Workers) -> StudyResult:
    return run_study(config, workers=workers)


def named(study: dict[str, Any], name: str) -> dict[str, Any]:
    return next(method for method in study["methods"] if method["name"] == name)


def cell(method: dict[str, Any], domain: str, temperature: float) -> dict[str, Any]:
    return next(one for one in method["cells"] if (one["domain"], one["temperature"]) == (domain, temperature))


def test_every_run_meets_every_domain(config: TransferConfig) -> None:
    built = transfer_grid(config)
    assert list(built.prompts) == ["names", "weather", "<b>news"]
    assert [run.kind for run, _ in built.measured] == ["dpo", "preferred_ft", "unlikelihood"]
    assert all(list(cells) == list(built.prompts) for _, cells in built.measured)
    labels = [task.label for task in built.stages()]
    assert len(labels) == len(set(labels)) == len({task.address for task in built.stages()})
    assert all(label.replace("-", "").replace(".", "").isalnum() for label in labels)
    order = [task.address for task in built.stages()]
    for task in built.stages():
        assert all(order.index(need.address) < order.index(task.address) for need in task.needs.values())


def changed(before: TransferGrid, after: TransferGrid) -> set[str]:
    known = {task.address for task in before.stages()}
    return {task.label for task in after.stages() if task.address not in known}


def test_what_is_set_decides_which_stages_are_new(make: Callable[..., TransferConfig], base: dict[str, Any]) -> None:
    before = transfer_grid(make())
    measured = {task.label for _, cells in before.measured for task in cells.values()}
    reference = {task.label for task in before.reference.values()}
    assert changed(before, transfer_grid(make(temperatures=[0, 0.5, 1]))) == measured | reference
    assert changed(before, transfer_grid(make(own="another name"))) == set()
    assert changed(before, transfer_grid(make(best_of_n=None))) == set()
    few = {**base["evaluation"], "reference_samples": 17}
    assert changed(before, transfer_grid(make(evaluation=few))) == reference
    fewer = {**base["domains"], "weather": {**base["domains"]["weather"], "limit": 3}}
    weather = {label for label in measured | reference if label.endswith("-on-1")}
    assert changed(before, transfer_grid(make(domains=fewer))) == weather | {"prompts-1"}
    less = {"beta": [0.5], "learning_rate": 3e-3}
    new = changed(before, transfer_grid(make(dpo=less)))
    assert new == {"dpo-beta-0.5-seed-0", *(f"dpo-beta-0.5-seed-0-on-{number}" for number in range(3))}


def test_what_is_trained_on_is_never_measured(result: StudyResult) -> None:
    """`ann went OUT` is the text of a prompt that is trained on, and no prefix of it may be measured either."""
    domains = {domain["name"]: domain for domain in result.numbers["domains"]}
    assert domains["names"]["own"]
    assert (domains["weather"]["prompts"], domains["weather"]["also_trained_on"]) == (4, 1)
    (folder,) = (result.path / "stages").glob("prompts-1-*")
    train, measured = (
        {json.loads(line)["prompt"] for line in (folder / f"{role}.jsonl").read_text().splitlines()}
        for role in ("train", "eval")
    )
    assert not {content(text) for text in train} & {content(text) for text in measured}
    for prompt in measured:
        assert 4 <= len(prompt) <= 6  # a byte is a token here
        assert any(text.startswith(prompt) for text in OTHERS)
        assert not prompt.lower().startswith("ann")


def test_the_numbers(result: StudyResult) -> None:
    study = result.numbers
    assert not result.failures
    assert study == json.loads((result.path / "study.json").read_text())
    assert [method["name"] for method in study["methods"]] == ["dpo", "preferred_ft", "unlikelihood"] + [
        "best_of_n"
    ] * 3
    assert (study["temperatures"], study["home"]) == ([0, 1], 1)
    for method in study["methods"]:
        assert len(method["cells"]) == 3 * 2
        for one in method["cells"]:
            assert 0 <= one["reward"]["value"] <= 1
            if one["reward"]["low"] is None:
                assert one["reward"]["reason"] == f"no interval: {one['reward']['clusters']} prompts"
            else:  # all the same: exact
                assert one["reward"]["value"] in (one["reward"]["low"], one["reward"]["high"])
            assert (one["kl_nats"] is None) == (one["temperature"] == 0)
        home = method["at_home"]
        assert home["lost"]["value"] == pytest.approx(home["own"]["value"] - home["others"]["value"])
        away = [cell(method, name, 1)["change"]["value"] for name in ("weather", "<b>news")]
        assert home["others"]["value"] == pytest.approx(sum(away) / 2)  # each domain counts the same
    first, *_, best = (method for method in study["methods"] if method["name"] == "best_of_n")
    for one in first["cells"]:
        assert one["change"]["value"] == pytest.approx(0, abs=1e-12)  # the best of one is the reference
    assert cell(best, "weather", 1)["change"]["value"] > 0.01
    assert cell(best, "weather", 0)["change"]["value"] == 0  # at 0 all samples are the same
    assert cell(named(study, "dpo"), "weather", 1)["kl_nats"]["value"] > 0.001


def test_rewards_and_kl_are_those_of_the_models(result: StudyResult, config: TransferConfig) -> None:
    """By hand: sample the checkpoint again, count letters, walk the KL along the samples."""
    (run,) = (result.path / "runs").glob("dpo-beta-0.1-seed-0-*")
    (folder,) = (result.path / "stages").glob("prompts-2-*")
    prompts = [json.loads(line)["prompt"] for line in (folder / "eval.jsonl").read_text().splitlines()]
    policy, start = (
        pt.load_policy(name, template="plain", device="cpu") for name in (run / "checkpoint", config.model.name)
    )
    seed = config.evaluation.seed + DRAWS_SEED
    drawn = policy.draw(prompts, Sampling(3, 1.0, config.max_new_tokens, seed=seed))
    letters = [sum(s.isascii() and s.isalpha() for s in r.text) / max(1, len(r.text)) for row in drawn for r in row]
    found = cell(named(result.numbers, "dpo"), "<b>news", 1)
    assert found["reward"]["value"] == pytest.approx(np.mean(letters))
    rendered = [policy.renderer.render(PromptGroup(p, row)) for p, row in zip(prompts, drawn, strict=True)]
    kl = [float(one) for row in sequence_kl(policy.scorer, Reference(start.scorer, False), rendered) for one in row]
    assert found["kl_nats"]["value"] == pytest.approx(np.mean(kl), rel=1e-4)


def test_a_second_call_runs_nothing_and_a_new_domain_only_itself(
    result: StudyResult, config: TransferConfig, base: dict[str, Any], inputs: Path, workers: Workers
) -> None:
    assert run_study(config, workers=workers).ran == 0
    (inputs / "more.txt").write_text("Dogs bark.\nCats sleep.\n")
    wider = TransferConfig(
        **{**base, "domains": {**base["domains"], "pets": str(inputs / "more.txt")}}, out=str(config.out)
    )
    again = run_study(wider, workers=workers)
    assert again.ran == 1 + 1 + 3  # its prompts, the reference, three runs
    assert [domain["name"] for domain in again.numbers["domains"]] == ["names", "weather", "<b>news", "pets"]


@pytest.mark.slow
def test_a_missing_or_empty_domain_fails_alone(
    make: Callable[..., TransferConfig], inputs: Path, workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "known.txt").write_text((inputs / "train.txt").read_text().upper())
    domains = {
        "good": str(inputs / "news.txt"),
        "missing": str(tmp_path / "nowhere.txt"),
        "empty": str(tmp_path / "empty.txt"),
        "known": str(tmp_path / "known.txt"),
    }
    with pytest.raises(InputError, match=r"nowhere.txt: no such file"):  # before anything runs
        run_study(make(domains=domains, preferred_ft=None, unlikelihood=None), workers=workers)
    del domains["missing"]
    result = run_study(make(domains=domains, preferred_ft=None, unlikelihood=None), workers=workers)
    reasons = dict(result.failures)
    assert "empty" in reasons["prompts-2"]
    assert "every one of the 6" in reasons["prompts-3"]
    assert {one["domain"] for one in named(result.numbers, "dpo")["cells"]} == {"names", "good"}
    assert [domain["prompts"] for domain in result.numbers["domains"]] == [4, 3, None, None]


def test_bad_settings_are_refused(
    make: Callable[..., TransferConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="`domains`"):
        make(domains={})
    with pytest.raises(InputError, match="already names"):
        make(domains={"names": "x.txt"})
    with pytest.raises(InputError, match="temperatures"):
        make(temperatures=[-1])
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path))
    with pytest.raises(InputError, match="Set PENCHANT_DATA to the folder"):
        transfer_grid(make(domains={"tweets": "data:vader/tweets.txt"}))
    (tmp_path / "tweets.txt").write_text("Yay!\n")
    assert locate_prompts("data:tweets.txt") == str((tmp_path / "tweets.txt").resolve())


@pytest.mark.slow
def test_after_sft_seeds_are_averaged_and_ppo_takes_part(
    make: Callable[..., TransferConfig], inputs: Path, workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "sft.jsonl").write_text('{"prompt": "Ann", "completion": "xyz"}\n' * 4)
    ppo = {"target_nats": [1], "learning_rate": 1e-3, "steps": 2, "prompts_per_step": 3, "samples_per_prompt": 2}
    changes: dict[str, Any] = {
        "sft": {"data": str(tmp_path / "sft.jsonl"), "learning_rate": 1e-2},
        "seeds": [0, 1],
        "domains": {"news": str(inputs / "news.txt")},
        "dpo": None,
        "preferred_ft": None,
        "unlikelihood": None,
        "best_of_n": None,
        "reward_model": {"learning_rate": 1e-3},
        "ppo": ppo,
        "temperatures": [1],
    }
    result = run_study(make(**changes), workers=workers)
    assert not result.failures
    (method,) = result.numbers["methods"]
    assert (method["label"], method["seeds"]) == ("PPO", 2)
    rewards = []
    for seed in (0, 1):
        (folder,) = (result.path / "stages").glob(f"ppo-target-nats-1-seed-{seed}-on-1-*")
        rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
        rewards.append(np.mean([row["rewards"] for row in rows]))
    assert cell(method, "news", 1)["reward"]["value"] == pytest.approx(np.mean(rewards))
    (sft,) = (result.path / "stages").glob("sft-*")
    (folder,) = (result.path / "stages").glob("reference-on-1-*")
    first = json.loads((folder / "samples.jsonl").read_text().splitlines()[0])
    start = pt.load_policy(sft / "checkpoint", template="plain", device="cpu")
    (drawn,) = start.draw([first["prompt"]], Sampling(16, 1.0, 6, seed=10_000 + DRAWS_SEED))
    assert [response.text for response in drawn] == first["texts"]


def test_settings_of_one_domain_change_alone(config: TransferConfig, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(to_yaml(config))
    changed = load_config(
        TransferConfig, tmp_path / "study.yaml", ["domains.weather.limit=2", "domains.pets.path=x.txt"]
    )
    assert changed.domains["weather"] == config.domains["weather"].replace(limit=2)
    assert changed.domains["<b>news"] == config.domains["<b>news"]
    assert changed.domains["pets"].path == "x.txt"
    with pytest.raises(InputError, match=r"`domains.weather.limitt`"):
        load_config(TransferConfig, tmp_path / "study.yaml", ["domains.weather.limitt=2"])


def test_the_command_runs_and_reports(
    result: StudyResult, config: TransferConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_text(to_yaml(config.replace(out=None)))
    page = tmp_path / "page.html"
    assert main(["study", "transfer", str(tmp_path / "study.yaml"), "-o", str(config.out), "--report", str(page)]) == 0
    assert "0 stages run" in capsys.readouterr().out
    html = page.read_text()
    assert "Transfer: how much of the gain carries over to other domains" in html
    assert "&lt;b&gt;news" in html
    assert "<b>news" not in html


def test_the_preset_reads_the_shared_data_and_can_be_changed_by_domain(
    shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tweets = shared_data("vader/tweets_GroundTruth.txt.gz")
    monkeypatch.setenv("PENCHANT_DATA", str(tweets.parent.parent))
    changes = ["domains.news.limit=8", "domains.tweets=other.txt", "domains.tweets.skip=3", "domains.pets=pets.txt"]
    config = load_config(TransferConfig, preset_file("transfer", "transfer"), changes)
    assert list(config.domains) == ["product reviews", "news", "tweets", "pets"]
    assert (config.domains["news"].limit, config.domains["news"].prefix_tokens) == (8, (2, 8))
    assert (config.domains["tweets"].path, config.domains["tweets"].skip) == ("other.txt", 3)
    built = transfer_grid(load_config(TransferConfig, preset_file("transfer", "transfer")))
    assert built.prompts["tweets"].inputs["eval"] == str(tweets.resolve())
    assert [run.kind for run, _ in built.measured] == ["dpo", "preferred_ft", "unlikelihood", "ppo", "ppo_gt"]
