"""A chess engine as a supervisor: what it makes of the options of a position, at a depth or number of nodes.

It learns nothing, so every label of it is out of sample. It is deterministic: one thread, a fixed limit, and a hash
that is empty before each position.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from penchant.errors import InputError, MissingExtra, RunError
from penchant.runs.progress import progress_bar
from penchant.tasks.positions import board_of, chess_library
from penchant.types import PromptGroup, prompt_text
from penchant.weak.contract import (
    FITTED_FIRST,
    Example,
    Probabilities,
    Validation,
    as_probabilities,
    read_kind,
    refuse_bare_example,
    refuse_unlabeled,
    width_of,
    write_kind,
)
from penchant.weak.settings import ChessEngine

if TYPE_CHECKING:
    import chess
    import chess.engine

ELSEWHERE = "/usr/games"
"""Where Debian puts engines, which is not on everybody's path."""
MATE = 100_000
"""Centipawns of a mate, less the moves until then."""


class ChessEngineClassifier:
    """Probabilities of a position's options: a softmax of an engine's scores, in centipawns over the temperature.

    Args:
        settings: which engine, and how far it looks. names: nothing has names here; kept with what is saved.
    """

    def __init__(self, settings: ChessEngine, *, names: Sequence[str] | None = None) -> None:
        self.settings = settings
        self.names = tuple(names) if names else None
        self.learned_marks: frozenset[str] = frozenset()  # it learns nothing
        self.width = 0

    def fit(
        self,
        examples: Sequence[Example],
        targets: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        unlabeled: Sequence[Example] | None = None,
        validation: Validation | None = None,
        classes: int | None = None,
    ) -> Self:
        """Fit as `Classifier.fit` says, but learn nothing: of examples and targets only the shapes are looked at.

        Raises:
            InputError: examples that are no positions. MissingExtra: no engine.
        """
        refuse_unlabeled(unlabeled, "an engine")
        for index, example in enumerate(examples):
            _position(example, index)
        # only the number of columns is taken from the targets
        self.width = as_probabilities(targets, len(examples), classes or width_of(examples) or None).shape[1]
        with running_engine(self.settings.path):  # a missing one should be noticed before any work
            return self

    def predict_proba(self, examples: Sequence[Example]) -> Probabilities:
        """Predict as `Classifier.predict_proba` says.

        Raises:
            InputError: an example that is no position, or an option that is no legal move.
        """
        if not self.width:
            raise InputError(FITTED_FIRST)
        refuse_bare_example(examples)
        positions = [_position(example, index) for index, example in enumerate(examples)]
        # `fit` fixed the number of columns
        if positions and (widest := max(len(moves) for _, moves in positions)) > self.width:
            raise InputError(
                f"a row has {widest} options, more than the {self.width} that this classifier was made for"
            )
        probabilities = np.zeros((len(examples), self.width))
        with (
            running_engine(self.settings.path) as engine,
            progress_bar("engine", len(positions), "positions") as advance,
        ):
            for row, (board, moves) in enumerate(positions):
                probabilities[row, : len(moves)] = self._opinion(engine, board, moves)
                advance(1, "")
        return probabilities

    def save(self, folder: str | Path) -> None:
        """Save as `Classifier.save` says: the settings, without the program's path."""
        if not self.width:
            raise InputError(FITTED_FIRST)
        settings = self.settings.model_dump(mode="json", exclude={"path"})
        write_kind(Path(folder), "engine", {"settings": settings, "names": self.names, "classes": self.width})

    @classmethod
    def load(cls, folder: str | Path, *, path: str = "stockfish") -> Self:
        """Load what `save` wrote. The caller says which program is run: the folder's own word does not count."""
        content = read_kind(Path(folder))
        classifier = cls(ChessEngine(**{**content["settings"], "path": path}), names=content["names"])
        classifier.width = content["classes"]
        return classifier

    def _opinion(
        self, engine: chess.engine.SimpleEngine, board: chess.Board, moves: Sequence[chess.Move]
    ) -> Probabilities:
        """Return probabilities of the moves, shape (moves,); those beyond the engine's best few have none."""
        import chess.engine

        settings = self.settings
        limit = chess.engine.Limit(depth=settings.depth, nodes=settings.nodes)
        # an engine cannot report more lines than there are moves
        lines = min(settings.multipv or len(moves), len(moves))
        try:  # a game of its own, so that nothing is remembered of the position before
            analysis = engine.analyse(board, limit, multipv=lines, game=object(), root_moves=list(moves))
        except chess.engine.EngineError as error:
            raise RunError(f"{settings.path} stopped at {board.fen()}: {error}") from error
        # a move that the engine did not report gets a probability of 0
        scores = np.full(len(moves), -np.inf)
        for line in analysis:
            scores[moves.index(line["pv"][0])] = line["score"].relative.score(mate_score=MATE)
        # the largest exponent is 0: a mate, 100,000 centipawns, would overflow
        weights = np.exp((scores - scores.max()) / settings.temperature)
        return np.asarray(weights / weights.sum())


@contextmanager
def running_engine(path: str, *, hash_mib: int = 16) -> Iterator[chess.engine.SimpleEngine]:
    """Yield an engine of `chess.engine` that speaks UCI, on one thread, for as long as the context lasts.

    Raises:
        MissingExtra: no such program, or `chess` is not installed.
        InputError: the program speaks no UCI.
    """
    chess_library()
    import chess.engine

    program = shutil.which(path) or shutil.which(path, path=ELSEWHERE)
    if program is None:
        raise MissingExtra(
            f"no chess engine {path!r} here: install one (Debian: apt install stockfish), or give its path"
        )
    try:
        engine = chess.engine.SimpleEngine.popen_uci(program)
    except (chess.engine.EngineError, OSError, TimeoutError) as error:
        raise InputError(f"{path} is no engine that speaks UCI: {error}") from error
    try:
        # several threads make a search depend on the clock, and a hash that is kept on the order of positions
        options = {"Threads": 1, "Hash": hash_mib}
        engine.configure({name: value for name, value in options.items() if name in engine.options})
        yield engine
    finally:
        engine.close()


def _position(example: Example, index: int) -> tuple[chess.Board, list[chess.Move]]:
    """Return the board and the options as moves."""
    if not isinstance(example, PromptGroup):
        raise InputError(
            f"example {index} is a text or a picture without options: a chess engine chooses among the moves of a "
            "position"
        )
    try:
        board = board_of(prompt_text(example.prompt))
        return board, [board.parse_uci(option.text.strip()) for option in example.responses]
    except ValueError as error:
        raise InputError(
            f"example {index}: a chess engine reads positions with legal moves as options; {error}"
        ) from error
