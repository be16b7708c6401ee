"""What `--help` says of settings, and which of them lack an explanation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config_example import LOSS_NAMES, Method, Optimizer
from penchant.config import Config, describe, undocumented_fields
from penchant.losses import Sigmoid


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
