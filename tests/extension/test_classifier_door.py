"""A weak supervisor or student of the user's: a class named as `module:attribute`, held to its contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.errors import InputError
from penchant.losses.weak_settings import Confidence, CrossEntropy
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.labels import labels
from penchant.weak.settings import OwnClassifier, Probe, Tfidf

CODE = """
import numpy as np

class Words:
    def __init__(self, word="fine", seed=0, names=()):
        self.word, self.seed, self.names = word, seed, names

    def fit(self, texts, targets):
        self.shape = targets.shape

    def predict_proba(self, texts):
        first = np.array([float(self.word in text) for text in texts]) * 0.8 + 0.1
        return np.stack([1 - first, first], 1)

    def save(self, folder):
        (folder / "word.txt").write_text(self.word)

    @classmethod
    def load(cls, folder):
        return cls((folder / "word.txt").read_text())

class WithLoss(Words):
    def __init__(self, loss):
        super().__init__()
        self.loss = loss

class WithAnything(Words):
    def __init__(self, **arguments):
        super().__init__()
        self.arguments = arguments

class Weighted(Words):
    def fit(self, texts, targets, weights=None, unlabeled=None):
        self.texts, self.weights, self.unlabeled = texts, weights, unlabeled

class Unsaved(Words):
    save = load = None

class Fails(Words):
    def fit(self, texts, targets):
        raise SystemExit(3)

class Flat(Words):
    def predict_proba(self, texts):
        return [0.5 for _ in texts]

class Sure(Words):
    def predict_proba(self, texts):
        return np.full((len(texts), 2), 0.9)

class NoLoad(Words):
    load = None

def words(word):
    return Words(word)

ready = Words()
"""
TEXTS = [f"a {('dull', 'fine')[n % 2]} film {n}" for n in range(60)]
LABELS = [n % 2 for n in range(60)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of classifiers and rows."""
    (tmp_path / "mine.py").write_text(CODE)
    names = ("bad", "good")
    rows = [{"text": text, "label": names[label]} for text, label in zip(TEXTS, LABELS, strict=True)]
    for name, part in (("train", rows[:20]), ("data", rows[20:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own(name: str, **settings: Any) -> OwnClassifier:
    return OwnClassifier(factory=f"mine.py:{name}", settings=settings)


def test_it_gets_settings_names_and_seed_and_predicts(folder: Path) -> None:
    made = make_classifier(own("Words", word="dull"), names=["bad", "good"], seed=7).fit(TEXTS, LABELS)
    assert (made.classifier.word, made.classifier.seed) == ("dull", 7)  # type: ignore[attr-defined]
    assert made.classifier.names == ("bad", "good")  # type: ignore[attr-defined]
    assert made.classifier.shape == (60, 2)  # type: ignore[attr-defined]
    np.testing.assert_allclose(made.predict_proba(["a dull one", "a fine one"]), [[0.1, 0.9], [0.9, 0.1]])
    assert len(made.learned_marks) == 60
    assert make_classifier(own("words", word="x")).fit(TEXTS, LABELS).predict_proba([]).shape == (0, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Wrods", "mine.py has no `Wrods`; did you mean `Words`"),
        ("ready", "expected a class, or a function that makes a classifier, but it is a Words"),
        ("Unsaved", "it is a Unsaved without `save`"),
        ("words", r"it cannot be made of no arguments: TypeError"),
        ("Fails", r"`fit` failed on 60 examples: it ended the program \(sys.exit\(3\)\)"),
        ("Flat", r"`predict_proba` returned the shape \(60,\), expected \(60, 2\)"),
        ("Sure", r"must return probabilities that sum to 1, got \[0.9, 0.9\] for example 0"),
    ],
)
def test_what_breaks_the_contract_is_refused(folder: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=f"the classifier `mine.py:{name}`: .*{message}"):
        make_classifier(own(name)).fit(TEXTS, LABELS).predict_proba(TEXTS)


def test_weights_and_unlabelled_rows_are_for_who_takes_them(folder: Path) -> None:
    """A class that does not name them would learn without, in silence; of equal weights nothing is lost."""
    texts, labels, weights = ["a fine film", "a dull film", "no film"], [1, 0, 1], [2.0, 1.0, 0.0]
    plain = make_classifier(own("Words"))
    plain.fit(texts, labels, weights=[0.5, 0.5, 0.0])
    with pytest.raises(InputError, match="its `fit` takes no argument `unlabeled` or `weights`: add it"):
        plain.fit(texts, labels, weights=weights, unlabeled=["another"])
    made = make_classifier(own("Weighted"))
    made.fit(texts, labels, weights=weights, unlabeled=["another"])
    users: Any = made.classifier  # type: ignore[attr-defined]
    assert (users.texts, users.weights.tolist(), users.unlabeled) == (texts[:2], [1.0, 0.5], ["another"])


def test_a_loss_is_for_who_takes_one(folder: Path) -> None:
    taken = make_classifier(own("WithLoss"), loss=Confidence())
    assert taken.classifier.loss == Confidence()  # type: ignore[attr-defined]
    any_argument = make_classifier(own("WithAnything"), loss=Confidence(), names=("no", "yes"), seed=3)
    assert any_argument.classifier.arguments == {  # type: ignore[attr-defined]
        "loss": Confidence(), "names": ("no", "yes"), "seed": 3}  # fmt: skip
    make_classifier(own("Words"), loss=CrossEntropy())
    with pytest.raises(InputError, match="takes no argument `loss`, so it cannot learn with another"):
        make_classifier(own("Words"), loss=Confidence())


def test_a_saved_one_is_loaded_with_the_code_that_the_caller_names(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_classifier(own("Words", word="dull"), names=["bad", "good"]).fit(TEXTS, LABELS).save(folder / "kept")
    with pytest.raises(InputError, match=r"saved by a classifier of your own \(mine.py:Words\), and code that a"):
        load_classifier(folder / "kept")
    loaded = load_classifier(folder / "kept", code="mine.py:Words")
    assert loaded.names == ("bad", "good")
    assert len(loaded.learned_marks) == 60
    np.testing.assert_allclose(loaded.predict_proba(["a dull one"]), [[0.1, 0.9]])
    assert "other code" not in caplog.text
    (folder / "mine.py").write_text(CODE + "\nOTHER = 1\n")
    load_classifier(folder / "kept", code="mine.py:Words")
    assert "was saved by other code than mine.py:Words has now" in caplog.text
    with pytest.raises(InputError, match=r"it has no `load\(folder\)`"):
        load_classifier(folder / "kept", code="mine.py:NoLoad")
    (folder / "kept" / "own" / "word.txt").write_text("fine")
    with pytest.raises(InputError, match=r"word\.txt"):
        load_classifier(folder / "kept", code="mine.py:Words")


def test_code_is_refused_for_another_kind(folder: Path) -> None:
    make_classifier(Tfidf()).fit(TEXTS, LABELS).save(folder / "kept")
    with pytest.raises(InputError, match="of the kind 'sklearn', which needs no code of yours"):
        load_classifier(folder / "kept", code="mine.py:Words")


def test_it_labels_learns_and_labels_again_on_the_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervised = ["data=data.jsonl", "train=train.jsonl", "out=weak.jsonl"]
    assert main(["weak", "label", *supervised, "supervisor=mine.py:Words", "supervisor.settings.word=fine"]) == 0
    assert "40 rows labelled: bad 50%, good 50%; mean confidence 0.90" in capsys.readouterr().out
    assert main(["weak", "train", "data=weak.jsonl", "student=mine.py:Words", "held_out=0.5", "out=run"]) == 0
    provenance = json.loads((folder / "run" / "provenance.json").read_text())
    assert "the code of mine.py:Words" in provenance["inputs"]
    saved = ["saved=run/classifier", "data=train.jsonl", "out=again.jsonl"]
    assert main(["weak", "label", *saved]) == 2
    assert "name it yourself" in capsys.readouterr().err
    assert main(["weak", "label", *saved, "supervisor=mine.py:Words"]) == 0


def test_a_study_knows_it_by_its_content(
    folder: Path, tmp_path: Path, shared_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENCHANT_DATA", str(shared_data("README.md").parent))

    def addresses(name: str) -> set[str]:
        config = WeakToStrongConfig(
            weak=["tfidf", name], strong=[{"model": "penchant-5m"}, name], losses=["cross_entropy"]
        )
        assert config.weak[1] == config.strong[1] == OwnClassifier(factory=name)
        return {stage.address for stage in weak_grid(config).stages() if "classifier" in stage.inputs}

    before = addresses("mine.py:Words")
    assert before
    (tmp_path / "mine.py").write_text(CODE + "\nOTHER = 1\n")
    assert not before & addresses("mine.py:Words")
    with pytest.raises(InputError, match="did you mean `Words`"):
        addresses("mine.py:Wrods")


def test_short_forms_keep_their_meaning() -> None:
    study = WeakToStrongConfig(
        weak=["tfidf", "models/run:1/model", {"name": "mine.py:Words", "rows": 20}], strong=[{"model": "m"}]
    )
    assert study.weak[:2] == (Tfidf(), Probe(model="models/run:1/model"))
    assert labels(study.weak) == ["TF-IDF", "model", "mine.py:Words on 20 rows"]
    assert pt.WeakLabel(data="x", out="y", train="z", supervisor="a/mine.py:Words").supervisor == OwnClassifier(
        factory="a/mine.py:Words"
    )


@pytest.mark.slow
def test_a_study_runs_with_a_loss_a_supervisor_and_students_of_the_users(
    folder: Path, stories: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENCHANT_DATA", str(folder))
    (folder / "tasks.py").write_text(
        "from penchant.tasks import task\n"
        "from penchant.types import LabeledExample\n"
        "@task(title='Films', classes=('bad', 'good'), local=('films.jsonl',))\n"
        "def films(row):\n"
        "    yield LabeledExample(row['text'], row['label'])\n"
    )
    (folder / "losses.py").write_text("def later(logits, labels, progress):\n    return labels\n")
    rows = [{"text": f"film {n}: a {('dull', 'fine')[n % 2]} one", "label": n % 2} for n in range(120)]
    (folder / "films.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    strong = f"strong=[{{model: {stories}}}, mine.py:WithLoss]"
    grid = ["tasks=[tasks.py:films]", "weak=[tfidf, mine.py:Words]", strong, "losses=[cross_entropy, losses.py:later]"]
    assert main(["study", "weak-to-strong", *grid, "seeds=[0]", "out=study"]) == 0
    study = json.loads((folder / "study" / "study.json").read_text())
    assert study["failures"] == []
    students = {(cell["weak"], cell["strong"], cell["loss"]) for cell in study["cells"]}
    assert len(students) == 8
    probes = {cell["loss"]: cell for cell in study["cells"] if cell["strong"] != "mine.py:WithLoss"}
    assert probes["losses.py:later"]["student"] == probes["naive"]["student"]  # its target are the labels
