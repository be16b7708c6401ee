"""Positions to train on and to measure on: of different games, none of them twice, none of a puzzle."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import time
from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path

import chess
import chess.engine

from penchant.data.sources.files import RowProblem, read_rows
from penchant.errors import InputError
from penchant.files import atomic_write
from penchant.runs.progress import progress_bar
from pretraining.chess_games import Play, Position, games, key_of


@dataclass(frozen=True)
class Corpus:
    """Positions with answers.

    Attributes:
        engine: who answered. train, held_out: share no position and no game. dropped: positions of puzzles that came
            up.
        seconds: that the games took. fingerprint: of the texts.
    """

    engine: str
    play: Play
    seed: int
    train: tuple[Position, ...]
    held_out: tuple[Position, ...]
    dropped: int
    seconds: float

    @property
    def texts(self) -> list[str]:
        """The texts to train on: each position, and the same with colours swapped."""
        return [
            text for position in self.train for text in (position.prompt + position.answer, "".join(position.mirrored))
        ]

    @property
    def fingerprint(self) -> str:
        """A digest of the texts."""
        return hashlib.sha256("\n\n".join(self.texts).encode()).hexdigest()[:16]

    def described(self) -> dict[str, object]:
        """Return what a model's record says of it."""
        return {
            "engine": self.engine,
            "play": asdict(self.play),
            "seed": self.seed,
            "train": len(self.train),
            "with_colours_swapped": 2 * len(self.train),
            "held_out": len(self.held_out),
            "dropped_as_puzzles": self.dropped,
            "seconds": self.seconds,
            "fingerprint": self.fingerprint,
        }


def puzzle_keys(file: Path) -> set[str]:
    """Return the positions that puzzles ask about, and the same with colours swapped.

    Raises:
        InputError: a row that is no puzzle.
    """
    keys = set()
    for row in read_rows(file):
        if isinstance(row, RowProblem):
            raise InputError(str(row))
        board = chess.Board(row.values["FEN"])
        board.push_uci(row.values["Moves"].split()[0])  # the opponent's: it is asked what follows
        keys |= {key_of(board), key_of(board.mirror())}
    return keys


def build(
    engine: chess.engine.SimpleEngine | None,
    name: str,
    play: Play,
    puzzles: Set[str],
    folder: Path,
    train: int,
    held_out: int,
    seed: int,
) -> Corpus:
    """Return positions of games, from the folder's file if it has them already: held out first, then to train on."""
    fields = [field.name for field in dataclasses.fields(Position)]  # a file of other fields is another file
    identity = json.dumps([name, asdict(play), sorted(puzzles), train, held_out, seed, fields])
    file = folder / f"positions-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
    if not file.exists():
        started = time.monotonic()
        to_measure, to_learn, dropped = _draw(engine, play, puzzles, train, held_out, seed)
        content = {
            "held_out": [asdict(position) for position in to_measure],
            "train": [asdict(position) for position in to_learn],
            "dropped": dropped,
            "seconds": round(time.monotonic() - started, 1),
        }
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(file, json.dumps(content))
    content = json.loads(file.read_text())
    parts = [
        tuple(Position(**{**position, "mirrored": tuple(position["mirrored"])}) for position in content[part])
        for part in ("train", "held_out")
    ]
    # asked of the file, too, whoever wrote it
    keys = [{key for position in part for key in _keys(position)} for part in parts]
    assert not keys[0] & keys[1], "a position is trained on and held out"
    assert not (keys[0] | keys[1]) & puzzles, "a puzzle is among the positions"
    return Corpus(name, play, seed, *parts, content["dropped"], content["seconds"])


def write_rows(positions: Sequence[Position], file: Path) -> None:
    """Write positions as rows of the task `chess_positions`, in the columns of Lichess's puzzles."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["FEN", "Moves", "GameId"])
    for position in positions:
        last = position.prompt.splitlines()[1].removeprefix("Last move: ")
        rows.writerow([position.fen, last + position.answer, position.game])
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(file, text.getvalue())


def _keys(position: Position) -> set[str]:
    """Return the keys of a position and of the same with colours swapped."""
    return {position.key, key_of(chess.Board(position.key).mirror())}


def _draw(
    engine: chess.engine.SimpleEngine | None, play: Play, puzzles: Set[str], train: int, held_out: int, seed: int
) -> tuple[list[Position], list[Position], int]:
    """Draw positions to measure on, then those to train on; count those of puzzles, which are dropped."""
    seen: set[str] = set()
    parts: tuple[list[Position], list[Position]] = ([], [])
    sizes, dropped, part = (held_out, train), 0, 0
    with progress_bar("positions", train + held_out, "positions") as advance:
        for game in games(engine, play, seed):
            before = sum(map(len, parts))
            for position in game:
                if position.key in puzzles:
                    dropped += 1
                elif position.key not in seen and len(parts[part]) < sizes[part]:
                    seen |= _keys(position)
                    parts[part].append(position)
            advance(sum(map(len, parts)) - before, "")
            if len(parts[part]) == sizes[part]:  # at the end of a game, so that no game is in both parts
                part += 1
                if part == len(parts):
                    return *parts, dropped
    raise AssertionError("games never end")
