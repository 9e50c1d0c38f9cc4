"""A file as it was read: what was detected, what its columns hold, and how to say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from pages._shared.messages import explained
from pages._shared.wording import amount, count, literal, number, size
from recon_engine.reading.two_columns import AMOUNT
from services.database.models import StoredFile
from services.errors import Invalid

Reread = Callable[[dict[str, Any]], None]

AUTOMATIC = "detect"
EXAMPLES = 15  # letters that a cell of half a page shows
OTHER_SHEET = "To read another, name it as *Sheet* under 'Read it differently'."
TABS = ["Columns", "Ranges", "First rows"]
DELIMITERS = {AUTOMATIC: "Detect", ",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Bar"}
DECIMALS = {AUTOMATIC: "Detect", ".": "Point: 1,234.56", ",": "Comma: 1.234,56"}
TWO_COLUMNS = "Where what goes out and what comes in stand in two columns: the amount is one less the other."
_VISIBLE = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}


def heading(stored: StoredFile) -> None:
    """Name, size and rows of the file."""
    profile = stored.profile_json or {}
    rows = f" · {count(int(profile['rows']), 'row')}" if profile else ""
    columns = f" · {count(len(profile['columns']), 'column')}" if profile else ""
    st.markdown(
        f":material/description: **{literal(stored.name)}**  \n:small[{size(stored.size_bytes)}{rows}{columns}]",
        width="content",
    )


def body(stored: StoredFile, reread: Reread | None, *, alone: bool) -> None:
    """The profile, or the one sentence that says why the file cannot be read. `reread` reads it by other options;
    `alone`: no other file is on its side, which is read in one way.
    """
    if stored.refusal:
        st.error(stored.refusal, icon=":material/error:")
    profile = stored.profile_json
    if profile:
        _facts(profile["facts"])
        for issue in profile["issues"]:
            if issue["code"] == "total_row" and reread is not None and alone:
                _total(stored, issue["row"], profile["rows"], reread)
            elif issue["code"] == "other_sheets":  # how to choose one is said here in the words of the screen
                told, *_ = issue["message"].partition(": set ")
                st.info(f"{told[0].upper()}{told[1:]}. {OTHER_SHEET}", icon=":material/table_view:")
            else:
                st.warning(issue["message"], icon=":material/warning:")
        if profile["rejected"]:
            lines = "; ".join(f"line {row['line']}: {row['reason']}" for row in profile["rejected_samples"])
            st.warning(f"{count(profile['rejected'], 'row')} will be rejected: {lines}.", icon=":material/warning:")
        _proofs(profile["columns"])
        _questions(profile["columns"])
        columns, ranges, rows = st.tabs(TABS, key=f"profile-{stored.id}", on_change="rerun")
        if columns.open:  # a table that is not seen is not drawn
            with columns:
                _columns(profile["columns"], stored.id)
                st.caption(f"{profile['basis'].capitalize()}.")
        elif ranges.open:
            with ranges:
                _ranges(profile["columns"], stored.id)
        else:
            with rows:
                _first_rows(profile, stored.id)
    if reread is not None:
        _reading(stored, reread)


def _total(stored: StoredFile, row: int, rows: int, reread: Reread) -> None:
    """A last row that adds up those above it, and the way to leave it out, with what comes after it."""
    with st.container(border=True, key=f"total-{stored.id}"):
        st.markdown(
            f":orange[:material/functions:] **The last row, {number(row)}, looks like the total of those above it.** "
            "As a record it would count everything twice."
        )
        if st.button("Leave it out", key=f"leave-out-{stored.id}", type="primary", icon=":material/playlist_remove:"):
            with explained(), st.spinner("Reading the file again"):
                reread({**stored.options_json, "footer_rows": rows - row + 1})


def _facts(facts: Mapping[str, Mapping[str, Any]]) -> None:
    told = []
    for name, fact in facts.items():
        value = fact["value"]
        if value not in (None, ""):
            text = literal(f"{name.replace('_', ' ')}: {_VISIBLE.get(str(value), value)}")
            told.append(f"**{text}** (as you said)" if fact["decided_by"] == "given" else text)
    st.caption(" · ".join(told))


def _columns(columns: list[dict[str, Any]], key: str) -> None:
    """What each column is, as narrow as half a page; how many cells are empty only where some are."""
    gaps = any(column["nulls"] for column in columns)
    shown = [
        {
            "Column": column["name"],
            "Type": column["type"],
            **({"Empty": number(column["nulls"])} if gaps else {}),
            "Distinct": _distinct(column),
            "Spread": _spread(column),
            "For example": _examples(column["samples"]),
        }
        for column in columns
    ]
    text = st.column_config.TextColumn
    settings = {
        "Column": text(pinned=True, width=110 if gaps else 125),
        "Type": text(width=72),
        "Empty": text(alignment="right", width=58),
        "Distinct": text(alignment="right", width=66),
        "Spread": st.column_config.BarChartColumn(
            width=54, help="Numbers and dates: twelfths of their range. Texts: the most frequent ones."
        ),
        "For example": text(width=110 if gaps else 140),
    }
    st.dataframe(shown, hide_index=True, key=f"columns-{key}", column_config=settings, placeholder="")


def _ranges(columns: list[dict[str, Any]], key: str) -> None:
    """From where to where its values go, what they come to, and why they are taken for what they are."""
    shown = [
        {
            "Column": column["name"],
            "Smallest": column["minimum"],
            "Largest": column["maximum"],
            "Sum": amount(column["total"]) if column.get("total") else None,
            "Why this type": "; ".join(column["reasons"]),
        }
        for column in columns
    ]
    text = st.column_config.TextColumn
    settings = {
        "Column": text(pinned=True, width=110),
        "Smallest": text(width=85),
        "Largest": text(width=85),
        "Sum": text(alignment="right", width=95, help="Of all rows, whatever their currency"),
        "Why this type": text(width=80),
    }
    st.dataframe(shown, hide_index=True, key=f"ranges-{key}", column_config=settings, placeholder="")


def _first_rows(profile: Mapping[str, Any], key: str) -> None:
    rows = profile.get("first_rows")
    if rows:
        st.dataframe(list(rows), hide_index=True, key=f"rows-{key}", placeholder="")
    else:
        st.caption("The file has no rows.")


def _spread(column: Mapping[str, Any]) -> list[int]:
    counts = list(column.get("spread") or [times for _, times in column["top"]])
    return counts if len(counts) > 1 else []


def _proofs(columns: list[dict[str, Any]]) -> None:
    """What the values themselves decided."""
    for column in columns:
        if (column["proof"] or column["decimal_marks"] == [","]) and not column["undecided"]:
            told = next(iter(column["reasons"]), "")
            st.caption(f":material/check: **{literal(column['name'])}**: {literal(told)}.")


def _examples(samples: list[Any]) -> str:
    """As many values as are read at a glance; of a long one its beginning."""
    texts = [text for text in map(str, samples) if text.strip()]
    shown = [", ".join(texts[:many]) for many in range(1, len(texts) + 1)]
    fitting = [text for text in shown if len(text) <= EXAMPLES]
    return fitting[-1] if fitting else "".join(f"{text[: EXAMPLES - 1]}…" for text in texts[:1])


def _distinct(column: Mapping[str, Any]) -> str:
    about = "~" if column["distinct_is_estimate"] else ""
    return "unique" if column["unique"] else f"{about}{number(column['distinct'])}"


def _questions(columns: list[dict[str, Any]]) -> None:
    """What the values of a column cannot decide, and the cells that do not fit its type."""
    for column in columns:
        name = literal(column["name"])
        if column["undecided"] and len(column["date_formats"]) > 1:
            both = " and ".join(f"`{one}`" for one in column["date_formats"])
            st.info(f"**{name}** fits {both}: the data cannot decide. The next step asks.", icon=":material/help:")
        elif column["undecided"]:
            st.info(
                f"**{name}** can be read with a decimal point or a decimal comma. "
                "Say which under 'Read it differently'.",
                icon=":material/help:",
            )
        if column["unreadable"]:
            cells = ", ".join(f"`{cell}`" for cell in column["unreadable_samples"])
            values = count(column["unreadable"], "value")
            st.warning(
                f"**{name}**: {values} cannot be read as {column['type']}: {cells}. Mapped, such rows are rejected.",
                icon=":material/warning:",
            )


def _own_columns(stored: StoredFile) -> list[str]:
    """The columns that the file itself has."""
    profile = stored.profile_json or {"columns": [], "facts": {}}
    made = {*(profile["facts"].keys() & {AMOUNT}), *stored.options_json.get("combined", {})}
    return [c["name"] for c in profile["columns"] if c["name"] not in made]


def _combined(text: str) -> dict[str, list[str]]:
    """What to make of which columns, as it was written: one a line, `name = column + column`. Raises Invalid."""
    made: dict[str, list[str]] = {}
    for line in filter(str.strip, text.splitlines()):
        # With spaces around them where names hold such signs themselves.
        name, _, parts = (part.strip() for part in line.partition(" = " if " = " in line else "="))
        columns = [column.strip() for column in parts.split(" + " if " + " in parts else "+")]
        if name in made:
            raise Invalid(f"'{name}' is made twice; give each combined column its own name.")
        if not name or not all(columns) or len(columns) < 2:
            raise Invalid(f"Write '{line.strip()}' as a name and its columns: full name = first name + last name")
        made[name] = columns
    return made


def _reading(stored: StoredFile, reread: Reread) -> None:
    with st.expander("Read it differently", icon=":material/tune:"), st.form(f"options-{stored.id}", border=False):
        given = stored.options_json
        left, right = st.columns(2)
        delimiters, decimals = list(DELIMITERS), list(DECIMALS)
        delimiter, decimal = given.get("delimiter", AUTOMATIC), given.get("decimal", AUTOMATIC)
        kept = [given[name] for name in ("debit", "credit") if name in given]
        own = list(dict.fromkeys([AUTOMATIC, *kept, *_own_columns(stored)]))
        chosen = {
            "delimiter": left.selectbox(
                "Delimiter", delimiters, delimiters.index(delimiter), format_func=DELIMITERS.__getitem__
            ),
            "decimal": right.selectbox(
                "Decimal mark", decimals, decimals.index(decimal), format_func=DECIMALS.__getitem__
            ),
            "encoding": left.text_input("Encoding", given.get("encoding", ""), placeholder="detect"),
            "sheet": right.text_input("Sheet", given.get("sheet", ""), placeholder="the first one that is not empty"),
            "debit": left.selectbox(
                "Column of debits", own, own.index(given.get("debit", AUTOMATIC)), help=TWO_COLUMNS
            ),
            "credit": right.selectbox("Column of credits", own, own.index(given.get("credit", AUTOMATIC))),
        }
        header = left.number_input("Header row", min_value=1, value=given.get("header_row"), placeholder="detect")
        nulls = right.text_input("Texts that mean empty", ", ".join(given.get("nulls", [])), placeholder="NULL, n/a, -")
        footer = left.number_input(
            "Rows at the end to leave out",
            min_value=0,
            max_value=1000,
            value=given.get("footer_rows", 0),
            help="Such as a total. They are listed as rejected rows, and their amounts are in no sum.",
        )
        combined = st.text_area(
            "Columns to combine",
            "\n".join(f"{name} = {' + '.join(parts)}" for name, parts in given.get("combined", {}).items()),
            placeholder="full name = first name + last name",
            height=68,
            help="For what the other file writes in one column. One a line: its new name, then the columns.",
        )
        if st.form_submit_button("Read again"):
            options: dict[str, Any] = {name: value for name, value in chosen.items() if value not in ("", AUTOMATIC)}
            if header is not None:
                options["header_row"] = int(header)
            if footer:
                options["footer_rows"] = int(footer)
            if nulls.strip():
                options["nulls"] = [one.strip() for one in nulls.split(",") if one.strip()]
            with explained(), st.spinner("Reading the file again"):
                reread(options | ({"combined": made} if (made := _combined(combined)) else {}))
