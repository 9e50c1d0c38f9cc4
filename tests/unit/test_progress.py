"""Progress gathered from the engine's lines."""

from __future__ import annotations

from services.jobs.progress import Progress


def test_the_newest_line_and_each_step_are_kept() -> None:
    """The newest line is on top; each stage and rule keeps its last line, in order; noise is skipped."""
    progress = Progress()
    assert progress.add(['{"stage": "read", "done": 1, "total": 2}', "noise", '"text"', '{"done": 1}'])
    assert progress.add(
        ['{"stage": "read", "done": 2, "total": 2}', '{"stage": "match", "rule": "exact", "done": 1, "total": 3}']
    )
    told = progress.as_dict()
    assert (told["stage"], told["rule"]) == ("match", "exact")
    assert [(step["stage"], step["done"]) for step in told["steps"]] == [("read", 2), ("match", 1)]


def test_nothing_new_is_not_news() -> None:
    """Without a progress line there is nothing to record."""
    assert not Progress().add(["noise"])
    assert Progress().as_dict() == {"steps": []}
