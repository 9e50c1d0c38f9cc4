"""The choices above a table: side by side, or as a list where their names are long."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def draw(name: str) -> None:
    """What a page draws to choose a side, when the sides have such names."""
    from pages._shared.tables import part

    part("matches", "side", "Both sides", {"left": name, "right": name[::-1]})


@pytest.mark.parametrize(("name", "lists"), [("Ledger", 0), ("Extract of the general ledger, October", 1)])
def test_long_names_are_in_a_list(name: str, lists: int) -> None:
    """So that the other choices stay in one line; every side can be chosen either way."""
    drawn = AppTest.from_function(draw, args=(name,)).run()
    assert not drawn.exception
    assert len(drawn.selectbox) == lists
    assert len(drawn.get("button_group")) == 1 - lists
    if lists:
        assert drawn.selectbox[0].options == ["Both sides", name, name[::-1]]
