"""What a run found, over HTTP: pages as JSON, whole tables as CSV or Parquet, everything as one zip file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from services.api.described import problems
from services.api.identity import Caller, Services
from services.api.inputs import LINKED, Cursor, Id, Limit, RepeatKey, Text, linked
from services.api.repeats import answered_once
from services.idempotency import Attempt
from services.paging import cursor_of, read_cursor
from services.permissions import Action
from services.result_rows import Filters
from services.results import Table
from services.reviews import Verdict

router = APIRouter(prefix="/reconciliation/jobs/{job_id}", tags=["results"])

CHUNK_BYTES = 1 << 20
CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class PageOut(BaseModel):
    """Some rows of a table; amounts and dates as text, so that nothing is rounded."""

    table: str
    columns: list[str]
    rows: list[dict[str, Any]]
    total: int = Field(description="The rows of all parts.")
    next: str | None = Field(description="The `cursor` of the part after this, null at the end.")


class Choice(BaseModel):
    """Which rows of a table, in which order and form."""

    side: Annotated[Text | None, Field(description="left, right, or a side that the plan names.")] = None
    rule: Text | None = None
    category: Text | None = None
    outcome: Text | None = None
    field: Text | None = None
    cause: Text | None = None
    missing: Annotated[list[Text] | None, Field(max_length=128)] = None
    match_id: int | None = None
    sort: Annotated[Text | None, Field(description="A column, with a minus before it for descending.")] = None
    format: Literal["json", "csv", "xlsx", "parquet"] = "json"
    limit: Limit = 50
    cursor: Cursor = None

    @property
    def filters(self) -> Filters:
        """The columns that must have a given value, or one of those given."""
        return self.model_dump(exclude_none=True, exclude={"sort", "format", "limit", "cursor"})


class Decide(BaseModel):
    """What is decided on one suggested match, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"match_id": 17, "verdict": "confirmed", "note": "as agreed"}]}
    )

    match_id: Annotated[int, Field(ge=0, le=2**53)]
    verdict: Verdict
    note: Text = ""


class DecisionOut(BaseModel):
    """What holds of a suggested match from now on; nobody's decision when it is open again."""

    match_id: int
    verdict: Verdict
    note: str
    person: str | None
    at: datetime | None


FORMATS = {name: {"schema": {"type": "string", "format": "binary"}} for name in (CSV, XLSX, PARQUET)}


@router.get(
    "/results/{table}",
    response_model=PageOut,
    responses={**problems(404, 409, 413), 200: {"content": FORMATS, **LINKED[200]}},
)
def read_table(
    job_id: Id,
    table: Table,
    request: Request,
    response: Response,
    actor: Caller,
    services: Services,
    choice: Annotated[Choice, Query()],
) -> PageOut | Response:
    """Read a table: some rows as JSON, all of it as CSV or spreadsheet (same filters), or the run's Parquet file."""
    if choice.format == "csv":
        pieces = services.results.export_csv(actor, job_id, table, choice.filters, choice.sort)
        return _attachment(pieces, f"{CSV}; charset=utf-8", f"{table}.csv")
    if choice.format == "xlsx":
        sheet = services.results.export_xlsx(actor, job_id, table, choice.filters, choice.sort)
        return _attachment(_chunks(sheet), XLSX, f"{table}.xlsx")
    if choice.format == "parquet":
        whole = services.results.open_parquet(actor, job_id, table)
        return _attachment(_chunks(whole), PARQUET, f"{table}.parquet")
    # A result never changes, so that a page's number is a place in it; the size goes along.
    page, size = read_cursor(choice.cursor, (int, int)) if choice.cursor else (1, choice.limit)
    found = services.results.page(actor, job_id, table, page, size, choice.filters, choice.sort)
    following = cursor_of([found.page + 1, found.size]) if found.page < found.pages else None
    return PageOut(**found.as_dict(), next=linked(request, response, following))


@router.get(
    "/download",
    response_class=StreamingResponse,
    responses={**problems(404, 409), 200: {"content": {"application/zip": {}}}},
)
def download(job_id: Id, actor: Caller, services: Services) -> StreamingResponse:
    """The whole result as a zip file: what an auditor needs to check the run again."""
    return _attachment(services.results.download_zip(actor, job_id), "application/zip", f"reconciliation-{job_id}.zip")


@router.get(
    "/workbook",
    response_class=StreamingResponse,
    responses={**problems(404, 409), 200: {"content": {XLSX: FORMATS[XLSX]}}},
)
def workbook(job_id: Id, actor: Caller, services: Services) -> StreamingResponse:
    """A short summary and every table as one spreadsheet, a sheet each, with at most 200,000 rows in all."""
    whole = services.results.workbook(actor, job_id)
    return _attachment(_chunks(whole), XLSX, f"reconciliation-{job_id}.xlsx")


@router.get(
    "/summary",
    response_class=Response,
    responses={**problems(404, 409), 200: {"content": {"application/pdf": {}}}},
)
def summary(job_id: Id, actor: Caller, services: Services) -> Response:
    """The summary of the result to attach to a close, as PDF."""
    document = services.results.summary_pdf(actor, job_id)
    return _attachment(iter([document]), "application/pdf", f"summary-{job_id}.pdf")


@router.get(
    "/decisions",
    response_class=Response,
    responses={**problems(404), 200: {"content": {CSV: FORMATS[CSV]}}},
)
def decisions(job_id: Id, actor: Caller, services: Services) -> Response:
    """What people decided on the suggested matches of the run, as CSV: match_id, verdict, note, person, at."""
    made = services.reviews.export_csv(actor, job_id)
    return _attachment(iter([made]), f"{CSV}; charset=utf-8", f"decisions-{job_id}.csv")


@router.post("/decisions", response_model=DecisionOut, responses=problems(404, 409))
def decide(
    job_id: Id, given: Decide, actor: Caller, services: Services, repeat_key: RepeatKey = None
) -> DecisionOut | Response:
    """Confirm or reject a suggested match of the run, or leave it open again, in the name of the person signed in."""

    def carry_out(_attempt: Attempt | None = None) -> DecisionOut:
        services.reviews.decide(actor, job_id, given.match_id, given.verdict, given.note)
        made = services.reviews.decisions(actor, job_id, [given.match_id]).get(given.match_id)
        if made is None:
            return DecisionOut(match_id=given.match_id, verdict="open", note="", person=None, at=None)
        return DecisionOut.model_validate(made, from_attributes=True)

    if repeat_key is None:
        return carry_out()
    said = [job_id, given.model_dump(mode="json")]
    return answered_once(services, actor, Action.RESULT_REVIEW, repeat_key, said, 200, carry_out)


def _attachment(pieces: Iterator[bytes], media_type: str, name: str) -> StreamingResponse:
    return StreamingResponse(
        pieces, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _chunks(whole: BinaryIO) -> Iterator[bytes]:
    with whole:
        while chunk := whole.read(CHUNK_BYTES):
            yield chunk
