"""`penchant judge`: files and runs against each other, what is refused, and what is kept."""

from __future__ import annotations

import json
import re
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penchant.cli.main import main
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.judges import VerdictStore
from penchant.judges.compare import runs
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.contract import Question
from penchant.typed_json import to_object
from penchant.types import Comparison, PromptGroup, Response, Verdict

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint


def judge(config: JudgeConfig) -> dict[str, Any]:
    """The content of `judge.json`."""
    return to_object(runs.judge(config))


PROMPTS = [f"How was film {number}?" for number in range(16)]


def _write(path: Path, texts: list[str], prompts: list[str] = PROMPTS) -> str:
    write_groups([PromptGroup(prompt, [text]) for prompt, text in zip(prompts, texts, strict=True)], path)
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Kind answers, unkind ones, and ones with markup that are kind in every other row."""
    return {
        "kind": _write(tmp_path / "kind.jsonl", [f"It was wonderful, {n}." for n in range(16)]),
        "unkind": _write(tmp_path / "unkind.jsonl", [f"It was quite awful and very sad, {n}." for n in range(16)]),
        "mixed": _write(
            tmp_path / "mixed.jsonl",
            [
                f"<script>alert({n})</script> {'Lovely, I love it!' if n % 2 else 'Horrible! I hate it, the worst!'}"
                for n in range(16)
            ],
        ),
    }


def test_two_files_against_a_third(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "judged"
    arguments = [files["kind"], files["mixed"], f"against={files['unkind']}", "judge=reward", f"out={out}"]
    assert main(["judge", *arguments]) == 0
    told = capsys.readouterr().out
    assert "kind.jsonl: wins 100%" in told
    assert "kind.jsonl minus mixed.jsonl" in told
    numbers = json.loads((out / "judge.json").read_text())
    assert numbers["methods"]["kind.jsonl"]["win_rate"]["wins"]["value"] == 1
    assert 0.4 < numbers["methods"]["mixed.jsonl"]["win_rate"]["rate"]["value"] < 0.8
    assert numbers["baselines"]["longest"]["kind.jsonl"]["rate"]["value"] == 0
    (test,) = numbers["tests"]
    assert test["p"] == test["p_holm"]
    assert test["p"] < 0.05
    page = (out / "report.html").read_text()
    assert "Who wins against" in page
    assert page.count("<script") == 1  # ours, which saves figures
    assert "&lt;script&gt;alert(" in page
    with VerdictStore(out / "judgments.sqlite") as store:
        assert len(store) == 64


def test_another_comparison_in_the_folder_is_told_and_the_same_is_not(
    files: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "judged"
    one = ["judge", files["kind"], f"against={files['unkind']}", "judge=reward", f"out={out}"]
    other = ["judge", files["mixed"], f"against={files['unkind']}", "judge=reward", f"out={out}"]
    for arguments, warned in ((one, False), (one, False), (other, True)):
        caplog.clear()
        assert main(arguments) == 0
        assert ("compared kind.jsonl with unkind.jsonl; they are replaced" in caplog.text) == warned


@pytest.fixture(scope="module")
def trained(stories: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run of a real model with samples of 6 held-out prompts, twice a prompt, and its data."""
    folder = tmp_path_factory.mktemp("trained")
    groups = [PromptGroup(p, [" It was good.", " It was bad."], [Comparison(0, 1)]) for p in PROMPTS]
    data, run = str(folder / "prefs.jsonl"), str(folder / "run")
    write_groups(groups, data)
    settings = ["optimizer.learning_rate=1e-3", "evaluate.samples.n=2", "evaluate.samples.max_new_tokens=8"]
    assert main(["train", "dpo", f"model={stories}", f"data={data}", "data.held_out=6", *settings, f"out={run}"]) == 0
    return {"run": run, "data": data}


def test_a_run_against_its_reference_and_against_what_people_chose(trained: dict[str, str], tmp_path: Path) -> None:
    run, data = trained["run"], trained["data"]
    found = judge(JudgeConfig(responses=[run], judge="longest", out=str(tmp_path / "a"), n=2))
    (one,) = found["methods"].values()
    assert found["prompts"] == 6
    assert one["win_rate"]["rate"]["n"] == 12
    held = judge(JudgeConfig(responses=[run], against="chosen", data=data, judge="reward", out=str(tmp_path / "b")))
    assert held["methods"]["run"]["win_rate"]["rate"]["n"] == 6


def test_a_run_at_temperatures(trained: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Drawn from the checkpoint: as the run's own samples where temperature and seed are theirs, kept, and tested
    against another run at the same temperature only."""
    run, out = Path(trained["run"]), tmp_path / "out"
    twin = tmp_path / "twin"
    twin.symlink_to(run, target_is_directory=True)
    words = [str(run), str(twin), "judge=reward", "temperatures=[0,1]", "n=2", "device=cpu", f"out={out}"]
    assert main(["judge", *words]) == 0
    numbers = json.loads((out / "judge.json").read_text())
    pairs = {name: one["win_rate"]["rate"]["n"] for name, one in numbers["methods"].items()}
    assert pairs == {"run at 0": 6, "run at 1": 12, "twin at 0": 6, "twin at 1": 12}
    assert [(test["one"], test["other"]) for test in numbers["tests"]] == [
        ("run at 0", "twin at 0"),
        ("run at 1", "twin at 1"),
    ]
    assert {test["p"] for test in numbers["tests"]} == {1.0}
    (hot,) = (out / "drawn").glob("1-*.jsonl")
    last = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()][-6:]
    kept = [json.loads(line) for line in hot.read_text().splitlines()]
    assert [[draw["text"] for draw in row["responses"]] for row in kept] == [
        [draw["text"] for draw in row["policy"]] for row in last
    ]
    for name in ("temperatures", "equal-lengths", "longest"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 5000
    times = {file: file.stat().st_mtime_ns for file in (out / "drawn").iterdir()}
    again = judge(JudgeConfig(responses=[str(run)], judge="reward", temperatures=(0, 1), n=2, out=str(out)))
    assert again["methods"]["run at 1"]["win_rate"] == numbers["methods"]["run at 1"]["win_rate"]
    assert {file: file.stat().st_mtime_ns for file in (out / "drawn").iterdir()} == times


@pytest.mark.slow
def test_every_setting_of_temperatures_counts(trained: dict[str, str], tmp_path: Path) -> None:
    base = {"responses": [trained["run"]], "judge": "longest", "temperatures": (1,), "out": str(tmp_path / "out")}

    def texts(**settings: Any) -> list[str]:
        """What is drawn that was not there."""
        before = set(tmp_path.glob("out/drawn/*"))
        judge(JudgeConfig(**{**base, **settings}))
        (file,) = set(tmp_path.glob("out/drawn/*")) - before
        return file.read_text().splitlines()

    first = texts()
    assert len(texts(limit=2)) == 2
    assert texts(seed=1) != first
    assert all(len(json.loads(row)["responses"][0]["token_ids"]) <= 3 for row in texts(max_new_tokens=3))
    asked = _write(tmp_path / "asked.jsonl", [" It was."] * 3, ["Was it a dog?", "Was it a cat?", "Was it?"])
    other = texts(prompts=asked, against=asked)
    assert json.loads(other[0])["prompt"] == "Was it a dog?"


@pytest.mark.parametrize("recorded", ["trained", "null"])
def test_a_length_that_the_run_found_out_is_that_of_its_samples(
    trained: dict[str, str], tmp_path: Path, recorded: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained["run"], run)
    settings = (run / "config.yaml").read_text()
    length = re.search(r"max_new_tokens: (\d+)", settings)
    assert length is not None
    (run / "config.yaml").write_text(settings.replace(length[0], f"max_new_tokens: {recorded}"))
    (run / "SHA256SUMS").unlink()
    judge(JudgeConfig(responses=[str(run)], judge="longest", temperatures=(0,), limit=1, out=str(tmp_path / "out")))
    (file,) = tmp_path.glob("out/drawn/*")
    assert len(json.loads(file.read_text())["responses"][0]["token_ids"]) == int(length[1])


def test_a_runs_own_settings_do_not_decide_that_its_code_runs(trained: dict[str, str], tmp_path: Path) -> None:
    run = tmp_path / "downloaded"
    shutil.copytree(trained["run"], run)
    (run / "config.yaml").write_text(
        (run / "config.yaml").read_text().replace("trust_remote_code: false", "trust_remote_code: true")
    )
    assert "trust_remote_code: true" in (run / "config.yaml").read_text()
    checkpoint = run / "checkpoint"
    settings = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "own_code.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own-llama'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    classes = {"AutoConfig": "own_code.OwnConfig", "AutoModelForCausalLM": "own_code.OwnModel"}
    (checkpoint / "config.json").write_text(json.dumps(settings | {"model_type": "own-llama", "auto_map": classes}))
    for sums in run.rglob("SHA256SUMS"):
        sums.unlink()  # whoever changes a run writes no sums, or his own
    asked = {"responses": [str(run)], "judge": "longest", "temperatures": (0,), "out": str(tmp_path / "out")}
    with pytest.raises(InputError, match="code of its own, which runs only where you say so: set `trust_remote_code"):
        judge(JudgeConfig(**asked))
    assert not (tmp_path / "ran").exists()
    assert judge(JudgeConfig(**asked, trust_remote_code=True))["prompts"] == 6
    assert (tmp_path / "ran").exists()


def test_verdicts_are_for_their_owner_alone(files: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "judged"
    out.mkdir()
    (out / "judgments.sqlite").touch(0o644)  # as an earlier version made it
    judge(JudgeConfig(responses=[files["kind"]], against=files["unkind"], judge="longest", out=str(out)))
    assert [stat.S_IMODE(file.stat().st_mode) for file in out.glob("judgments.sqlite*")] == [0o600]
    with VerdictStore(tmp_path / "new" / "store.sqlite") as store:
        store.keep("judge", Question("a", "b", "c"), Verdict("a"))
        modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()}
        assert modes == {0o600}
        assert len(list((tmp_path / "new").iterdir())) == 3  # its log too


def test_what_cannot_be_drawn_is_refused(trained: dict[str, str], files: dict[str, str], tmp_path: Path) -> None:
    base = {"judge": "longest", "temperatures": (0,), "out": str(tmp_path / "out")}
    with pytest.raises(InputError, match="is no run directory, and temperatures need"):
        judge(JudgeConfig(responses=[files["kind"]], against=files["kind"], **base))
    with pytest.raises(InputError, match="leave no room for 600 tokens in the context of 512"):
        judge(JudgeConfig(responses=[trained["run"]], max_new_tokens=600, **base))
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.yaml", "metrics.jsonl", "samples.jsonl"):
        shutil.copy(Path(trained["run"]) / name, copy)
    for temperatures in ((0,), ()):
        with pytest.raises(InputError, match=r"cannot be judged: the run did not come to its end \(no result.json\)"):
            judge(JudgeConfig(responses=[str(copy)], **{**base, "temperatures": temperatures}))
    shutil.copy(Path(trained["run"]) / "result.json", copy)
    with pytest.raises(InputError, match="has no checkpoint to draw from"):
        judge(JudgeConfig(responses=[str(copy)], **base))
    (copy / "checkpoint").symlink_to(Path(trained["run"]) / "checkpoint")
    turns = (copy / "samples.jsonl").read_text().replace("How was film", "user: How was film")
    (copy / "samples.jsonl").write_text(turns)
    with pytest.raises(InputError, match="prompts are conversations"):
        judge(JudgeConfig(responses=[str(copy)], **base))
    result = json.loads((copy / "result.json").read_text())
    (copy / "result.json").write_text(json.dumps(result | {"status": "interrupted"}))
    with pytest.raises(InputError, match=r"did not come to its end \(interrupted\). Finish it with"):
        judge(JudgeConfig(responses=[str(copy)], **base))
    for settings, message in (
        ({"temperatures": (1, 1)}, "one temperature twice"),
        ({"temperatures": (), "prompts": "x"}, "`prompts` is for responses that are drawn anew"),
    ):
        with pytest.raises(ValueError, match=message):
            JudgeConfig(responses=["run"], judge="longest", **settings)


def test_other_prompts_are_refused_with_the_difference(files: dict[str, str], tmp_path: Path) -> None:
    fewer = _write(tmp_path / "fewer.jsonl", ["It was good."] * 15, [*PROMPTS[:14], "And the book?"])
    with pytest.raises(InputError, match=r"2 of its prompts are missing.*film 14.*1 prompts of the other.*the book"):
        judge(JudgeConfig(responses=[files["kind"]], against=fewer, judge="longest", out=str(tmp_path / "out")))
    empty = tmp_path / "empty.jsonl"
    write_groups([PromptGroup("p", ["x"]), PromptGroup("q")], empty)
    with pytest.raises(InputError, match="1 prompts have no response"):
        judge(JudgeConfig(responses=[str(empty)], against=files["kind"], judge="longest", out=str(tmp_path / "out")))
    with pytest.raises(InputError, match="no run directory and has no reference"):
        judge(JudgeConfig(responses=[files["kind"]], judge="longest", out=str(tmp_path / "out")))
    with pytest.raises(InputError, match="needs `data`"):
        judge(JudgeConfig(responses=[files["kind"]], against="chosen", judge="longest", out=str(tmp_path / "out")))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is no run directory"):
        judge(JudgeConfig(responses=[str(tmp_path / "folder")], judge="longest", out=str(tmp_path / "out")))


def test_a_limited_run_goes_on(files: dict[str, str], tmp_path: Path) -> None:
    base = {"responses": [files["kind"]], "against": files["unkind"], "judge": "reward", "out": str(tmp_path / "out")}
    first = judge(JudgeConfig(**base, max_calls=10, baselines=False))
    rate = first["methods"]["kind.jsonl"]["win_rate"]
    assert rate["rate"]["value"] == pytest.approx(5 / 16)
    assert rate["high"]["value"] == 1
    assert "Run again" in first["methods"]["kind.jsonl"]["warnings"][0]
    assert first["baselines"] == {}
    rest = judge(JudgeConfig(**base))["methods"]["kind.jsonl"]["win_rate"]
    assert rest["rate"]["value"] == 1


def test_calls_are_limited_over_all_sources_together(files: dict[str, str], tmp_path: Path) -> None:
    base = {"responses": [files["kind"], files["mixed"]], "against": files["unkind"], "out": str(tmp_path / "out")}
    judge(JudgeConfig(**base, judge="reward", max_calls=10))
    with VerdictStore(tmp_path / "out" / "judgments.sqlite") as store:
        assert len(store) == 10


def test_a_response_drawn_twice_counts_twice(tmp_path: Path) -> None:
    rows = [PromptGroup(p, [Response("It was good.", count=3), Response("A longer one, it was.")]) for p in PROMPTS]
    write_groups(rows, tmp_path / "ours.jsonl")
    write_groups([PromptGroup(p, [Response("It was so-so.", count=4)]) for p in PROMPTS], tmp_path / "theirs.jsonl")
    places = {"responses": [str(tmp_path / "ours.jsonl")], "against": str(tmp_path / "theirs.jsonl")}
    found = judge(JudgeConfig(**places, judge="longest", n=4, out=str(tmp_path / "out")))
    rate = found["methods"]["ours.jsonl"]["win_rate"]["rate"]
    assert (rate["value"], rate["n"]) == (0.25, 64)


def test_a_judge_by_its_name_and_its_settings(files: dict[str, str], tmp_path: Path) -> None:
    """`--judge NAME` is short for `judge=NAME`: what belongs to it is said as ever, and it replaces another."""
    out = tmp_path / "out"
    write_groups(
        [
            PromptGroup(
                prompt, [f"It was wonderful, {n}.", f"It was quite awful and very sad, {n}."], [Comparison(1, 0)]
            )
            for n, prompt in enumerate(PROMPTS)
        ],
        tmp_path / "people.jsonl",
    )
    words = [files["kind"], f"against={files['unkind']}", "judge=people", f"judge.paths=[{tmp_path}/people.jsonl]"]
    assert main(["judge", *words, f"out={out}"]) == 0
    numbers = json.loads((out / "judge.json").read_text())
    assert numbers["methods"]["kind.jsonl"]["win_rate"]["losses"]["value"] == 1
    settings = tmp_path / "judge.yaml"
    settings.write_text(f"responses: ['{files['kind']}']\nagainst: '{files['unkind']}'\njudge: longest\nout: '{out}'\n")
    assert main(["judge", str(settings), "judge=random", "judge.seed=3"]) == 0
    assert json.loads((out / "judge.json").read_text())["config"]["judge"] == {"name": "random", "seed": 3}


def test_every_setting_counts(files: dict[str, str], tmp_path: Path) -> None:
    base = {"responses": [files["kind"]], "against": files["unkind"], "judge": "longest", "out": str(tmp_path / "out")}
    assert judge(JudgeConfig(**base, limit=3))["prompts"] == 3
    assert judge(JudgeConfig(**base, orders="one"))["methods"]["kind.jsonl"]["flipped"] is None


def test_an_endpoint_is_estimated_before_it_is_asked(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["judge.name=endpoint", "judge.model=m", "judge.base_url=http://127.0.0.1:9/v1", "judge.attempts=1"]
    words += ["max_calls=20"]
    out = f"out={tmp_path / 'out'}"
    assert main(["judge", files["kind"], f"against={files['unkind']}", *words, out]) == 2
    said = capsys.readouterr()
    assert "20 calls (another 12 are left to another run), about" in said.out
    assert "cannot be reached" in said.err


def test_an_estimate_counts_no_call_that_is_not_made(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], endpoint: FakeEndpoint
) -> None:
    endpoint.behave = lambda *_: "Verdict: A"
    words = ["judge.name=endpoint", "judge.model=m", f"judge.base_url={endpoint.url}", f"out={tmp_path / 'out'}"]
    arguments = ["judge", files["kind"], f"against={files['unkind']}", *words, "baselines=false"]
    assert main([*arguments, "max_calls=20"]) == 0
    assert "20 calls (another 12 are left to another run)" in capsys.readouterr().out
    assert main([*arguments, "max_calls=5"]) == 0
    assert "5 calls (another 7 are left to another run)" in (told := capsys.readouterr().out)
    assert "20 verdicts are known already" in told
    assert main(arguments) == 0
    assert "7 calls, about" in capsys.readouterr().out
    assert len(endpoint.calls) == 32
    assert main([*arguments, "ask_again=unreadable"]) == 0
    assert "0 calls, about 0 tokens to read; 32 verdicts are known already" in capsys.readouterr().out
    assert len(endpoint.calls) == 32


def test_secrets_of_an_address_reach_the_endpoint_and_no_file(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], endpoint: FakeEndpoint
) -> None:
    out, query = tmp_path / "out", "?api-key=sk-verysecret&mode=fast"
    words = ["judge.name=endpoint", "judge.model=m", "limit=2", f"out={out}"]
    arguments = ["judge", files["kind"], f"against={files['unkind']}", *words]
    assert main([*arguments, f"judge.base_url={endpoint.url}{query}"]) == 0
    assert set(endpoint.queries) == {"api-key=sk-verysecret&mode=fast"}
    written = [path for path in out.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"verysecret" in path.read_bytes()]
    kept = json.loads((out / "judge.json").read_text())["config"]["judge"]["base_url"]
    assert kept == f"{endpoint.url}?api-key=[secret]&mode=fast"
    calls = len(endpoint.calls)
    assert main([*arguments, f"judge.base_url={endpoint.url}{query.replace('very', 'other')}"]) == 0
    assert len(endpoint.calls) == calls  # a new API key, the same judge
    capsys.readouterr()
    assert main([*arguments, f"judge.base_url={kept}"]) == 2
    assert "give it again, with them" in capsys.readouterr().err


def test_a_judge_whose_calls_all_fail_is_no_result(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], endpoint: FakeEndpoint
) -> None:
    endpoint.behave = lambda *_: (400, {}, b'{"error": {"message": "the context is full"}}')
    words = ["judge.name=endpoint", "judge.model=m", f"judge.base_url={endpoint.url}", f"out={tmp_path / 'out'}"]
    for more in (["limit=2"], []):  # fewer than 20 calls, and more
        assert main(["judge", files["kind"], f"against={files['unkind']}", *words, *more]) == 2
        assert "the context is full" in capsys.readouterr().err
        assert not (tmp_path / "out" / "judge.json").exists()
    assert main(["judge", files["kind"], f"against={files['unkind']}", *words, "judge.base_url=localhost:8000"]) == 2
    assert "expected an address such as http://localhost:8000/v1" in capsys.readouterr().err
