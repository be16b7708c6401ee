"""Configurations: YAML, overrides and Python give equal objects, and every mistake is named at once."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, create_model, model_validator

from penchant.config import Config, describe, fields, load_config, to_yaml, undocumented_fields
from penchant.config.yaml_text import Loader
from penchant.errors import InputError
from penchant.losses import IPO, PreferenceLoss, Robust, Sigmoid

LOSS_NAMES = ", ".join(loss.model_fields["name"].default for loss in get_args(get_args(PreferenceLoss)[0]))


class Data(Config):
    """Where comparisons come from."""

    shorthand: ClassVar[str] = "path"

    path: Path
    """The file."""
    ties: Literal["drop", "half"] = "half"
    """What becomes of a tie."""


class LoRA(Config):
    """Low-rank adapters."""

    rank: Annotated[int, Field(ge=1)] = 8
    """Of the update."""
    target: tuple[str, ...] | None = None
    """The modules to adapt."""


class Optimizer(Config):
    """How weights move."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """The size of a step."""
    clip: float | None = 1.0
    """The largest norm of a gradient."""


class Method(Config):
    """A method as methods are."""

    method: ClassVar[str] = "dpo"

    model: str
    """A name."""
    data: Data
    """The comparisons."""
    loss: PreferenceLoss = Sigmoid(beta=0.5)
    """The loss."""
    lora: LoRA | None = None
    """Adapters, or none."""
    optimizer: Optimizer = Optimizer(learning_rate=1e-6)
    """The optimizer."""
    evaluate: int | None = 100
    """Every how many steps."""
    shuffle: bool = True
    """Whether the order is drawn."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Of the sources."""
    more: tuple[Data, ...] = ()
    """Further comparisons."""
    out: Path = Path("runs/dpo")
    """The run directory."""

    @model_validator(mode="after")
    def _check(self) -> Method:
        if self.model == "forbidden":
            raise ValueError("the model `forbidden` cannot be trained")
        return self


BASE = {"model": "m", "data": "x.jsonl"}
NEEDED = ["model=m", "data=x.jsonl"]


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message(*arguments: Any, **values: Any) -> str:
    """The answer to a mistake: `message(path, overrides)` by file, `message(key=value)` from Python."""
    with pytest.raises(InputError) as caught:
        load_config(Method, *arguments) if arguments else Method(**values)
    text = str(caught.value)
    assert "pydantic" not in text
    assert "validation error" not in text
    return text


# --- equal from everywhere


@pytest.mark.parametrize(
    ("text", "overrides", "values"),
    [
        ("", [], {}),
        ("loss: ipo", ["loss=ipo"], {"loss": IPO()}),
        ("loss: {name: ipo, tau: 0.2}", ["loss={name: ipo, tau: 0.2}"], {"loss": IPO(tau=0.2)}),
        ("loss: {name: robust}", ["loss.name=robust"], {"loss": Robust()}),
        ("loss: {label_smoothing: 0.1}", ["loss.label_smoothing=0.1"], {"loss": {"label_smoothing": 0.1}}),
        (
            "data: {path: x.jsonl, ties: drop}",
            ["data.ties=drop"],
            {"data": Data(path="x.jsonl", ties="drop")},
        ),
        ("data: {path: y}", ["data=y"], {"data": Path("y")}),
        ("lora: {}", ["lora={}"], {"lora": LoRA()}),
        ("lora: {rank: 4}", ["lora.rank=4"], {"lora": LoRA(rank=4)}),
        ("lora: null", ["lora=null"], {"lora": None}),
        ("lora: {target: [q, k]}", ["lora.target=[q, k]"], {"lora": {"target": ["q", "k"]}}),
        ("optimizer: {clip: null}", ["optimizer.clip=null"], {"optimizer": {"clip": None}}),
        (
            "optimizer: {learning_rate: 5e-7}",
            ["optimizer.learning_rate=5e-7"],
            {"optimizer": Optimizer(learning_rate=5e-7)},
        ),
        ("evaluate: null", ["evaluate=null"], {"evaluate": None}),
        ("shuffle: false", ["shuffle=false"], {"shuffle": False}),
        ("weights: {a: 1, b: 2.5}", ["weights.a=1", "weights.b=2.5"], {"weights": {"a": 1, "b": 2.5}}),
        ("more: [a, {path: b}]", ["more=[a, {path: b}]"], {"more": ["a", Data(path="b")]}),
        ("out: runs/007", ["out=runs/007"], {"out": "runs/007"}),
    ],
)
def test_yaml_overrides_and_python_agree(
    tmp_path: Path, text: str, overrides: list[str], values: dict[str, Any]
) -> None:
    expected = Method(**{**BASE, **values})
    with_data = text if text.startswith("data") else f"data: x.jsonl\n{text}"
    assert load_config(Method, write(tmp_path, f"method: dpo\nmodel: m\n{with_data}\n")) == expected
    assert load_config(Method, None, [*NEEDED[: 1 if "data=y" in overrides else 2], *overrides]) == expected
    assert load_config(Method, write(tmp_path, to_yaml(expected))) == expected


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
tricky = st.sampled_from(["no", "1e-6", "010", "null", "~", "1:30", "2024-01-01", "a: b", "- x", "#", " x ", "'"])
positive = st.floats(min_value=1e-12, max_value=1e12)
configs = st.builds(
    Method,
    model=names | tricky,
    data=st.builds(Data, path=tricky.map(Path), ties=st.sampled_from(["drop", "half"])),
    loss=st.builds(Sigmoid, beta=positive, nll_weight=positive) | st.builds(IPO, tau=positive),
    lora=st.none() | st.builds(LoRA, rank=st.integers(1), target=st.none() | st.tuples(tricky, names)),
    optimizer=st.builds(Optimizer, learning_rate=positive, clip=st.none() | positive),
    weights=st.dictionaries(names | tricky, positive, max_size=2),
    evaluate=st.none() | st.integers(),
    shuffle=st.booleans(),
)


@settings(deadline=None, derandomize=True)
@given(configs)
def test_round_trip_through_yaml(config: Method) -> None:
    text = to_yaml(config)
    assert text.startswith("method: dpo\n")
    values = yaml.load(text, Loader)
    assert values.pop("method") == "dpo"
    assert Method(**values) == config
    # a YAML 1.1 reader sees the same text
    assert yaml.safe_load(text)["model"] == config.model


@settings(deadline=None, derandomize=True, max_examples=50)
@given(beta=positive, tau=positive, order=st.permutations(range(4)))
def test_order_of_overrides_does_not_matter(beta: float, tau: float, order: list[int]) -> None:
    overrides = ["loss.name=ipo", f"loss.tau={tau!r}", f"optimizer.learning_rate={beta!r}", "data.ties=drop"]
    config = load_config(Method, None, [*(overrides[i] for i in order), *NEEDED])
    assert config.loss == IPO(tau=tau)
    assert config.optimizer == Optimizer(learning_rate=beta, clip=1.0)
    assert config.data == Data(path="x.jsonl", ties="drop")


def test_a_mapping_changes_the_fields_default_and_an_object_replaces_it() -> None:
    assert Method(**BASE, loss={"nll_weight": 1}).loss == Sigmoid(beta=0.5, nll_weight=1)
    assert Method(**BASE, loss={"name": "sigmoid"}).loss == Sigmoid(beta=0.5)
    assert Method(**BASE, loss=Sigmoid()).loss == Sigmoid(beta=0.1)
    assert Method(**BASE, loss={"name": "robust"}).loss == Robust(beta=0.1)
    assert Method(**BASE, optimizer={"clip": None}).optimizer == Optimizer(learning_rate=1e-6, clip=None)


def test_defaults_inside_defaults_are_kept() -> None:
    class Outer(Config):
        inner: Method = Method(**BASE, optimizer=Optimizer(learning_rate=7.0), loss=IPO(tau=3.0))

    assert Outer(inner={"optimizer": {"clip": 2}}).inner.optimizer == Optimizer(learning_rate=7.0, clip=2.0)
    assert load_config(Outer, None, ["inner.loss.nll_weight=1"]).inner.loss == IPO(tau=3.0, nll_weight=1)
    assert load_config(Outer, None, ["inner.loss=sigmoid"]).inner.loss == Sigmoid(beta=0.5)


def test_replace_checks_and_keeps_the_rest() -> None:
    config = Method(**BASE, loss=IPO(tau=2.0))
    changed = config.replace(evaluate=5)
    assert changed == Method(**BASE, loss=IPO(tau=2.0), evaluate=5)
    assert config.evaluate == 100
    with pytest.raises(InputError, match="`evaluat` is unknown; did you mean `evaluate`"):
        config.replace(evaluat=5)


def test_configs_travel_between_processes() -> None:
    config = Sigmoid(beta=0.3)
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert {config: 1}[Sigmoid(beta=0.3)] == 1


# --- what an override does to a file

FILE = "method: dpo\nmodel: m\ndata: x.jsonl\nloss: {name: sigmoid, beta: 0.1, nll_weight: 2}\nlora: {rank: 4}\n"


def test_another_branch_drops_the_old_settings_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, FILE)
    for override in ("loss.name=robust", "loss=robust", "loss={name: robust}"):
        with caplog.at_level(logging.INFO, logger="penchant.config"):
            assert load_config(Method, path, [override]).loss == Robust()
        assert "loss=robust replaces sigmoid" in caplog.text
        assert "beta=0.1, nll_weight=2" in caplog.text
        caplog.clear()


def test_the_same_branch_keeps_its_settings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, FILE)
    assert load_config(Method, path, ["loss=sigmoid", "loss.beta=3"]).loss == Sigmoid(beta=3, nll_weight=2)
    assert not caplog.records


def test_a_whole_mapping_replaces_what_the_file_says(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    assert load_config(Method, path, ["lora={}"]).lora == LoRA()
    assert load_config(Method, path, ["loss={nll_weight: 1}"]).loss == Sigmoid(beta=0.5, nll_weight=1)
    other = write(tmp_path, FILE.replace("{name: sigmoid, beta: 0.1, nll_weight: 2}", "{name: ipo, tau: 3}"))
    assert load_config(Method, other, ["loss={nll_weight: 1}"]).loss == IPO(nll_weight=1)


def test_a_bare_value_changes_only_what_it_stands_for(tmp_path: Path) -> None:
    path = write(tmp_path, "model: m\ndata: {path: x, ties: drop}\n")
    assert load_config(Method, path, ["data=y"]).data == Data(path="y", ties="drop")


def test_the_last_of_two_equal_overrides_wins() -> None:
    assert load_config(Method, None, [*NEEDED, "evaluate=1", "evaluate=2"]).evaluate == 2


@pytest.mark.parametrize("text", ["no", "007", "1e-6", "true", "a: b", "[x", "@x", "x #1", "=", "%", "2024-01-01", ""])
def test_a_text_needs_no_quotes(text: str) -> None:
    assert load_config(Method, None, ["data=x", f"model={text}"]).model == text
    assert load_config(Method, None, ["model=x", f"data.path={text}"]).data.path == Path(text)
    if text:  # nothing at all would be null
        assert load_config(Method, None, ["model=x", f"data={text}"]).data.path == Path(text)


def test_quotes_are_taken_off() -> None:
    assert load_config(Method, None, ["data=x", "model='null'"]).model == "null"


@pytest.mark.parametrize(("text", "value"), [("1e-6", 1e-6), ("1E+2", 100.0), (".5", 0.5), ("3", 3.0), ("5.", 5.0)])
def test_numbers_as_people_write_them(tmp_path: Path, text: str, value: float) -> None:
    key = "optimizer.learning_rate"
    assert load_config(Method, None, [*NEEDED, f"{key}={text}"]).optimizer.learning_rate == value
    path = write(tmp_path, f"optimizer:\n  learning_rate: {text}\n")
    assert load_config(Method, path, NEEDED).optimizer.learning_rate == value


@pytest.mark.parametrize(("text", "value"), [("010", 10), ("-3", -3), ("0x10", 16), ("0o10", 8), ("1_000", 1000)])
def test_whole_numbers_as_people_write_them(text: str, value: int) -> None:
    assert load_config(Method, None, [*NEEDED, f"evaluate={text}"]).evaluate == value


# --- mistakes


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "modle: m\ndata:\n  path: x\n  ties: dorp\nloss: {name: ipo, beta: 0.1}\nlora: {rank: 0}\n")
    text = message(path, ["evaluate=soon", "out.deep=1", "junk"])
    assert text.startswith("configuration of dpo: 8 problems\n  - ")
    for line in [
        "the override `junk` is not of the form key=value",
        "`out.deep`: `out` has no settings of its own; expected a path (command line)",
        "`model` is missing; expected text",
        f"`modle` is unknown; did you mean `model`? Settings of dpo: model, data, loss, {''}",
        f"`data.ties`: expected one of drop, half, got 'dorp'; did you mean `drop`? ({path}:4)",
        "`loss.beta`: `beta` does not belong to loss `ipo`; it belongs to sigmoid, sigmoid_norm, robust, "
        f"hinge and 16 more. Settings of loss `ipo`: tau, nll_weight ({path}:5)",
        f"`lora.rank`: expected a whole number at least 1, got 0 ({path}:6)",
        "`evaluate`: expected a whole number or null, got 'soon' (command line)",
    ]:
        assert line in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"mdoel": "m", "data": "x"},
            "`mdoel` is unknown; did you mean `model`? Settings of dpo: model, data",
        ),
        ({**BASE, "beta": 1}, "`beta` is unknown; did you mean `loss.beta`?"),
        ({**BASE, "zzz": 1}, "`zzz` is unknown. Settings of dpo: model, "),
        (
            {**BASE, "loss": {"beat": 1}},
            "`loss.beat` is unknown; did you mean `loss.beta`? Settings of loss `sigmoid`",
        ),
        (
            {**BASE, "loss": {"tau": 1}},
            "`tau` does not belong to loss `sigmoid`; it belongs to ipo, ipo_mean",
        ),
        ({**BASE, "loss": "ipoo"}, "`loss.name`: expected one of sigmoid, sigmoid_norm, robust, "),
        ({**BASE, "loss": "ipoo"}, "got 'ipoo'; did you mean `ipo`?"),
        (
            {**BASE, "loss": None},
            f"`loss`: expected one of {LOSS_NAMES}, got null",
        ),
        ({**BASE, "loss": {"beta": "much"}}, "`loss.beta`: expected a number above 0, got 'much'"),
        ({**BASE, "loss": {"beta": True}}, "`loss.beta`: expected a number above 0, got 'true'"),
        ({**BASE, "loss": {"beta": float("nan")}}, "`loss.beta`: expected a number above 0, got nan"),
        ({**BASE, "loss": {"label_smoothing": 0.5}}, "expected a number at least 0 and below 0.5, got 0.5"),
        ({**BASE, "evaluate": 1.5}, "`evaluate`: expected a whole number or null, got 1.5"),
        ({**BASE, "evaluate": False}, "`evaluate`: expected a whole number or null, got 'false'"),
        ({**BASE, "shuffle": 3}, "`shuffle`: expected true or false, got 3"),
        ({**BASE, "lora": 8}, "`lora`: expected settings (rank, target) or null, got 8"),
        ({**BASE, "lora": {"target": [1]}}, "`lora.target.0`: expected text, got 1"),
        ({**BASE, "weights": {"a": "x"}}, "`weights.a`: expected a number, got 'x'"),
        ({**BASE, "weights": 1}, "`weights`: expected a mapping (each value a number), got 1"),
        ({**BASE, "more": [{"path": "x", "tie": 1}]}, "`more.0.tie` is unknown; did you mean `more.0.ties`?"),
        ({**BASE, "more": 3}, "`more`: expected a list (each its path, or settings (path, ties)), got 3"),
        ({"model": "m"}, "`data` is missing; expected its path, or settings (path, ties)"),
        ({"model": "m", "data": None}, "`data`: expected its path, or settings (path, ties), got null"),
        ({"model": "m", "data": {"ties": "half"}}, "`data.path` is missing; expected a path"),
        ({"model": "m", "data": 3}, "`data.path`: expected a path, got 3"),
        ({"model": ["x" * 99], "data": "x"}, "`model`: expected text, got ['xxx"),
        (
            {"model": "forbidden", "data": "x"},
            "configuration of dpo: the model `forbidden` cannot be trained",
        ),
    ],
)
def test_mistakes_in_python(values: dict[str, Any], expected: str) -> None:
    text = message(**values)
    assert expected in text
    assert all(len(line) < 400 for line in text.splitlines())


def test_a_configuration_built_inside_another_names_itself() -> None:
    with pytest.raises(InputError, match=r"^Sigmoid: `beta`: expected a number above 0, got -1$"):
        Method(**BASE, loss=Sigmoid(beta=-1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: 1\nmodel: m\nmodel: n\n",
            ":3: not valid YAML: the key `model` is given twice (first on line 2)",
        ),
        (
            "data:\n  path: x\n  path: y\n",
            ":3: not valid YAML: the key `path` is given twice (first on line 2)",
        ),
        ("model: m\nloss: [\n", ":3: not valid YAML: "),
        ("model: !!python/object:os.system x\n", ":1: not valid YAML: could not determine a constructor"),
        ("model: \x07\n", ": not valid YAML: "),
        ("1: x\n", ":1: not valid YAML: a key must be text"),
        ("- a\n", ": expected settings as `key: value` lines, got ['a']"),
        ("text", ": expected settings as `key: value` lines, got 'text'"),
        ("method: sft\nmodle: x\n", ": expected settings of the method dpo, got `method: sft`"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    assert message(path).startswith(f"{path}{expected}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert message(tmp_path / "confg.yaml") == f"there is no file {tmp_path / 'confg.yaml'}; there is {path}"
    assert "the folder" in message(tmp_path / "nowhere" / "config.yaml")
    assert message(tmp_path) == f"{tmp_path} is a folder, expected a YAML file; did you mean {path}?"
    path.write_bytes(b"model: \xff\n")
    assert "expected text in UTF-8, but byte 7 is not" in message(path)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(Method, write(tmp_path, "# nothing\n"), NEEDED) == Method(**BASE)


def test_method_is_for_classes_that_have_one(tmp_path: Path) -> None:
    path = write(tmp_path, "method: dpo\n")
    with pytest.raises(InputError, match="`method` is unknown"):
        load_config(Optimizer, path)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("junk", "the override `junk` is not of the form key=value, such as loss.beta=0.1"),
        ("=3", "the override `=3` is not of the form"),
        ("loss..beta=3", "is not of the form"),
        ("lss.beta=3", "`lss` is unknown; did you mean `loss`?"),
        ("weights={a: 1, a: 2}", "`weights`: '{a: 1, a: 2}' is not a valid YAML value (command line)"),
        ("evaluate=[", "`evaluate`: '[' is not a valid YAML value (command line)"),
        ("lora=8", "`lora`: expected settings (rank, target) or null, got 8 (command line)"),
        ("loss.tau=1", "`tau` does not belong to loss `sigmoid`; it belongs to ipo, ipo_mean"),
        ("model.size=1", "`model.size`: `model` has no settings of its own; expected text (command line)"),
    ],
)
def test_overrides_that_cannot_be_applied(override: str, expected: str) -> None:
    assert expected in message(None, [*NEEDED, override])


def test_settings_of_what_the_file_makes_a_plain_value(tmp_path: Path) -> None:
    path = write(tmp_path, "lora: 8\n")
    assert "`lora.rank`: `lora` is 8, which has no settings to change" in message(path, [*NEEDED, "lora.rank=3"])


# --- for people


def test_describe_names_every_setting_and_fits() -> None:
    for width in (60, 100):
        lines = describe(Method, width).splitlines()
        assert max(map(len, lines)) <= width
        text = " ".join(" ".join(lines).split())
        for expected in [
            "model: text (required) A name.",
            "data: its path, or settings (path, ties) (required) The comparisons.",
            "data.ties: one of drop, half (default half) What becomes of a tie.",
            f"loss: one of {LOSS_NAMES} (default sigmoid)",
            "loss.name=ipo: IPO (Azar et al. 2023)",
            "loss.beta: a number above 0 (default 0.5)",  # the field's default, not the class's
            "loss.tau: a number above 0 (default 0.1)",
            "lora: settings (rank, target) or null (default null)",
            "lora.rank: a whole number at least 1 (default 8)",
            "optimizer.learning_rate: a number above 0 (default 1e-06)",
            "shuffle: true or false (default true)",
            "out: a path (default runs/dpo) The run directory.",
        ]:
            assert expected in text


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Annotated[int, Field(ge=1)] | None, "a whole number at least 1 or null"),
        (Annotated[int | None, Field(ge=1, le=3)], "a whole number at least 1 and at most 3 or null"),
        (Annotated[str, Field(min_length=1)], "text of length at least 1"),
        (
            Annotated[list[Annotated[float, Field(gt=0)]], Field(max_length=2)],
            "a list (each a number above 0) of length at most 2",
        ),
        (tuple[float, float], "a list of 2 (a number, a number)"),
        (int | str, "a whole number or text"),
        (Literal["only"], "only"),
        (list, "a list"),
        (dict, "a mapping"),
        (Any, "anything"),
        (PreferenceLoss | None, f"one of {LOSS_NAMES} or null"),
    ],
)
def test_types_in_words(annotation: Any, expected: str) -> None:
    config = create_model("Some", __base__=Config, field=(annotation, ...))
    assert fields.expected(config.model_fields["field"]) == expected


def test_undocumented_fields_are_found() -> None:
    class Bare(Config):
        documented: int = 1
        """Yes."""
        silent: int = 1
        inner: Optimizer = Optimizer()

    class Plain(Config):
        name: Literal["plain"] = "plain"
        setting: int = 1

    class Outer(Config):
        bare: Bare = Bare()
        """It."""
        either: Annotated[Plain | Sigmoid, Field(discriminator="name")] = Plain()
        """One of them."""

    assert undocumented_fields(Method) == []
    assert undocumented_fields(Bare) == ["silent", "inner"]
    assert undocumented_fields(Outer) == [
        "bare.silent",
        "bare.inner",
        "either[plain]",
        "either[plain].setting",
    ]


def test_the_configuration_imports_no_torch() -> None:
    code = "import sys, penchant.config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
