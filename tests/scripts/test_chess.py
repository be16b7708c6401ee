"""Positions for chess models: what is kept of games, the tokens, what is left out, and that they learn."""

from __future__ import annotations

import dataclasses
import random
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

chess = pytest.importorskip("chess", reason="needs the package chess: pip install 'penchant[chess]'")

from pretraining.chess_corpus import build, puzzle_keys, write_rows  # noqa: E402
from pretraining.chess_evaluation import accuracy, surprise_of  # noqa: E402
from pretraining.chess_games import Play, games, key_of  # noqa: E402
from pretraining.chess_shapes import SHAPES, new_chess_model  # noqa: E402
from pretraining.chess_tokens import ASKED_AT, LENGTH, MoveRows, chess_tokenizer, table_of  # noqa: E402
from pretraining.shapes import Shape, Training  # noqa: E402
from pretraining.training import train  # noqa: E402

from penchant.tasks import load_task  # noqa: E402
from penchant.tasks.positions import answer_of, board_of, legal_moves, prompt_of  # noqa: E402
from penchant.weak.classifiers.chess_engine import running_engine  # noqa: E402

PLAY = Play(longest=30)
TINY = Shape(
    "tiny",
    16,
    1,
    2,
    32,
    Training(epochs=3, batch=8, learning_rate=1e-2, context=300, checkpoint_every=50, look_every=99),
)


def test_games_without_an_engine_prefer_captures_and_come_again() -> None:
    one, other = (list(islice(games(None, PLAY, 3), 3)) for _ in range(2))
    assert one == other
    assert one != list(islice(games(None, PLAY, 4), 3))
    for position in one[0]:
        board = board_of(position.prompt)
        move = board.parse_uci(position.answer.strip())
        assert board.is_capture(move) or not any(board.is_capture(each) for each in board.legal_moves)
        mirrored = board_of(position.mirrored[0])
        assert key_of(mirrored) == key_of(board.mirror())
        assert mirrored.parse_uci(position.mirrored[1].strip()) in mirrored.legal_moves


@pytest.mark.parametrize(
    "change",
    [{"random_moves": 0.9}, {"second_best": 0.7}, {"others": 0.9}, {"longest": 9}, {"depth": 2}, {"margin": 2000}],
    ids=str,
)
def test_every_setting_of_play_counts(change: dict[str, Any], stockfish: str) -> None:
    with running_engine(stockfish) as engine:
        base, other = (next(games(engine, play, 0)) for play in (PLAY, dataclasses.replace(PLAY, **change)))
        assert base == next(games(engine, PLAY, 0))
    assert base != other


def test_every_square_has_its_token_at_its_place() -> None:
    tokenizer, draw = chess_tokenizer(), random.Random(0)
    board, texts = chess.Board(), []
    for _ in range(200):
        if board.is_game_over():
            board = chess.Board()
        move = draw.choice(legal_moves(board))
        board.push(move)
        if not board.is_game_over():
            texts.append(prompt_of(board, move) + answer_of(legal_moves(board)[0]))
    texts.append(  # promotions before and after, castling, en passant
        "r___k___/________/________/___pP___/________/________/p_______/R___K__q w Qq d6\nLast move: h2h1q\n"
        "Best move: e5d6"
    )
    table = table_of(tokenizer, texts)
    assert table.shape == (len(texts), LENGTH)
    assert tokenizer.unk_token_id not in table
    assert set(table[:, 0]) == set(table[:, -1]) == {tokenizer.eos_token_id}
    assert {tokenizer.decode([one]) for one in table[:, ASKED_AT]} == {"\nBest move:"}
    assert tokenizer.decode(table[3][1:-1].tolist()) == texts[3]
    with pytest.raises(AssertionError, match="task's format"):
        table_of(tokenizer, ["a fine film"])


def test_rows_are_shuffled_anew_each_epoch() -> None:
    table = np.arange(10 * LENGTH, dtype=np.uint16).reshape(10, LENGTH)
    rows = MoveRows(table, batch=3, seed=0)
    epochs = [np.concatenate([rows.batch_of(3 * epoch + step).numpy() for step in range(3)]) for epoch in range(2)]
    assert not np.array_equal(*epochs)
    assert all(len(np.unique(epoch[:, 0])) == 9 for epoch in epochs)
    with pytest.raises(ValueError, match="do not fill a batch"):
        MoveRows(table, batch=11, seed=0)


def test_puzzles_and_their_mirror_images_are_left_out(tmp_path: Path) -> None:
    """The puzzle is a position that the games are known to come to."""
    common = next(position for game in islice(games(None, PLAY, 0), 1) for position in game)
    board = board_of(common.prompt)
    puzzles = {key_of(board), key_of(board.mirror())}
    corpus = build(None, "none", PLAY, puzzles, tmp_path, 40, 10, 0)
    assert (len(corpus.train), len(corpus.held_out)) == (40, 10)
    assert corpus.dropped >= 1
    keys = [{one.key for one in part} for part in (corpus.train, corpus.held_out)]
    assert [len(each) for each in keys] == [40, 10]
    assert not (keys[0] | keys[1]) & puzzles
    assert not keys[0] & keys[1]
    assert build(None, "none", PLAY, puzzles, tmp_path, 40, 10, 0) == corpus  # from its file
    assert len(corpus.texts) == 80


def test_held_out_positions_are_rows_of_a_task(tmp_path: Path) -> None:
    corpus = build(None, "none", PLAY, set(), tmp_path, 40, 60, 0)
    write_rows(corpus.held_out, tmp_path / "chess" / "self_play.csv")
    data = load_task("chess_positions", folder=tmp_path)
    asked = {example.text: example.options[example.label] for example in (*data.train, *data.test)}
    assert asked.items() <= {position.prompt: position.answer for position in corpus.held_out}.items()
    assert len(asked) > 40  # fewer than 60 where a capture mates, or one move is left
    assert len({position.game for position in corpus.held_out}) > 3
    # positions of a game stand on one side
    assert not {example.group for example in data.train} & {example.group for example in data.test}


def test_the_real_puzzles_have_keys(shared_data: Any) -> None:
    keys = puzzle_keys(shared_data("chess/lichess_puzzles.csv"))
    assert len(keys) == 2000


def test_it_learns_answers_alone(tmp_path: Path) -> None:
    corpus = build(None, "none", PLAY, set(), tmp_path, 120, 30, 0)
    tokenizer = chess_tokenizer()
    model = new_chess_model(TINY, vocabulary=len(tokenizer), end=tokenizer.eos_token_id)
    table, held_out = (
        table_of(tokenizer, [one.prompt + one.answer for one in part]) for part in (corpus.train, corpus.held_out)
    )
    before = surprise_of(model, held_out)
    assert before == pytest.approx(np.log(len(tokenizer)), rel=0.05)
    prompt = surprise_of_prompt(model, held_out)
    rows = MoveRows(table, batch=8, seed=0)
    run = train(model, rows, TINY.training, tmp_path, "tiny", lambda now: surprise_of(now, held_out))
    assert run.steps == 45
    assert surprise_of(model, held_out) < 0.75 * before
    assert surprise_of_prompt(model, held_out) > prompt  # nothing taught it that
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    right, chance = accuracy(str(tmp_path / "model"), corpus.held_out)
    assert 0 <= right.value <= 1
    assert 0 < chance < 0.5
    assert right.n == 30


@torch.no_grad()
def surprise_of_prompt(model: Any, table: np.ndarray) -> float:
    ids = torch.from_numpy(table.astype(np.int64))[:, :ASKED_AT]
    return float(model(input_ids=ids, labels=ids).loss)


def test_the_models_have_the_sizes_of_their_names() -> None:
    for name, shape in SHAPES.items():
        count = sum(weight.numel() for weight in new_chess_model(shape, vocabulary=240, end=0).parameters())
        assert round(count / 1e6, 1) == float(name.removeprefix("chess-").removesuffix("m"))
