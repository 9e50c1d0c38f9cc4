"""The summary of a result as a PDF to attach to a close: one to three pages, the same bytes for the same facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from recon_engine.nway.plan import SidesRule
from services import formats, wording
from services.formats import amount, count, moment, number
from services.pdf_page import Column, Paper
from services.result_headline import INSIDE_MATCHES, OF_EACH_TWO, against, balanced, headline, uncompared
from services.result_open import NUMBERS, open_columns, open_lines
from services.result_summary import Facts
from services.result_together import TOGETHER, together

PARTS = ("read", "matched", "suggested", "breaks", "rejected")
PARTS_APART = {
    "breaks": "Breaks",
    "suggested": "Suggested",
    "rejected": "Rejected",
    "alone": "Matched alone",
    "unexplained": "Unexplained",
}
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
        _together(paper, facts)
        _balance(paper, facts)
        _review(paper, facts)
        _open_items(paper, facts)
        _rules(paper, facts)
        _causes(paper, facts)
        _origin(paper, facts)
        return paper.finished()


def _head(paper: Paper, facts: Facts) -> None:
    paper.title("Reconciliation summary", facts.title)
    paper.quiet(f"{' against '.join(facts.labels.values())} · run by {facts.ran_by} · {moment(facts.ran_at)}")


def _headline(paper: Paper, facts: Facts) -> None:
    """The figures that a reader looks for first."""
    paper.tiles(headline(facts.summary, facts.figures, facts.labels))
    if facts.summary["conserved"]:
        paper.text("Every row is accounted for, in counts and in exact sums.")
    else:
        paper.text("THE RESULT DOES NOT ADD UP AND MUST NOT BE RELIED ON.", bold=True)


def _conservation(paper: Paper, facts: Facts) -> None:
    """Rows and sums of each side: read = matched + suggested + breaks + rejected."""
    rows, names = facts.summary["rows"], facts.labels
    lines = []
    for side in names:
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


def _together(paper: Paper, facts: Facts) -> None:
    """Of several sides: which were found together, and how often."""
    found = together(facts.summary, facts.labels)
    if found:
        paper.section("What was found together", TOGETHER)
        columns = [Column("Found together", 3), Column("What that is", 1.5), Column("Missing", 2)]
        lines = [[one["sides"], one["kind"], one["lacks"], one["groups"]] for one in found]
        _cut(paper, [*columns, Column("Groups", 1, right=True)], lines, "more sets of sides are in summary.json")


def _balance(paper: Paper, facts: Facts) -> None:
    balances, names = facts.figures["balances"], facts.labels
    if not any(one["sums"] for one in balances):
        return
    left, right = ("First", "Second") if facts.several else (names[side] for side in balances[0]["between"])
    told = {part: heading for part, heading in PARTS_APART.items() if _told(balances, part, facts.several)}
    if facts.several:
        what = " ".join(filter(None, (OF_EACH_TWO, uncompared(facts.figures, names))))
        rest = "more lines follow from the totals in summary.json"
        lead = [Column("Two sides", 2.4), Column("Sum", 1.2)]
    else:
        what = (
            f"Sums of {balances[0]['money']}, {balanced(balances[0], names)}. What open, suggested and rejected rows "
            f"do not explain {INSIDE_MATCHES}"
        )
        lead, rest = [Column("", 1)], "more currencies are in summary.json"
    paper.section("What the open items explain", what)
    columns = [*lead, *(Column(text, 1.4, right=True) for text in (left, right, "Difference"))]
    columns += [Column(text, 1.2, right=True) for text in told.values()]
    lines = [
        [
            *([against(one, names)] if facts.several else []),
            wording.named(one["money"], currency),
            *(amount(sums[part]) for part in ("left", "right", "apart", *told)),
        ]
        for one in balances
        for currency, sums in one["sums"].items()
    ]
    _cut(paper, columns, lines, rest)


def _told(balances: Sequence[Mapping[str, Any]], part: str, several: bool) -> bool:
    """Whether the sums of a part have a column: of several sides, with two columns more, not what is 0 everywhere."""
    sums = [sums[part] for one in balances for sums in one["sums"].values() if part in sums]
    return any(map(Decimal, sums)) or (bool(sums) and (part == "unexplained" or not several))


def _review(paper: Paper, facts: Facts) -> None:
    """What people decided on the suggested matches, and who they are; nothing where none was suggested."""
    review = facts.review
    if review is None or not review.suggested:
        return
    paper.section(
        "Suggested matches, and what people decided",
        f"{count(review.suggested, 'match', 'matches')}: {number(review.confirmed)} confirmed, "
        f"{number(review.rejected)} rejected, {number(review.waiting)} not decided. "
        "The figures above stay as the run found them.",
    )
    if not review.reviewers:
        return
    columns = [
        Column("Reviewer", 3), Column("Confirmed", 1, right=True), Column("Rejected", 1, right=True),
        Column("First decision", 1.8), Column("Last decision", 1.8),
    ]  # fmt: skip
    lines = [
        [one.person, number(one.confirmed), number(one.rejected), moment(one.first), moment(one.last)]
        for one in review.reviewers
    ]
    _cut(paper, columns, lines, "more reviewers are in the decisions (.csv)")
    paper.quiet(f"Each decision with its note is in the decisions (.csv), SHA-256 {review.sha256}.")


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
    cells = open_columns(facts.figures, facts.labels)
    columns = [Column(heading, 2)]
    for name, text in cells.items():
        width = 1.6 if name.startswith("total") else 1.3
        columns.append(Column(text, width, right=name.startswith(NUMBERS)))
    lines = []
    for line in open_lines(facts.figures, by, facts.labels):
        label = words.get(line[by], line[by])
        label = label if line["currency"] == "all" else f"{label}, {line['currency'] or 'no currency'}"
        lines.append([label, *(line[name] for name in cells)])
    _cut(paper, columns, lines, "more lines are in breaks.parquet")


def _worth_a_line(rules: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All that linked something; of a rule that linked nothing between any two sides the first."""
    linking = {rule["rule"] for rule in rules if rule["matches"]}
    first = {rule["rule"]: rule for rule in reversed(rules)}
    return [rule for rule in rules if rule["matches"] or (rule["rule"] not in linking and rule is first[rule["rule"]])]


def _rules(paper: Paper, facts: Facts) -> None:
    paper.section(
        "Rules, in the order they ran",
        "Accidental: the estimated share of matches that chance gave, with its interval.",
    )
    lines = []
    rules = {rule.name: rule for rule in facts.plan.rules}
    for told in _worth_a_line(wording.rules_that_ran(facts.summary["rules"], rules, facts.labels)):
        rule, ends = rules[told["rule"]], told.get("between", facts.labels)
        if isinstance(rule, SidesRule) and rule.net is not None:
            rule, ends = rule.plain, [rule.net]
        asks = wording.rule_sentence(rule, *(facts.labels[side] for side in ends)).replace("`", "")
        accidental = wording.chance_sentence(told.get("chance") if told["matches"] else None)
        lines.append([told["name"], asks, told.get("outcome", ""), number(int(told["matches"])), accidental])
    matches = "Found" if any("net" in told for told in facts.summary["rules"]) else "Links"
    matches = matches if facts.several else "Matches"
    columns = [
        Column("Rule", 2), Column("Asks for", 3.6), Column("Counts as", 1.1), Column(matches, 1, right=True),
        Column("Accidental", 1.7, right=True),
    ]  # fmt: skip
    _cut(paper, columns, lines, "more rules are in summary.json")


def _causes(paper: Paper, facts: Facts) -> None:
    causes = facts.summary.get("causes", [])
    if causes:
        tried = "on all records of the two sides" if facts.several else "on the whole file"
        paper.section("What would make breaks match", f"Each change of the plan was tried {tried}.")
        for place, cause in enumerate(causes[:MOST_CAUSES], start=1):
            about = wording.between(cause, facts.labels)
            paper.item(f"{place}. {f'{about}: ' if about else ''}{cause['cause']}", wording.cause_sentence(cause))
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
    reviewed = ["Reviewed by"] if facts.review and facts.review.suggested else []
    paper.sign("Prepared by", *reviewed, "Approved by")


def _cut(paper: Paper, columns: Sequence[Column], lines: Sequence[Sequence[Any]], rest: str) -> None:
    """The table; of very many lines only the first, and it says so."""
    paper.table(columns, lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        paper.quiet(f"{number(len(lines) - MOST_LINES)} {rest}.")
