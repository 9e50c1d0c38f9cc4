"""What a run found, over HTTP: pages as JSON, whole tables as CSV or Parquet, everything as one zip file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from services.api.identity import Caller, Services
from services.results import MAX_PAGE_SIZE, Filters, Table

router = APIRouter(prefix="/reconciliation/jobs/{job_id}", tags=["results"])

CHUNK_BYTES = 1 << 20
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class PageOut(BaseModel):
    """One page of a table; amounts and dates as text, so that nothing is rounded."""

    table: str
    columns: list[str]
    rows: list[dict[str, Any]]
    total: int
    page: int
    size: int
    pages: int


class Choice(BaseModel):
    """Which rows of a table, and in which order."""

    side: Literal["left", "right"] | None = None
    rule: str | None = None
    category: str | None = None
    match_id: int | None = None
    sort: str | None = None

    @property
    def filters(self) -> Filters:
        """The columns that must have a given value."""
        return self.model_dump(exclude_none=True, exclude={"sort"})


@router.get("/results/{table}", response_model=PageOut, responses={200: {"content": {"text/csv": {}}}})
def read_table(
    job_id: str,
    table: Table,
    actor: Caller,
    services: Services,
    choice: Annotated[Choice, Query()],
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = 50,
    format: Literal["json", "csv", "xlsx", "parquet"] = "json",  # noqa: A002  # the parameter's name in the address
) -> Response:
    """One page as JSON, or the whole table as CSV or spreadsheet (same filters) or as the Parquet file of the run."""
    if format == "csv":
        pieces = services.results.export_csv(actor, job_id, table, choice.filters, choice.sort)
        return _attachment(pieces, "text/csv; charset=utf-8", f"{table}.csv")
    if format == "xlsx":
        sheet = services.results.export_xlsx(actor, job_id, table, choice.filters, choice.sort)
        return _attachment(_chunks(sheet), XLSX, f"{table}.xlsx")
    if format == "parquet":
        whole = services.results.open_parquet(actor, job_id, table)
        return _attachment(_chunks(whole), "application/vnd.apache.parquet", f"{table}.parquet")
    found = services.results.page(actor, job_id, table, page, size, choice.filters, choice.sort)
    return JSONResponse(found.as_dict())


@router.get("/download", response_class=StreamingResponse)
def download(job_id: str, actor: Caller, services: Services) -> StreamingResponse:
    """The whole result as a zip file: what an auditor needs to check the run again."""
    return _attachment(services.results.download_zip(actor, job_id), "application/zip", f"reconciliation-{job_id}.zip")


def _attachment(pieces: Iterator[bytes], media_type: str, name: str) -> StreamingResponse:
    return StreamingResponse(
        pieces, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _chunks(whole: BinaryIO) -> Iterator[bytes]:
    with whole:
        while chunk := whole.read(CHUNK_BYTES):
            yield chunk
