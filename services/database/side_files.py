"""Which files stand on which side: of a reconciliation that is prepared, and of a run."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Mapped


class SideFiles:
    """What both a reconciliation and a run have: one file a side, and further ones of any side."""

    # the files after the first, and all of sides after the right one: {"left": [id, …], "side_3": [id, …]}
    more_files_json: Mapped[dict[str, Any] | None]

    @property
    def left_file_ids(self) -> list[str]:
        """All files of the left side."""
        return self.file_ids("left")

    @property
    def right_file_ids(self) -> list[str]:
        """All files of the right side."""
        return self.file_ids("right")

    @property
    def sides(self) -> list[str]:
        """The sides there are: left, right, and what was added, in their order."""
        return ["left", "right", *sorted({*(self.more_files_json or {})} - {"left", "right"})]

    @property
    def further_file_ids(self) -> list[list[str]]:
        """All files of each side after the first two."""
        return [self.file_ids(side) for side in self.sides[2:]]

    def file_ids(self, side: str) -> list[str]:
        """The files of one side, in order; empty when there are none yet."""
        more: list[str] = (self.more_files_json or {}).get(side, [])
        if side not in ("left", "right"):
            return list(more)
        first = getattr(self, f"{side}_file_id")
        return [] if first is None else [first, *more]
