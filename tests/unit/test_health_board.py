"""The headline of the health page agrees with every tile and card below it; few calls and few failures alarm nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from pages._shared.health_board import Card, Tone, dependencies, figures, sentence
from services.health import Health
from services.probes import Part
from services.rolling import EDGES, Figures

FAST, MEDIUM, SLOW = (f"api:{EDGES.index(edge)}" for edge in (0.1, 1.0, 2.5))
GOOD = {"requests": 1000, FAST: 1000, "page:0": 1000, "sessions": 50}
WELL = Health("ok", {"database": Part("ok", 1, ""), "redis": Part("ok", 1, "")}, {})


def told(
    now: Mapping[str, int] = GOOD, *cards: Card, hour: Mapping[str, int] = GOOD, health: Health = WELL
) -> tuple[Tone, str]:
    """The headline with these counts, named as `Figures` has them, in the last five minutes and in the hour."""
    spans = {"5 min": Figures(Counter(now)), "1 h": Figures(Counter(hour))}
    return sentence(health, figures(spans), [*dependencies(health), *cards])


def tone(title: str, **counts: int) -> Tone:
    """The colour of a tile."""
    (tile,) = (tile for tile in figures({"1 h": Figures(Counter(counts))}) if tile.title == title)
    return tile.values["1 h"][1]


@pytest.mark.parametrize(
    ("fast", "slow", "colour"),
    [
        (0, 1, "quiet"),
        (3, 1, "quiet"),
        (90, 9, "quiet"),
        (94, 6, "down"),
        (95, 5, "ok"),
        (900, 100, "down"),
        (9, 0, "ok"),
    ],
)
def test_a_percentile_is_called_bad_from_a_hundred_calls_on(fast: int, slow: int, colour: Tone) -> None:
    """One slow sign-in in an idle hour is grey; six slow calls of a hundred are red."""
    assert tone("API, P95", **{FAST: fast, SLOW: slow}) == colour


@pytest.mark.parametrize(
    ("requests", "errors", "colour"),
    [(4, 4, "quiet"), (10, 5, "down"), (1000, 5, "degraded"), (100_000, 5, "ok"), (10, 0, "ok")],
)
def test_a_rate_is_called_bad_from_five_failures_on(requests: int, errors: int, colour: Tone) -> None:
    """As the alerts have it."""
    assert tone("Errors", requests=requests, errors=errors) == colour


def test_all_is_well_when_everything_is() -> None:
    """Green below, green above; too few to judge is no alarm."""
    assert told() == ("ok", "All is well.")
    assert told({"requests": 3, SLOW: 3}) == ("ok", "All is well.")


def test_a_bad_figure_is_in_the_headline() -> None:
    """What the last five minutes say is said: amber below is amber above, red below is red above."""
    assert told({**GOOD, FAST: 900, MEDIUM: 100}) == ("degraded", "Degraded: API, P95 750 ms in the last 5 min.")
    assert told({**GOOD, "errors": 100}) == (
        "down",
        "In trouble: Crash-free rate 90.00% and Errors 10.00% in the last 5 min.",
    )


def test_what_is_over_alarms_nobody() -> None:
    """A bad hour before five good minutes is named, and the headline stays green."""
    bad = {**GOOD, "errors": 100}
    assert told(hour=bad) == ("ok", "All is well. Not so in the last 1 h: Crash-free rate and Errors.")


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (Card("Backups", [], "degraded"), ("degraded", "Degraded: look at Backups.")),
        (Card("Queues", []), ("ok", "All is well.")),
    ],
)
def test_every_card_is_in_the_headline(card: Card, said: tuple[Tone, str]) -> None:
    """Also those that are no dependency: an old backup is not well."""
    assert told(GOOD, card) == said


def test_several_causes_are_one_sentence() -> None:
    """A part that is down, its circuit left out; a weak part; figures; and the database above all."""
    parts = {
        "redis": Part("down", 1, ""),
        "breakers": Part("degraded", 1, "redis open"),
        "mail": Part("degraded", 1, ""),
    }
    colour, text = told({"requests": 10, "errors": 6}, health=Health("degraded", parts, {}))
    assert (colour, text.split("; ")) == ("down", [
        "In trouble: Redis is down", "the service goes on", "look at Mail",
        "Crash-free rate 40.00% and Errors 60.00% in the last 5 min.",
    ])  # fmt: skip
    database = Health("down", {"database": Part("down", 1, "")}, {})
    assert told(health=database)[1].startswith("Down: the database does not answer.")
