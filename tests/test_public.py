"""The public names: what `__all__` says is what there is, and the documented calls work as they are written."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import penchant
import penchant as pt
from repository import REPOSITORY


def test_all_is_what_there_is() -> None:
    """Names that are not modules and not private, and those that are imported when first used."""
    missing = [name for name in penchant.__all__ if not hasattr(penchant, name)]
    assert not missing
    own = {name for name, value in vars(penchant).items() if not name.startswith("_") and not inspect.ismodule(value)}
    own -= {"annotations", "import_module", "find_spec", "TYPE_CHECKING", "Any"}  # what any module needs
    assert own | set(penchant._LATER) | {"losses"} == set(penchant.__all__)
    assert penchant.__all__ == sorted(penchant.__all__, key=lambda name: (not name.isupper(), name))


def test_every_loss_is_listed_for_checkers() -> None:
    from penchant.losses import settings

    names = {loss.__name__ for loss in settings.PAIR_LOSSES.values()}
    assert set(settings.__all__) == names | {"CustomLoss", "PreferenceLoss", "WeightedSum"}


def test_the_package_lists_its_names_and_its_version() -> None:
    assert {*pt.__all__, "__version__"} == set(dir(pt))
    assert pt.__version__ == version("penchant")


@pytest.mark.slow
@pytest.mark.timeout(1200)  # most of it is reading torch: minutes where other work shares the cores
def test_the_calls_of_documents_pass_a_type_checker(tmp_path: Path) -> None:
    """All pages are checked at once, each as a module of its name, since each call of mypy reads torch anew."""
    pages = ("README.md", "docs/tutorials/python.md", "docs/tutorials/weak.md")
    modules = []
    for page in pages:
        blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)
        assert blocks, page
        modules.append(tmp_path / f"page_{Path(page).stem.lower()}.py")
        modules[-1].write_text("\n".join(blocks))
    source = Path(penchant.__file__).parents[1]
    words = [sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent", "--ignore-missing-imports"]
    checked = subprocess.run(
        [*words, f"--cache-dir={tmp_path}", *map(str, modules)],
        env=os.environ | {"MYPYPATH": str(source)},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_package_is_typed_for_those_who_install_it() -> None:
    assert (Path(penchant.__file__).parent / "py.typed").is_file()
    assert '"penchant" = ["py.typed"]' in (REPOSITORY / "pyproject.toml").read_text()


def test_train_is_the_function_whatever_was_imported_of_the_folder() -> None:
    check = (
        "import sys, penchant.train.settings, penchant as pt\n"
        "from penchant.methods import train\n"
        "assert pt.train is train and sys.modules['penchant.train'].__path__\n"
        "import penchant.export.settings\n"
        "from penchant.calls import export\n"
        "assert pt.export is export and sys.modules['penchant.export'].__path__\n"
        "assert pt.metrics is sys.modules['penchant.metrics']"
    )
    subprocess.run([sys.executable, "-c", check], timeout=60, check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ppo'"):
        penchant.ppo  # noqa: B018


@pytest.mark.parametrize("name", ["data", "losses", "losses.preference", "metrics", "rewards", "reports", "config"])
def test_every_package_s_all_exists(name: str) -> None:
    module = import_module(f"penchant.{name}")
    assert all(hasattr(module, each) for each in getattr(module, "__all__", ()))


def test_everything_public_is_documented() -> None:
    assert not [name for name in penchant.__all__ if not inspect.getdoc(getattr(penchant, name))]


def test_a_star_import_gives_every_public_name() -> None:
    names: dict[str, object] = {}
    exec("from penchant import *", names)
    assert set(penchant.__all__) <= names.keys()


def test_importing_and_making_configurations_import_no_torch() -> None:
    check = (
        "import penchant as pt, sys\n"
        "assert 'torch' not in sys.modules\n"
        "pt.DPO(model=pt.ModelConfig(name='m', lora=pt.LoRA(rank=2)), data='d', loss=pt.losses.IPO(tau=0.2))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], timeout=60, check=True)


def test_the_documented_calls_work_as_they_are_written(
    stories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block "Public names" of the architecture, with a small model in the place of the built-in one."""
    monkeypatch.chdir(tmp_path)
    prompts = [f"Once upon a time, {name} had a" for name in ("Tom", "Lily", "Ben", "Sue")]
    rows = [{"prompt": prompt, "chosen": " big smile.", "rejected": " sad day and cried."} for prompt in prompts]
    Path("prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    groups = pt.load_preferences("prefs.jsonl")
    policy = pt.load_policy(stories)
    scores = policy.score(groups)
    texts = policy.generate(prompts, n=4, temperature=1.0, max_new_tokens=48, seed=0)
    run = pt.train(pt.DPO(model=stories, data="prefs.jsonl", loss=pt.losses.Sigmoid(beta=0.1)))
    page = pt.report([run], "report.html")

    assert [group.prompt for group in groups] == prompts
    assert all(isinstance(group, pt.PromptGroup) for group in groups)
    assert [tuple(row.shape) for row in scores] == [(2,)] * 4
    assert all(row.dtype == torch.float32 and (row < 0).all() for row in scores)
    assert [len(row) for row in texts] == [4] * 4
    assert all(isinstance(text, str) for row in texts for text in row)
    assert texts == policy.generate(prompts, n=4, temperature=1.0, max_new_tokens=48, seed=0)
    assert texts[2:] == policy.generate(prompts[2:], n=4, temperature=1.0, max_new_tokens=48, seed=0)
    assert isinstance(run, pt.RunResult)
    assert run.method == "dpo"
    assert run.path.parent == Path("runs")
    assert run.metrics == json.loads((run.path / "result.json").read_text())
    assert [line["kind"] for line in run.history if line["step"] == 0] == ["eval"]
    assert [line["loss"] for line in run.history if line["kind"] == "train"]
    trained = pt.load_policy(run).score(groups)
    assert not torch.equal(trained[0], scores[0])
    assert Path(page) == Path("report.html")
    assert Path("report.html").exists()


def test_the_documented_types_and_losses_take_what_the_contract_says() -> None:
    group = pt.PromptGroup(
        prompt="Who?",
        responses=["Me.", "You.", pt.Response("Th", token_ids=(5, 6), finished=False, count=2)],
        comparisons=[pt.Comparison(winner=0, loser=2, tie=False, annotator=None, weight=1.0)],
        scores=None,
    )
    assert group.responses[0] == pt.Response("Me.", finished=True, count=1)
    pairs = [
        torch.tensor([-5.0, -7.0]),
        torch.tensor([-6.0, -6.0]),
        torch.tensor([-5.5, -6.5]),
        torch.tensor([-5.5, -6.0]),
    ]
    preference = pt.losses.preference
    for losses in (
        preference.dpo(*pairs, beta=0.1, label_smoothing=0.0),
        preference.ipo(*pairs, tau=0.1),
        preference.robust(*pairs, beta=0.1, label_smoothing=0.1),
        preference.hinge(*pairs, beta=0.1),
    ):
        assert losses.shape == (2,)
    # h = (-5 + 5.5) - (-6 + 5.5) = 1 and (-7 + 6.5) - (-6 + 6) = -0.5; hinge: 1 - 0.1 h
    assert preference.hinge(*pairs, beta=0.1).tolist() == pytest.approx([0.9, 1.05])
