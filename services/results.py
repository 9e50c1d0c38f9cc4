"""What a run found, read page by page from its files. No screen ever loads a whole result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import polars as pl

from recon_engine.nway.any_plan import AnyPlan, build_plan
from recon_engine.plan import SIDES
from services.break_history import compared
from services.database.models import Job
from services.errors import Conflict, Invalid, NotFound, TooLarge
from services.jobs.queue import find_job
from services.paging import MOST
from services.permissions import Action, Actor, check
from services.result_exports import csv_chunk, zip_chunks
from services.result_figures import figures
from services.result_match import first_pair, sums_of
from services.result_rows import Filters, Page, filtered, of_source, ordered, packed, rows_of, unpacked, with_rows
from services.result_shown import BREAKS, FIGURES, FIGURES_BEFORE, OWN, SUGGESTED, valued
from services.result_summary import gather

if TYPE_CHECKING:
    from services.container import Container

Table = Literal["matches", "breaks", "differences", "rejected", "duplicates"]
TABLES: tuple[str, ...] = get_args(Table)
WITH_RECORDS = ("matches", "duplicates")  # tables whose rows are records: their values are looked up
ADDED_LATER = ("duplicates", "certificates", "weights")  # results of earlier versions do not have them
MATCH_RECORDS = 200  # of one side of a match, the most that are told; their sum is of all
MAX_SHEET_ROWS = 200_000
RUNS_LOOKED_AT = 200  # for the run before
MOST_COMPARED = 200_000  # breaks of a run; a screen waits for the comparison
_EXPORT_ROWS = 50_000


class ResultService:
    """Use cases on results. Every method takes the person who asks and sees only that person's workspace."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def summary(self, actor: Actor, job_id: str) -> dict[str, Any]:
        """The run's `summary.json`, with its `suggested_matches`. Raises Conflict when the run has no result."""
        return dict(self._job(actor, job_id, Action.RESULT_READ).summary_json or {})

    def figures(self, actor: Actor, job_id: str) -> dict[str, Any]:
        """Shares by amount, what the open items explain, and their age: see services/result_figures.py."""
        return self._figures(self._job(actor, job_id, Action.RESULT_READ))

    def _figures(self, job: Job) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            for name, form in ((FIGURES, dict), *FIGURES_BEFORE.items()):
                with suppress(FileNotFoundError), self._container.storage.open(f"{job.result_prefix}/{name}") as file:
                    return dict(form(json.load(file)))
            totals = dict(job.summary_json or {})["totals"]  # a result of a version that kept none
            return figures(build_plan(job.plan_json), totals, partial(self._scan, job))

        key = (FIGURES, job.result_prefix)
        return dict(self._container.cache.get_json(key, self._container.settings.cache_seconds, read))

    def page(
        self,
        actor: Actor,
        job_id: str,
        table: str,
        page: int = 1,
        size: int = 50,
        filters: Filters | None = None,
        sort: str | None = None,
    ) -> Page:
        """One page of a table, the first being 1; matches and breaks come with their records' values.

        `filters` keeps the rows whose column has the value, or one of the values, given; `sort` names a column of the
        table (for breaks also one of the records' values), with a minus before it for descending. Raises Invalid for
        what does not exist.
        """
        job = self._job(actor, job_id, Action.RESULT_READ)
        page, size = max(1, page), min(max(1, size), MOST)

        def read() -> bytes:
            try:
                with self._table(job, _known(table)) as scan:
                    total, frame = rows_of(scan, filters or {}, sort, (page - 1) * size, size)
            except FileNotFoundError:
                if table not in ADDED_LATER:
                    raise
                return packed(0, pl.DataFrame())
            return packed(total, self._with_records(job, table, frame))

        # A result never changes: its place and the question say which page this is.
        key = ("page", job.result_prefix, table, page, size, dict(filters or {}), sort)
        total, frame = unpacked(self._container.cache.get(key, self._container.settings.cache_seconds, read))
        return Page(table, frame.to_dicts(), frame.columns, total, page, size)

    def record(self, actor: Actor, job_id: str, side: str, row: int, source: str | None = None) -> dict[str, Any]:
        """One record's `source`, `row` and fields. Raises NotFound."""
        job = self._job(actor, job_id, Action.RESULT_READ)
        found = self._records(job, side, [row], source)
        if not found:
            raise NotFound(f"There is no row {row} on the {side} side of this run.")
        return found[0]

    def match(self, actor: Actor, job_id: str, match_id: int) -> dict[str, Any]:
        """One match: `match` (rule, outcome, score), the `left` and `right` records, the `differences`.

        `records` counts them per side (at most 200 of each are told); `sums` has per decimal field the exact sum of
        each side and their difference; `certificate` (of a match by a total) and `evidence` (of a linkage: bits by
        field of its first pair) are None where the rule has none.
        """
        job = self._job(actor, job_id, Action.RESULT_READ)
        with self._scan(job, "matches") as scan:
            members = scan.filter(pl.col("match_id") == match_id).collect().to_dicts()
        if not members:
            raise NotFound(f"There is no match {match_id} in this run.")
        with self._scan(job, "differences") as scan:
            differences = scan.filter(pl.col("match_id") == match_id).collect().to_dicts()
        about = {name: value for name, value in members[0].items() if name not in ("side", "source", "row")}
        frames = {side: self._members(job, side, members) for side in _sides(job)}
        certificate = self._rows_of_match(job, "certificates", match_id)
        told = {side: frame.head(MATCH_RECORDS).to_dicts() for side, frame in frames.items()}
        common = {
            "match": about,
            "differences": differences,
            "records": {side: frame.height for side, frame in frames.items()},
        }
        if several(job):
            return {**common, "sides": told, "links": self._rows_of_match(job, "links", match_id)}
        return {
            **common,
            **told,
            "sums": sums_of(frames["left"], frames["right"]),
            "certificate": certificate[0] if certificate else None,
            "evidence": first_pair(self._rows_of_match(job, "weights", match_id)),
        }

    def suggested(self, actor: Actor, job_id: str, filters: Filters | None = None) -> pl.Series:
        """The numbers of the suggested matches of which the filters keep a record. Raises Invalid."""
        job = self._job(actor, job_id, Action.RESULT_READ)
        with self._scan(job, "matches") as scan:
            kept = filtered(scan, {**(filters or {}), "outcome": "suggested"})
            return kept.select(pl.col("match_id").unique().sort()).collect(engine="streaming").to_series()

    def suggested_matches(self, actor: Actor, job_id: str) -> int:
        """How many matches of the run are only suggested; counted once, as a result never changes."""
        job = self._job(actor, job_id, Action.RESULT_READ)
        if SUGGESTED in (job.summary_json or {}):
            return int((job.summary_json or {})[SUGGESTED])
        key = ("suggested", job.result_prefix)
        seconds = self._container.settings.cache_seconds
        return int(self._container.cache.get_json(key, seconds, lambda: self.suggested(actor, job_id).len()))

    def since(self, actor: Actor, job_id: str) -> dict[str, Any] | None:
        """What became of the breaks since the run before of the same plan and sides; None when there was none.

        `job_id` and `finished_at` of that run; `new`, `gone` and `still` open breaks as counts; the first rows of the
        new and the gone ones. Where a run has more than 200,000 breaks only the run before is told.
        """
        job = self._job(actor, job_id, Action.RESULT_READ)
        earlier = self._run_before(actor, job)
        if earlier is None or set(_sides(earlier)) != set(_sides(job)):
            return None
        told = {"job_id": earlier.id, "finished_at": earlier.finished_at}
        if any(sum((one.summary_json or {})["breaks"].values()) > MOST_COMPARED for one in (earlier, job)):
            return told
        before, now = (_fields_by_side(build_plan(one.plan_json)) for one in (earlier, job))
        fields = {side: [name for name in now[side] if name in before[side]] for side in _sides(job)}

        def compare() -> dict[str, Any]:
            with ExitStack() as stack:
                tables = [{side: self._open_side(stack, one, side) for side in fields} for one in (earlier, job)]
                return compared(tables[0], tables[1], fields)

        key = ("since", earlier.result_prefix, job.result_prefix, fields)
        found = self._container.cache.get_json(key, self._container.settings.cache_seconds, compare)
        return {**told, **found}

    def _run_before(self, actor: Actor, job: Job) -> Job | None:
        """The last run with a result before this one, of the same reconciliation or of a plan of the same name."""
        earlier = [
            one
            for one in self._container.jobs.list(actor, limit=RUNS_LOOKED_AT)
            if one.result_prefix is not None and one.id != job.id and one.created_at < job.created_at
        ]
        same = [one for one in earlier if job.reconciliation_id and one.reconciliation_id == job.reconciliation_id]
        return next(iter([*same, *(one for one in earlier if one.plan_json["name"] == job.plan_json["name"])]), None)

    def _open_side(self, stack: ExitStack, job: Job, side: str) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        breaks = stack.enter_context(self._scan(job, "breaks"))
        return breaks.filter(pl.col("side").cast(pl.String) == side), stack.enter_context(self._scan(job, side))

    def _members(self, job: Job, side: str, members: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """The records of one side of a match: rows are numbered by source, so that both say which record it is."""
        own = [(m["source"], m["row"]) for m in members if m["side"] == side]
        found = self._record_frame(job, side, [row for _, row in own])
        wanted = pl.DataFrame(own, schema={"source": pl.String, "row": pl.Int64}, orient="row")
        return wanted.join(found.with_columns(pl.col("source").cast(pl.String)), on=["source", "row"], how="left")

    def _rows_of_match(self, job: Job, table: str, match_id: int) -> list[dict[str, Any]]:
        try:
            with self._scan(job, table) as scan:
                return scan.filter(pl.col("match_id") == match_id).collect().to_dicts()
        except FileNotFoundError:  # a result of an earlier version
            return []

    def break_detail(self, actor: Actor, job_id: str, side: str, row: int, source: str | None = None) -> dict[str, Any]:
        """One break: `break` (category, reason), its `record`, the `nearest` record of the other side or None.

        `fields` puts the two side by side: `field`, `record`, `nearest`, `same` (None without a nearest record).
        """
        job = self._job(actor, job_id, Action.RESULT_READ)
        with self._scan(job, "breaks") as scan:
            chosen = scan.filter((pl.col("side").cast(pl.String) == side) & (pl.col("row") == row))
            found = of_source(chosen, source).collect().to_dicts()
        if not found:
            raise NotFound(f"Row {row} on the {side} side is not a break of this run.")
        record = self._records(job, side, [row], source)[0]
        other = found[0]["nearest_side"] if several(job) else "right" if side == "left" else "left"
        nearest_row = found[0]["nearest_row"]
        place = [] if nearest_row is None else self._records(job, other, [nearest_row], found[0].get("nearest_source"))
        nearest = next(iter(place), None)
        fields = [
            {
                "field": name,
                "record": value,
                "nearest": None if nearest is None else nearest.get(name),
                "same": None if nearest is None or name not in nearest else value == nearest[name],
            }
            for name, value in record.items()
            if name not in ("source", "row")
        ]
        return {"break": found[0], "record": record, "nearest": nearest, "fields": fields}

    def export_csv(
        self, actor: Actor, job_id: str, table: str, filters: Filters | None = None, sort: str | None = None
    ) -> Iterator[bytes]:
        """A whole table as CSV (UTF-8), in pieces; text that a spreadsheet would run as a formula is made harmless."""
        job = self._job(actor, job_id, Action.RESULT_DOWNLOAD)
        with self._table(job, _known(table)) as scan:
            ordered(filtered(scan, filters or {}), sort).collect_schema()  # refuse what is wrong before the first byte
        self._record_download(actor, job_id, table=table, format="csv")
        frames = self._frames(job, table, filters, sort)
        return (csv_chunk(frame, header=number == 0) for number, frame in enumerate(frames))

    def export_xlsx(
        self, actor: Actor, job_id: str, table: str, filters: Filters | None = None, sort: str | None = None
    ) -> BinaryIO:
        """A table as a spreadsheet, to be closed by the caller; formulas are made harmless. Raises TooLarge."""
        from services.result_workbook import xlsx_file

        job = self._job(actor, job_id, Action.RESULT_DOWNLOAD)
        with self._scan(job, _known(table)) as scan:
            rows = int(filtered(scan, filters or {}).select(pl.len()).collect().item())
        if rows > MAX_SHEET_ROWS:
            raise TooLarge(f"A spreadsheet may have {MAX_SHEET_ROWS:,} rows, this has {rows:,}; filter it or take CSV.")
        self._record_download(actor, job_id, table=table, format="xlsx")
        return xlsx_file(table, self._frames(job, table, filters, sort))

    def workbook(self, actor: Actor, job_id: str) -> BinaryIO:
        """A short summary and every table as one spreadsheet, a sheet each, to be closed by the caller. It has no more
        rows than that of one table may have: what finds no room is told in its place.
        """
        from services.result_workbook import Sheet, whole_workbook

        job = self._job(actor, job_id, Action.RESULT_DOWNLOAD)
        facts, sheets = gather(self._container, job, self._figures(job)), []
        for table in TABLES:
            # One that earlier versions did not write may be missing.
            with suppress(*([FileNotFoundError] if table in ADDED_LATER else [])), self._scan(job, table) as scan:
                rows = int(scan.select(pl.len()).collect().item())
                sheets.append(Sheet(table, rows, self._frames(job, table, None, None)))
        self._record_download(actor, job_id, format="xlsx")
        return whole_workbook(facts, sheets, MAX_SHEET_ROWS)

    def _frames(self, job: Job, table: str, filters: Filters | None, sort: str | None) -> Iterator[pl.DataFrame]:
        """A whole table in pieces with the records' values; at least one piece."""
        offset, height = 0, _EXPORT_ROWS
        while height == _EXPORT_ROWS:
            with self._table(job, table) as scan:
                _, frame = rows_of(scan, filters or {}, sort, offset, _EXPORT_ROWS)
            height = frame.height
            yield self._with_records(job, table, frame)
            offset += height

    def open_parquet(self, actor: Actor, job_id: str, table: str) -> BinaryIO:
        """A whole table as the run wrote it, to be closed by the caller."""
        job = self._job(actor, job_id, Action.RESULT_DOWNLOAD)
        self._record_download(actor, job_id, table=_known(table), format="parquet")
        return self._container.storage.open(f"{job.result_prefix}/{table}.parquet")

    def download_zip(self, actor: Actor, job_id: str) -> Iterator[bytes]:
        """The whole result directory as a zip file, in pieces: what an auditor needs to check the run again."""
        job = self._job(actor, job_id, Action.RESULT_DOWNLOAD)
        self._record_download(actor, job_id, format="zip")
        opener = self._container.storage.open
        named = [(key.rsplit("/", 1)[-1], key) for key in self._container.storage.list(str(job.result_prefix))]
        return zip_chunks([(name, partial(opener, key)) for name, key in named if not name.startswith(OWN)])

    def summary_pdf(self, actor: Actor, job_id: str) -> bytes:
        """The summary to attach to a close, as PDF."""
        from services.result_pdf import summary_pdf

        job = self._job(actor, job_id, Action.RESULT_DOWNLOAD)
        self._record_download(actor, job_id, format="pdf")
        facts = gather(self._container, job, self._figures(job))
        return summary_pdf(replace(facts, review=self._container.reviews.standing(actor, job_id)))

    def _job(self, actor: Actor, job_id: str, action: Action) -> Job:
        check(actor, action)
        with self._container.session() as session:
            job = find_job(session, actor.workspace_id, job_id)
        if job.result_prefix is None:
            raise Conflict(f"This run has no result: it is {job.status}.")
        return job

    def _record_download(self, actor: Actor, job_id: str, **detail: str) -> None:
        with self._container.transaction() as session:
            self._container.audit.record(session, actor, Action.RESULT_DOWNLOAD, "job", job_id, **detail)

    @contextmanager
    def _scan(self, job: Job, name: str) -> Iterator[pl.LazyFrame]:
        with self._container.storage.local_path(f"{job.result_prefix}/{name}.parquet") as path:
            yield pl.scan_parquet(path)

    @contextmanager
    def _table(self, job: Job, name: str) -> Iterator[pl.LazyFrame]:
        """A table to be shown; breaks have the values of their records beside them."""
        with ExitStack() as stack:
            if name != "breaks":
                yield stack.enter_context(self._scan(job, name))
                return
            try:
                scan = stack.enter_context(self._scan(job, BREAKS.removesuffix(".parquet")))
            except FileNotFoundError:  # a result of an earlier version
                records = {side: stack.enter_context(self._scan(job, side)) for side in _sides(job)}
                scan = valued(stack.enter_context(self._scan(job, name)), records)
            yield scan

    def _records(self, job: Job, side: str, rows: Sequence[int], source: str | None = None) -> list[dict[str, Any]]:
        return of_source(self._record_frame(job, side, rows).lazy(), source).collect().to_dicts()

    def _record_frame(self, job: Job, side: str, rows: Sequence[int]) -> pl.DataFrame:
        """The records of one side with these row numbers."""
        if side not in _sides(job):
            raise Invalid(f"There is no side '{side}'; the sides are {' and '.join(_sides(job))}.")
        with self._scan(job, side) as scan:
            return with_rows(scan, rows).collect()

    def _with_records(self, job: Job, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the values of the records that its rows name, in the order of the frame."""
        if table not in WITH_RECORDS:
            return frame
        rows = {side: frame.filter(pl.col("side").cast(pl.String) == side)["row"].to_list() for side in _sides(job)}
        records = {side: self._record_frame(job, side, own).lazy() for side, own in rows.items()}
        return valued(frame.lazy(), records).collect()


def several(job: Job) -> bool:
    """Whether the run is of a plan that names its sides."""
    return "sides" in job.plan_json


def _sides(job: Job) -> Sequence[str]:
    return [side["name"] for side in job.plan_json["sides"]] if several(job) else SIDES


def _fields_by_side(plan: AnyPlan) -> dict[str, list[str]]:
    """By the name of each side, the fields that are read there."""
    columns: list[tuple[str, Mapping[Any, str]]] = [(spec.name, spec.columns) for spec in plan.fields]
    return {side: [name for name, own in columns if side in own] for side in plan.labels}


def _known(table: str) -> str:
    if table not in TABLES:
        raise Invalid(f"There is no table '{table}'; the tables are {', '.join(TABLES)}.")
    return table
