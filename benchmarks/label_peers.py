"""Label models and confident learning beside the packages that they were first written in.

    python -m venv .venv-peers && .venv-peers/bin/pip install -e . snorkel cleanlab crowd-kit
    PENCHANT_DATA=../shared/data .venv-peers/bin/python benchmarks/label_peers.py --out label-peers.json

Moment matching is compared with Snorkel's `LabelModel` from the same start (Snorkel multiplies it by a random number,
which is drawn here again), Dawid-Skene with crowd-kit's after as many iterations, confident learning with cleanlab's
confident joint and label issues on the same probabilities. Each comparison is the largest distance of any probability,
and seconds of both sides in turn: the median of five. Votes are simulated, and those of `examples/youtube_spam.py` on
YouTube comments where these are at hand. One process.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.tasks.load import data_folder
from penchant.weak.label_models.dawid_skene import fit_dawid_skene
from penchant.weak.label_models.moments import fit_moments
from penchant.weak.label_models.settings import WeakSources
from penchant.weak.label_models.sources import collect_votes
from penchant.weak.label_models.votes import patterns_of
from penchant.weak.semi_supervised.confident_joint import confident_joint

PEERS = ("snorkel", "crowd-kit", "cleanlab", "torch", "numpy")
REPEATS = 5
RULES = Path(__file__).resolve().parent.parent / "examples" / "youtube_spam.py"
Votes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Row = dict[str, str | float]


def simulate(rows: int, sources: int, prior: Sequence[float], *, coverage: float, seed: int = 0) -> Votes:
    """Return votes of sources that are right with .55 to .9 of their votes, and err evenly."""
    random = np.random.default_rng(seed)
    truth = random.choice(len(prior), size=rows, p=prior)
    right = random.random((rows, sources)) < random.uniform(0.55, 0.9, sources)
    other = (truth[:, None] + random.integers(1, len(prior), right.shape)) % len(prior)
    return np.where(random.random(right.shape) < coverage, np.where(right, truth[:, None], other), -1)


def youtube_votes() -> Votes | None:
    """Return the votes of ten rules on the comments of four videos; None where the comments are not at hand."""
    folder = data_folder()
    if folder is None or not (folder / "youtube_spam").is_dir():
        return None
    config = WeakSources(
        data=f"{folder}/youtube_spam/Youtube0[1-4]*.csv.gz",
        functions=(str(RULES),),
        text="CONTENT",
        classes=("ham", "spam"),
    )
    return collect_votes(config).votes.answers


def cases() -> Iterator[tuple[str, Votes, Numbers]]:
    """Yield votes by a name, with the prior of their classes."""
    for rows, sources, prior, coverage in (
        (2_000, 8, (0.5, 0.5), 0.5),
        (2_000, 8, (0.3, 0.7), 0.5),
        (2_000, 8, (0.2, 0.3, 0.5), 0.5),
        (20_000, 20, (0.25, 0.25, 0.25, 0.25), 0.3),
    ):
        votes = simulate(rows, sources, prior, coverage=coverage)
        yield f"{rows:,} rows, {sources} sources, prior {' '.join(map(str, prior))}", votes, np.array(prior)
    if (votes := youtube_votes()) is not None:
        yield f"YouTube comments, {len(votes):,} rows, {votes.shape[1]} rules", votes, np.array([0.5, 0.5])


def beside_snorkel(name: str, votes: Votes, prior: Numbers, epochs: int) -> Row:
    """Compare moment matching with Snorkel's label model, as both are fitted and predict."""
    from snorkel.labeling.model import LabelModel

    peer = LabelModel(cardinality=len(prior), verbose=False)
    # the first number that Snorkel draws after it has set its seed
    scale = float(np.random.RandomState(1).random_sample())
    patterns = patterns_of(votes, len(prior))

    def theirs() -> Numbers:
        peer.fit(votes, class_balance=prior.tolist(), n_epochs=epochs, seed=1, progress_bar=False)
        return np.asarray(peer.predict_proba(votes))

    def ours() -> Numbers:
        patterns = patterns_of(votes, len(prior))
        fit = fit_moments(patterns, prior, epochs=epochs, start_scale=scale)
        return fit.probabilities[patterns.pattern_of_row]

    row = _compared(f"Snorkel, {epochs} steps", name, theirs, ours)
    table = fit_moments(patterns, prior, epochs=epochs, start_scale=scale).answers
    assert table is not None
    given_class = table[:, :, :-1].transpose(0, 2, 1).reshape(-1, len(prior))
    return row | {"distance of P(vote | class)": float(np.abs(given_class - peer.mu.detach().numpy()).max())}


def beside_crowd_kit(name: str, votes: Votes, prior: Numbers) -> Row:
    """Compare Dawid-Skene with crowd-kit's by its settings: no smoothing, silence missing, a prior that is learned."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    voted = votes[(votes >= 0).any(1)]
    rows, sources = np.nonzero(voted >= 0)
    frame = pd.DataFrame({"task": rows, "worker": sources, "label": voted[rows, sources]})

    def theirs() -> Numbers:
        fitted = DawidSkene(n_iter=20, tol=-np.inf).fit(frame)
        return fitted.probas_.sort_index()[list(range(len(prior)))].to_numpy()

    def ours() -> Numbers:
        patterns = patterns_of(voted, len(prior))
        fit = fit_dawid_skene(
            patterns,
            prior,
            abstention="missing",
            smoothing=0.0,
            learn_prior=True,
            iterations=20,
            tolerance=-np.inf,
        )
        return fit.probabilities[patterns.pattern_of_row]

    return _compared("crowd-kit, 20 iterations", name, theirs, ours)


def beside_cleanlab(rate: float) -> Row:
    """Compare the confident joint and the suspects on scikit-learn's digits, of which a share has a wrong label."""
    from cleanlab.count import compute_confident_joint
    from cleanlab.filter import find_label_issues
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    images, truth = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    wrong = random.random(len(truth)) < rate
    labels = np.where(wrong, (truth + random.integers(1, 10, len(truth))) % 10, truth)
    classifier = LogisticRegression(C=0.01, max_iter=300)
    probabilities = cross_val_predict(classifier, images / 16, labels, method="predict_proba", cv=5)

    def theirs() -> tuple[Numbers, Votes]:
        counts = compute_confident_joint(labels, probabilities, calibrate=False)
        # theirs calibrates to whole rows; these are the same shares before they are rounded
        joint = counts / counts.sum(1, keepdims=True) * np.bincount(labels)[:, None] / len(labels)
        issues = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
        return joint, issues

    def ours() -> tuple[Numbers, Votes]:
        joint = confident_joint(labels, probabilities)
        return joint.joint, joint.is_suspect

    (their_joint, their_issues), (our_joint, our_issues) = theirs(), ours()
    row = _compared("cleanlab", f"digits, {rate:.0%} wrong labels", lambda: theirs()[0], lambda: ours()[0])
    assert np.abs(their_joint - our_joint).max() == row["distance"]
    return row | {
        "suspects": int(our_issues.sum()),
        "rows called otherwise": int((our_issues != their_issues).sum()),
    }


def _compared(peer: str, name: str, theirs: Callable[[], Numbers], ours: Callable[[], Numbers]) -> Row:
    """Return the largest distance of two sides, and the seconds of each."""
    times: dict[str, list[float]] = {"theirs": [], "ours": []}
    outputs: dict[str, Numbers] = {}
    # in turn: what slows the machine for a while slows both
    for _ in range(REPEATS):
        for side, compute in (("theirs", theirs), ("ours", ours)):
            started = time.perf_counter()
            outputs[side] = compute()
            times[side].append(time.perf_counter() - started)
    return {
        "peer": peer,
        "votes": name,
        "distance": float(np.abs(outputs["theirs"] - outputs["ours"]).max()),
        "seconds theirs": statistics.median(times["theirs"]),
        "seconds ours": statistics.median(times["ours"]),
    }


def main() -> None:
    """Print a line per comparison, and write all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("label-peers.json"), metavar="FILE")
    out = parser.parse_args().out
    logging.disable(logging.WARNING)  # Snorkel tells each step of its descent
    versions = {name: version(name) for name in PEERS}
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    rows = []
    for name, votes, prior in cases():
        rows += [beside_snorkel(name, votes, prior, epochs) for epochs in (100, 1_000)]
        rows.append(beside_crowd_kit(name, votes, prior))
    rows += [beside_cleanlab(rate) for rate in (0.1, 0.3, 0.5)]
    for row in rows:
        print("  ".join(f"{key}: {text:.2g}" if isinstance(text, float) else str(text) for key, text in row.items()))
    out.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
