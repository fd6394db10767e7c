"""Text on a terminal, where a Chinese character takes two columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mika.cli.screen.width import cut, pad, width


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("worker", 6, "worker"),
        ("worker", 5, "work…"),
        ("worker", 1, "…"),
        ("worker", 0, ""),
        ("two\nlines", 9, "two lines"),
        ("订单处理", 8, "订单处理"),
        ("订单处理", 7, "订单处…"),
        ("订单处理", 6, "订单…"),
    ],
)
def test_what_fits(text, columns, expected):
    assert cut(text, columns) == expected


@given(st.text(), st.integers(0, 30))
def test_nothing_is_wider_than_asked_for(text, columns):
    assert width(cut(text, columns)) <= columns


def test_columns_are_filled():
    assert pad("订单", 6) == "订单  "
    assert pad("7", 3, right=True) == "  7"
