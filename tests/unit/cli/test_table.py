"""Columns as Go's tabwriter aligns them."""

from __future__ import annotations

from fairlead.cli.table import aligned


def test_columns_are_as_wide_as_their_widest_cell_and_three_more() -> None:
    assert aligned(["A\tB", "a long cell\tx"]) == "A             B\na long cell   x\n"


def test_a_column_has_ten_characters_at_least() -> None:
    assert aligned(["A\tB\tC"]) == "A         B         C\n"


def test_a_line_without_the_cell_ends_the_column() -> None:
    assert aligned(["long long cell\tx", "no tab", "a\ty"]) == "long long cell   x\nno tab\na         y\n"


def test_empty_cells_keep_their_place() -> None:
    assert aligned(["A\t\tC", "\tb\t"]) == "A                   C\n          b         \n"
