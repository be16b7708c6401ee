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


def test_an_empty_cell_stays_empty_and_a_formula_behind_a_number_is_quoted() -> None:
    """The columns of intervals are empty where there is none."""
    rows = (("dpo", "0.1 [0.0, 0.2]"), ("-1+cmd|' /C calc'!A0", "–"), ("-1 + 2", "-"))
    lines = csv_text(split_intervals(Table("t", ("run", "reward"), rows))).splitlines()
    assert lines[1:] == ["dpo,0.1,0.0,0.2", "'-1+cmd|' /C calc'!A0,–,,", "-1 + 2,'-,,"]


def test_columns_of_words_are_told_from_columns_of_numbers() -> None:
    rows = (
        ("dpo", "beta 0.1", "0.3 [0.2, 0.4]", "p < 0.001", "−1", "–", "12 tests"),
        ("sft", "–", "undefined (one run)", "p 0.02", "+2", "–", "all"),
    )
    columns = ("run", "setting", "reward", "p", "change", "empty", "tests")
    assert Table("t", columns, rows).text_columns == {1}


def test_a_table_with_texts_to_read_breaks_them() -> None:
    """On one line a text would push the other columns off the page."""
    assert Table("Rows to read", ("text", "label"), (("a text of many words " * 5, "good"),)).has_texts
    assert not Table("Methods", ("method", "reward"), (("DPO", "0.52 [0.41, 0.63]"),)).has_texts
