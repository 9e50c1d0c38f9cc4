"""The documentation says what the code does: checked against the models, the parser, real output and the routes."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
from pydantic import BaseModel

from recon_engine import __main__ as command_line
from recon_engine import plan as plans
from recon_engine.nway import plan as side_plans
from recon_engine.nway.any_plan import parse_plan
from recon_engine.outcome.breaks import CATEGORY
from recon_engine.verification.verify import TABLES
from services.settings import Settings, variable

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
REFERENCE = DOCS / "reference"
MODELS = (
    plans.Plan,
    plans.Side,
    plans.ReaderOptions,
    plans.FieldSpec,
    plans.SidedFormat,
    plans.SidedClean,
    plans.MapStep,
    plans.TimesStep,
    plans.LastStep,
    plans.FirstStep,
    plans.Rule,
    plans.Condition,
    plans.NetOf,
    plans.Budget,
    plans.Link,
    plans.Duplicates,
    plans.SidedDuplicates,
    plans.Currency,
    side_plans.SidesPlan,
    side_plans.NamedSide,
    side_plans.SidesField,
    side_plans.SidesRule,
)


def section(page: str, heading: str) -> str:
    """The text under a second-level heading of a reference page."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section '{heading}'"
    return found.group(1)


def first_cells(text: str, head: str) -> list[str]:
    """The first column of the table whose header begins with `head`, without backticks."""
    table = text.split(f"\n| {head} |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `?([^|`]+)`? \|", table, re.MULTILINE)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result directory of the tutorial's run."""
    out = tmp_path_factory.mktemp("tutorial") / "first"
    assert command_line.main(["run", str(DOCS / "tutorial" / "plan.yaml"), "--out", str(out)]) == 1
    return out


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_key_of_a_plan_is_documented(model: type[BaseModel]) -> None:
    """Each model of the plan has a section whose table lists exactly its keys."""
    keys = set(model.model_fields)
    for general, special in (
        (plans.ReaderOptions, (plans.Side, side_plans.NamedSide)),
        (plans.Rule, (side_plans.SidesRule,)),
    ):
        if model in special:  # what it says otherwise than the general one is told again
            inherited = general.model_fields.items()
            keys -= {name for name, field in inherited if model.model_fields[name].annotation == field.annotation}
    assert set(first_cells(section("plan.md", model.__name__), "key")) == keys


def test_every_choice_in_a_plan_is_documented() -> None:
    """Types, clean steps and what to do with ambiguity are listed one by one."""
    assert set(first_cells(section("plan.md", "FieldSpec"), "type")) == set(get_args(plans.FieldType))
    steps = {*get_args(plans.CleanName), "{map: {...}}", "{times: N}", "{last: N}", "{first: N}"}
    assert set(first_cells(section("plan.md", "SidedClean"), "step")) == steps
    ambiguous = get_args(plans.Rule.model_fields["when_ambiguous"].annotation)
    assert set(first_cells(section("plan.md", "Rule"), "`when_ambiguous` | does")) == set(ambiguous)


def test_every_setting_is_documented_with_its_default() -> None:
    """settings.md lists exactly the variables of Settings, each with the default that the code has."""
    text = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| .+ \| (?:`(.*)`|empty) \|$", text, re.MULTILINE))
    defaults: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        default: Any = field.default
        plain = default.get_secret_value() if hasattr(default, "get_secret_value") else default
        defaults[variable(name)] = (
            "" if plain is None else str(plain).lower() if isinstance(plain, bool) else str(plain)
        )
    assert documented == defaults


def commands() -> dict[str, argparse.ArgumentParser]:
    """The subcommands of the command line."""
    for action in command_line._parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the command line has no subcommands")


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_argument_of_a_command_is_documented(command: str) -> None:
    """Each command has a section that lists exactly its arguments and options."""
    actions = [a for a in commands()[command]._actions if not isinstance(a, argparse._HelpAction)]
    names = {a.option_strings[-1] if a.option_strings else str(a.metavar) for a in actions}
    text = section("cli.md", command)
    assert set(first_cells(text, "argument") if names else []) == names


def test_no_command_is_documented_that_is_not_there() -> None:
    """The sections of cli.md are the commands."""
    sections = re.findall(r"^## (.+)$", (REFERENCE / "cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(sections) == sorted(commands())


@pytest.mark.parametrize("table", ["matches", "differences", "breaks", "rejected"])
def test_every_column_of_a_result_is_documented(table: str, tutorial: Path) -> None:
    """outputs.md lists the columns of a real result, in order and with their types."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section("outputs.md", f"{table}.parquet"), re.MULTILINE)
    schema = pl.read_parquet_schema(tutorial / f"{table}.parquet")
    assert rows == [
        (name, type(dtype).__name__ if not isinstance(dtype, type) else dtype.__name__)
        for name, dtype in schema.items()
    ]


def test_the_records_of_a_result_are_documented(tutorial: Path) -> None:
    """Left and right begin with the documented columns and go on with the plan's fields."""
    rows = re.findall(r"^\| `(\w+)` \|", section("outputs.md", "left.parquet and right.parquet"), re.MULTILINE)
    fields = [spec.name for spec in plans.Plan.load(DOCS / "tutorial" / "plan.yaml").fields]
    for side in plans.SIDES:
        assert list(pl.read_parquet_schema(tutorial / f"{side}.parquet")) == [*rows, *fields]


@pytest.mark.parametrize("name", ["summary.json", "manifest.json"])
def test_every_key_of_the_json_files_is_documented(name: str, tutorial: Path) -> None:
    """outputs.md lists the keys of summary.json and manifest.json."""
    written = json.loads((tutorial / name).read_text(encoding="utf-8"))
    assert set(first_cells(section("outputs.md", name), "key")) == set(written)


def test_every_file_and_category_of_a_result_is_documented(tutorial: Path) -> None:
    """outputs.md names each file of a result directory and each category of break."""
    text = (REFERENCE / "outputs.md").read_text(encoding="utf-8")
    files = {path.name for path in tutorial.iterdir()}
    assert {f"{table}.parquet" for table in TABLES} < files
    assert [name for name in files if f"`{name}`" not in text] == []
    assert set(first_cells(section("outputs.md", "breaks.parquet"), "category")) == set(CATEGORY.categories)


def test_every_route_is_documented() -> None:
    """api.md lists exactly the routes of the API."""
    from services.api.app import ROUTERS

    routes = {
        f"{method} /api{route.path}"
        for router in ROUTERS
        for route in router.routes
        for method in sorted(route.methods)
    }
    text = (REFERENCE / "api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z]+ /api[^`]*)` \|", text, re.MULTILINE)) == routes


def found(pattern: str, page: Path) -> list[str]:
    """Everything on a page that fits a pattern; lines count one by one, a dot goes over them."""
    return re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Every code block of a language: where it stands, and its text."""
    for page in PAGES:
        for number, text in enumerate(found(rf"^```{language}\n(.*?)^```", page), start=1):
            yield f"{page.relative_to(ROOT)}#{number}", text


@pytest.mark.parametrize(("where", "text"), [pytest.param(w, t, id=w) for w, t in blocks("yaml")])
def test_every_plan_in_the_documentation_is_valid(where: str, text: str) -> None:
    """Plans shown in the documentation are accepted as they stand."""
    parse_plan(text, where=where)


def test_the_tutorial_shows_what_its_commands_print(tutorial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run's headline and the breaks in the tutorial are what the code prints today."""
    shown = [text for where, text in blocks("text") if where.startswith("docs/tutorial.md")]
    again = str(tutorial.parent / "again")
    command_line.main(["run", str(DOCS / "tutorial" / "plan.yaml"), "--out", again])
    assert capsys.readouterr().out.startswith(shown[0])
    breaks = pl.read_parquet(tutorial / "breaks.parquet")
    lines = [f"{b['side']} {b['row']} {b['category']} - {b['reason']}" for b in breaks.iter_rows(named=True)]
    assert shown[1].splitlines() == lines
    assert command_line.main(["verify", again]) == 0


def test_the_notebook_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of the notebook page runs as it stands, from the checkout."""
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for where, text in blocks("python"):
        if "use-in-a-notebook" in where:
            exec(text, names)  # noqa: S102 - our own documentation
    assert names["result"].summary["conserved"] is True


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Relative links name files that exist, and headings that the file has."""
    dead = []
    for target in found(r"\]\((?!https?:)([^)\s]+)\)", page):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        headings = {slug(h) for h in found(r"^#+ ([^\n]+)$", path)} if anchor and path.exists() else set()
        if not path.exists() or (anchor and anchor not in headings):
            dead.append(target)
    assert dead == []


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_make_targets_in_the_documentation_exist() -> None:
    """Every `make something` of the documentation is a target of the Makefile."""
    targets = set(found(r"^([a-z-]+):", ROOT / "Makefile"))
    named = {target for page in PAGES for target in found(r"(?:`|^ {4}|=false )make ([a-z-]+)", page)}
    assert named - targets == set()
