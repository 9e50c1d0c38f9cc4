"""The summary of a result as a PDF to attach to a close: one to three pages, the same bytes for the same facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recon_engine.plan import SIDES
from services import formats, wording
from services.formats import amount, count, moment, number
from services.pdf_page import Column, Paper
from services.result_headline import INSIDE_MATCHES, balanced, headline
from services.result_summary import Facts

PARTS = ("read", "matched", "suggested", "breaks", "rejected")
MOST_LINES, MOST_CAUSES = 24, 6
CHECK = "python -m recon_engine verify FOLDER"


def summary_pdf(facts: Facts) -> bytes:
    """The whole document."""
    with formats.used(formats.NEUTRAL):
        paper = Paper(
            title=facts.title,
            created=facts.ran_at,
            foot=f"{facts.title} · run {facts.job_id[:12]} · manifest {facts.manifest_hash[:16]}",
            text=repr(facts),
        )
        _head(paper, facts)
        _headline(paper, facts)
        _conservation(paper, facts)
        _balance(paper, facts)
        _open_items(paper, facts)
        _rules(paper, facts)
        _causes(paper, facts)
        _origin(paper, facts)
        return paper.finished()


def _head(paper: Paper, facts: Facts) -> None:
    paper.title("Reconciliation summary", facts.title)
    paper.quiet(
        f"{facts.labels['left']} against {facts.labels['right']} · run by {facts.ran_by} · {moment(facts.ran_at)}"
    )


def _headline(paper: Paper, facts: Facts) -> None:
    """The five figures that a reader looks for first."""
    paper.tiles(headline(facts.summary, facts.figures, facts.labels))
    if facts.summary["conserved"]:
        paper.text("Every row is accounted for, in counts and in exact sums.")
    else:
        paper.text("THE RESULT DOES NOT ADD UP AND MUST NOT BE RELIED ON.", bold=True)


def _conservation(paper: Paper, facts: Facts) -> None:
    """Rows and sums of each side: read = matched + suggested + breaks + rejected."""
    rows, names = facts.summary["rows"], facts.labels
    lines = []
    for side in SIDES:
        lines.append([names[side], "rows", *(number(int(rows[side][part])) for part in PARTS)])
        for currency, fields in facts.summary["totals"][side].items():
            for field, sums in fields.items():
                lines.append([names[side], wording.named(field, currency), *(amount(str(sums[p])) for p in PARTS)])
    paper.section("What became of every row", "Read = matched + suggested + breaks + rejected, on each line.")
    columns = [
        Column("Side", 1.6),
        Column("What", 1.5),
        *(Column(part.capitalize(), 1.5, right=True) for part in PARTS),
    ]
    _cut(paper, columns, lines, "more sums are in summary.json")


def _balance(paper: Paper, facts: Facts) -> None:
    money, balance = facts.figures["money"], facts.figures["balance"]
    if not balance:
        return
    names = facts.labels
    paper.section(
        "What the open items explain",
        f"Sums of {money}, {balanced(facts.figures, names)}. What open, suggested and rejected rows do not explain "
        + INSIDE_MATCHES,
    )
    columns = [Column("", 1), *(Column(text, 1.4, right=True) for text in (names["left"], names["right"], "Apart"))]
    columns += [Column(text, 1.2, right=True) for text in ("Breaks", "Suggested", "Rejected", "Unexplained")]
    parts = ("left", "right", "apart", "breaks", "suggested", "rejected", "unexplained")
    lines = [
        [wording.named(money, currency), *(amount(one[part]) for part in parts)] for currency, one in balance.items()
    ]
    _cut(paper, columns, lines, "more currencies are in summary.json")


def _open_items(paper: Paper, facts: Facts) -> None:
    figures = facts.figures
    if not figures["categories"]:
        paper.section("Open items", "There are none: every record is in a match.")
        return
    paper.section("Open items by category")
    _open_table(paper, facts, "category", "Category", wording.CATEGORY_NAMES)
    if figures["ages"]:
        paper.section(
            "Open items by age",
            f"Days from {figures['date']} to {figures['as_of'] or 'no date'}, the latest date in the files.",
        )
        _open_table(paper, facts, "age", "Age", {})


def _open_table(paper: Paper, facts: Facts, by: str, heading: str, words: dict[str, str]) -> None:
    money, names = facts.figures["money"], facts.labels
    columns = [Column(heading, 2)]
    for side in SIDES:
        columns.append(Column(f"{names[side]} rows", 1.3, right=True))
        if money:
            columns.append(Column(f"{names[side]} {money}", 1.6, right=True))
    lines = []
    for line in facts.figures["categories" if by == "category" else "ages"]:
        label = words.get(line[by], line[by])
        cells = [label if line["currency"] == "all" else f"{label}, {line['currency'] or 'no currency'}"]
        for side in SIDES:
            cells += [number(line[side]["rows"]), *([amount(line[side]["total"])] if money else [])]
        lines.append(cells)
    _cut(paper, columns, lines, "more lines are in breaks.parquet")


def _rules(paper: Paper, facts: Facts) -> None:
    paper.section(
        "Rules, in the order they ran",
        "Accidental: the estimated share of matches that chance gave, with its interval.",
    )
    lines = []
    for place, told in enumerate(facts.summary["rules"], start=1):
        rule = next((one for one in facts.plan.rules if one.name == told["name"]), None)
        asks = wording.rule_sentence(rule, facts.labels["left"], facts.labels["right"]).replace("`", "") if rule else ""
        accidental = wording.chance_sentence(told.get("chance") if told["matches"] else None)
        cells = [f"{place}. {told['name']}", asks, told.get("outcome", ""), number(int(told["matches"])), accidental]
        lines.append(cells)
    columns = [
        Column("Rule", 2), Column("Asks for", 3.6), Column("Counts as", 1.1), Column("Matches", 1, right=True),
        Column("Accidental", 1.7, right=True),
    ]  # fmt: skip
    _cut(paper, columns, lines, "more rules are in summary.json")


def _causes(paper: Paper, facts: Facts) -> None:
    causes = facts.summary.get("causes", [])
    if causes:
        paper.section("What would make breaks match", "Each change of the plan was tried on the whole file.")
        for place, cause in enumerate(causes[:MOST_CAUSES], start=1):
            paper.item(f"{place}. {cause['cause']}", wording.cause_sentence(cause))
        if len(causes) > MOST_CAUSES:
            paper.quiet(f"{count(len(causes) - MOST_CAUSES, 'smaller cause')} in summary.json.")
    warnings = facts.summary.get("warnings", [])
    if warnings:
        paper.section("Warnings of the run")
        for warning in warnings:
            paper.item("", str(warning["message"] if isinstance(warning, dict) else warning))


def _origin(paper: Paper, facts: Facts) -> None:
    """Where it comes from, who stands for it, and how to check it without trusting anybody."""
    paper.section("Files")
    columns = [
        Column("Side", 1.2),
        Column("File", 2.6),
        Column("Bytes", 1, right=True),
        Column("SHA-256", 5, code=True),
    ]
    lines = [[facts.labels[one.side], one.name, number(one.size_bytes), one.sha256] for one in facts.files]
    _cut(paper, columns, lines, "more files are in manifest.json")
    paper.section("Origin")
    paper.pairs([
        ("Run", f"{facts.job_id}, {moment(facts.ran_at)}"),
        ("Run by", facts.ran_by),
        ("Plan", f"{facts.plan.name}, format {facts.plan.version}"),
        ("Plan SHA-256", facts.plan_hash),
        ("Engine", facts.engine),
        ("Manifest SHA-256", facts.manifest_hash),
    ])  # fmt: skip
    paper.section("Check it again")
    paper.text(
        f"Unpack the evidence (.zip) of this run and run {CHECK}: it compares every hash, adds up every row and sum, "
        "and tests every match against its rule, from the files alone. The SHA-256 of manifest.json must be as above."
    )
    paper.sign("Prepared by", "Approved by")


def _cut(paper: Paper, columns: Sequence[Column], lines: Sequence[Sequence[Any]], rest: str) -> None:
    """The table; of very many lines only the first, and it says so."""
    paper.table(columns, lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        paper.quiet(f"{number(len(lines) - MOST_LINES)} {rest}.")
