"""One reader for all commands: words, settings, flags, and flags of before."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from penchant.cli.arguments import Arguments, Command, make_parser, read_arguments
from penchant.cli.commands import load_commands

ALL = {
    (*group, command.name): command
    for entry in load_commands()
    for group, commands in ([((), [entry])] if isinstance(entry, Command) else [((entry.name,), entry.commands)])
    for command in commands
}
FLAGS_OF_BEFORE = [
    ("sample m p.txt -o x.jsonl -n 3", "sample m p.txt out=x.jsonl n=3"),
    ("sample m p.txt -o x.jsonl --max-new-tokens=9", "sample m p.txt out=x.jsonl max_new_tokens=9"),
    ("sample m p.txt -o x.jsonl --temperature 0 --top-k 3", "sample m p.txt out=x.jsonl temperature=0 top_k=3"),
    ("sample m p.txt -o x.jsonl --top-p .5 --seed 3", "sample m p.txt out=x.jsonl top_p=.5 seed=3"),
    ("sample m p.txt -o x --reward vader --pairs all", "sample m p.txt out=x reward=vader pairs=all"),
    ("sample m p.txt -o x --device cpu --dtype float32", "sample m p.txt out=x device=cpu dtype=float32"),
    ("sample m p.txt -o x --template chat", "sample m p.txt out=x template=chat"),
    ("sample m p.txt -o x --trust-remote-code", "sample m p.txt out=x trust_remote_code=true"),
    ("data check a.jsonl --ties drop --bad-rows skip", "data check a.jsonl ties=drop bad_rows=skip"),
    ("data check a.jsonl --overflow drop --split test", "data check a.jsonl overflow=drop split=test"),
    ("data check a.jsonl --model m --max-length 9", "data check a.jsonl model=m max_length=9"),
    ("data check a.jsonl --layout l --template chat", "data check a.jsonl layout=l template=chat"),
    ("data check a.jsonl --trust-remote-code", "data check a.jsonl trust_remote_code=true"),
    ("data check a --column prompt=b --column c=null", "data check a columns.prompt=b columns.c=null"),
    ("data convert a -o b --no-merge --ties drop", "data convert a out=b merge=false ties=drop"),
    ("data convert a -o b --bad-rows skip --layout l", "data convert a out=b bad_rows=skip layout=l"),
    ("data convert a -o b --split s --column c=d", "data convert a out=b split=s columns.c=d"),
    ("judge a b --against c --judge random", "judge a b against=c judge=random"),
    ("judge a --judge random --max-calls 3", "judge a judge=random max_calls=3"),
    ("judge a --judge longest --temperatures 0,0.5", "judge a judge=longest temperatures=[0,0.5]"),
    ("agree a --people b --people c=d", "agree a people=[b,c=d]"),
    ("collect a --annotators 4 --overlap 1", "collect a annotators=4 overlap=1"),
    ("collect a --host 10.0.0.1 --port 80", "collect a host=10.0.0.1 port=80"),
    ("study frontier model=m prompts=p eval_prompts=p --seeds 3",
     "study frontier model=m prompts=p eval_prompts=p seeds=[0,1,2]"),
]  # fmt: skip


PARSER = make_parser("", load_commands())  # once: it takes ten times as long as a line does


def read(line: str) -> Arguments:
    return read_arguments(PARSER, line.split())


def refusal(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match="2"):
        read(line)
    return capsys.readouterr().err


@pytest.mark.parametrize(("before", "now"), FLAGS_OF_BEFORE)
def test_a_flag_of_before_is_the_setting_and_says_so(before: str, now: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    told = read(before)
    settings = told.command.settings
    assert told.load(settings) == read(now).load(settings)
    flags = [word.partition("=")[0] for word in before.split() if word.partition("=")[0] in told.command.retired]
    for flag in flags:
        assert f"{flag} is a setting now: write " in caplog.text
    assert len(caplog.records) == len(set(flags))


def test_every_flag_of_before_is_tried() -> None:
    tried = " ".join(before for before, _ in FLAGS_OF_BEFORE).replace("=", " ").split()
    assert not {flag for command in ALL.values() for flag in command.retired} - set(tried)


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if "out" in command.settings.model_fields],
                         ids=" ".join)  # fmt: skip
def test_o_is_short_for_out_in_every_command(name: tuple[str, ...]) -> None:
    words = " ".join([*name, *(["w"] * len(ALL[name].positionals))])
    flag, setting = read(f"{words} -o folder/x"), read(f"{words} out=folder/x")
    assert flag.overrides == setting.overrides == ["out=folder/x"]


@pytest.mark.parametrize("name", ALL, ids=" ".join)
def test_a_setting_as_a_flag_is_answered_with_key_and_value(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ALL[name]
    flags = {"--" + field.replace("_", "-") for field in command.settings.model_fields}
    for flag in sorted(flags - set(command.retired) - {"--out"}):
        field = flag[2:].replace("-", "_")
        assert f"a setting is written without dashes: {field}=7" in refusal(f"{' '.join(name)} {flag} 7", capsys)


@pytest.mark.parametrize("line", ["train dpo lr=1", "train dpo --nope", "train kto -o a -v", "train ppoo a=1", "train",
                                  "train -v dpo", "data convert --help", "data --help", "sample m p n=2"])  # fmt: skip
def test_a_parser_made_for_a_line_reads_it_as_that_of_all_commands_does(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.split()
    seen = []
    for parser in (make_parser("", load_commands()), make_parser("", load_commands(), words)):
        try:
            arguments = read_arguments(parser, words)
            flags = {name: value for name, value in vars(arguments.flags).items() if isinstance(value, bool | list)}
            seen.append((arguments.command.name, arguments.overrides, arguments.positional, flags))
        except SystemExit as end:
            seen.append((end.code, *capsys.readouterr()))
    assert seen[0] == seen[1]


def test_words_stand_for_settings(tmp_path: Path) -> None:
    told = read("sample m p.txt n=2 out=x.jsonl")
    assert told.positional == {"model": "m", "prompts": "p.txt"}
    assert told.overrides == ["n=2", "out=x.jsonl"]
    assert read("judge a b judge=longest c").positional == {"responses": ["a", "b", "c"]}
    assert read("agree http://host/x?a=b").positional == {"files": ["http://host/x?a=b"]}
    named = tmp_path / "lr=1.jsonl"
    assert read(f"agree {named}").overrides == [str(named)]  # there is no such file: a misspelt setting, then
    named.touch()
    assert read(f"agree {named}").positional == {"files": [str(named)]}
    settings = tmp_path / "c.yaml"
    settings.write_text("responses: [a]\njudge: longest\n")
    assert read(f"judge {settings} n=2").path == str(settings)
    assert read("collect").positional == {}  # what a collection lacks, its database may hold


def test_the_home_folder_is_written_out_behind_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    arguments = read("train dpo model=~/m data.path=~/p.jsonl --out=~/runs/a data.system=~ name=a~/b")
    assert arguments.overrides == [
        *("model=/home/me/m", "data.path=/home/me/p.jsonl", "data.system=~", "name=a~/b", "out=/home/me/runs/a"),
    ]


def test_what_is_too_many_or_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected one MODEL and one PROMPTS, got 3: a, b, c" in refusal("sample a b c", capsys)
    assert "required: PROMPTS" in refusal("sample a", capsys)
    assert "required: MODEL, PROMPTS" in refusal("sample out=x", capsys)
    assert read("sample model=a prompts=b").positional == {}


def test_a_flag_is_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    """`--seed 2` was read as `--seeds 2`, which is seeds 0 and 1."""
    assert "seeds=2" in refusal("study frontier --seed 2", capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("data check a.jsonl -o a -o b", "`out` is given as a and as b: name one of them"),
        ("data check a.jsonl out=x -o y", "`out` is given as x and as y: name one of them"),
        ("data check a.jsonl model=m --model n", "`model` is given as m and as n: name one of them"),
        ("train dpp", "did you mean ppo or dpo?"),
        ("train dpo --nonsense=a", "--nonsense=a; there is no such flag, and no such setting: --help-all lists them"),
        ("train dpo --loss.beta=1", "a setting is written without dashes: loss.beta=1"),
        ("train dpo --beta 1", "a setting is written without dashes: loss.beta=1"),
        ("train dpo --lr 1", "a setting is written without dashes: optimizer.learning_rate=1"),
        ("train dpo --resme out=x", "unrecognized arguments: --resme; did you mean --resume?"),
        ("train dpo out=\udcff", "'out=\\udcff' holds bytes that are no text in UTF-8"),
        ("train dpo --report \udcff", "'\\udcff' holds bytes that are no text in UTF-8"),
    ],
)
def test_a_slip_is_answered_with_what_is_meant(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refusal(line, capsys)


def test_one_out_may_be_said_twice() -> None:
    assert read("data check a.jsonl out=x -o x -o x").overrides == ["out=x", "out=x"]
