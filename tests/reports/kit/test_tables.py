"""Tables that are saved from a page."""

from __future__ import annotations

from penchant.reports.kit.tables import Table, csv_text, split_intervals


def test_intervals_have_columns_of_their_own() -> None:
    rows = (("dpo", "−0.2 [−0.3, −0.1]", "12"), ("sft", "0.1 [no interval: 6 prompts]", "–"))
    split = split_intervals(Table("Rewards.", ("run", "reward", "steps"), rows))
    assert split.columns == ("run", "reward", "reward, low", "reward, high", "steps")
    assert split.rows == (
        ("dpo", "-0.2", "-0.3", "-0.1", "12"),
        ("sft", "0.1 [no interval: 6 prompts]", "", "", "–"),
    )


def test_a_table_without_rows_keeps_its_heads() -> None:
    assert csv_text(split_intervals(Table("Empty.", ("a", "b"), ()))) == "a,b\n"


def test_a_spreadsheet_gets_no_formula() -> None:
    table = Table("t", ("name", "value"), (("=HYPERLINK(1)", "-1"), ("@x", "+2"), ("a,b", "\u202ec")))
    assert csv_text(table) == "name,value\n'=HYPERLINK(1),-1\n'@x,+2\n\"a,b\",⟨U+202E⟩c\n"
