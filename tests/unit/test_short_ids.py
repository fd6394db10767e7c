"""The ids of a list, as short as they can be and still each name one workflow."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st
from mika.doctor.workflows.ids import SHORTEST, short_ids


def test_only_random_parts_are_cut():
    message, run = "process_message_" + "8bc6a514" * 4, "order-" + str(uuid.UUID(int=7 << 100))
    assert short_ids([message, run, "order-17", "deadbeef"]) == {
        message: "8bc6a514",
        run: str(uuid.UUID(int=7 << 100))[:8],
        "order-17": "order-17",
        "deadbeef": "deadbeef",
    }
    retried = f"{message}-retry-a1b2c3"  # has every part of the other one
    assert short_ids([message, retried]) == {message: message, retried: retried}


ALIKE = st.lists(st.text("01a", min_size=16, max_size=20), unique=True)


@given(ALIKE | st.lists(st.text(), unique=True))
def test_each_names_one(ids):
    for id_, part in short_ids(ids).items():
        assert part in id_
        if part != id_:
            assert len(part) >= SHORTEST
            assert [other for other in ids if part in other] == [id_]
