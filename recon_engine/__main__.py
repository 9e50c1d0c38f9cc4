"""The command line: run, suggest, profile, preview, verify, schema.

Exit codes: 0 everything matched (or verified), 1 breaks or differences exist (or a check failed), 2 the input or
plan is
wrong, 3 internal error.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from recon_engine.errors import PlanError, ReconError

ALL_MATCHED, OPEN_POINTS, WRONG_INPUT, INTERNAL = 0, 1, 2, 3


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    # Ended by its worker or by ctrl-C, a run unwinds and removes its partial output.
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        return int(options.command(options))
    except ReconError as error:
        _say_error(str(error))
        return WRONG_INPUT
    except (KeyboardInterrupt, _Ended):
        _say_error("stopped; nothing was written")
        return INTERNAL
    except BrokenPipeError:
        return INTERNAL
    except MemoryError:
        _say_error("not enough memory; run again with --partitions 16, or on a machine with more")
        return INTERNAL
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if type(error).__name__ == "ComputeError" and str(error).startswith("parquet:"):
            # Its columns are read when they are needed: damage inside shows only then.
            files = ", ".join(
                str(getattr(options, name))
                for name in ("file", "files", "left", "right")
                if getattr(options, name, None)
            )
            _say_error(f"{files}: a Parquet file is damaged inside ({str(error).splitlines()[0]}); write it again")
            return WRONG_INPUT
        _say_error(f"internal error: {type(error).__name__}: {error}")
        return INTERNAL


class _Ended(BaseException):
    """SIGTERM arrived."""


def _interrupted(*_: object) -> NoReturn:
    raise _Ended


def _say_error(message: str) -> None:
    sys.stderr.write(" ".join(message.split()) + "\n")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2."""
        _say_error(f"{self.prog}: {message}; see {self.prog} --help")
        sys.exit(WRONG_INPUT)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m recon_engine", description="Reconcile two sides, with evidence.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a plan and write the result directory")
    run.add_argument("plan", metavar="PLAN")
    run.add_argument("files", metavar="FILE", nargs="*", help="a plan with sides: one file for each, in their order")
    run.add_argument("--left", nargs="+", metavar="FILE", help="files of the left side, instead of the plan's")
    run.add_argument("--right", nargs="+", metavar="FILE", help="files of the right side, instead of the plan's")
    run.add_argument("--out", required=True, metavar="DIR", help="the result directory; it exists only when whole")
    run.add_argument("--engine", choices=["local"], default="local", help="who runs the partitions")
    run.add_argument(
        "--partitions", type=int, metavar="N", help="run out of core, in N partitions; default: as memory asks"
    )
    run.add_argument(
        "--portable", action="store_true", help="evidence names the files as the plan does, not where they are here"
    )
    run.add_argument("--progress", choices=["text", "ndjson"], help="tell what is being done, on stdout")
    run.set_defaults(command=_run)
    suggest = commands.add_parser("suggest", help="profile the files of two or more sides and propose a plan")
    suggest.add_argument("files", metavar="FILE", nargs="*", help="left and right, or one file for each of more sides")
    suggest.add_argument("--sides", metavar="PLAN", help="a file with the sides of a plan: propose the rest of it")
    suggest.add_argument("--from", dest="result", metavar="RESULT", help="a result: its plan, with a cause applied")
    suggest.add_argument("--cause", type=int, metavar="N", help="with --from: which cause, from 1; default the first")
    suggest.add_argument("-o", "--out", dest="plan", metavar="PLAN", help="write the plan here instead of stdout")
    suggest.add_argument("--left-options", default="{}", metavar="JSON", help="reader options of the left file")
    suggest.add_argument("--right-options", default="{}", metavar="JSON", help="reader options of the right file")
    suggest.add_argument("--more-left", nargs="+", default=[], metavar="FILE", help="more files of the left side")
    suggest.add_argument("--more-right", nargs="+", default=[], metavar="FILE", help="more files of the right side")
    suggest.add_argument("--json", action="store_true", help="plan, confidences, reasons and questions as JSON")
    suggest.set_defaults(command=_suggest)
    profile = commands.add_parser("profile", help="say what a file looks like")
    profile.add_argument("file", metavar="FILE")
    profile.add_argument(
        "--options", default="{}", metavar="JSON", help="reader options: delimiter, encoding, sheet, …"
    )
    profile.add_argument("--json", action="store_true", help="as JSON")
    profile.set_defaults(command=_profile)
    preview = commands.add_parser("preview", help="count what each rule of a plan would match, and stop there")
    preview.add_argument("plan", metavar="PLAN")
    preview.add_argument("--sample", metavar="DIR", help="count on this sample instead of the plan's files")
    preview.add_argument("--write-sample", metavar="DIR", help="write a sample of the plan's files there")
    preview.set_defaults(command=_preview)
    verify = commands.add_parser("verify", help="re-check a result directory from its files alone")
    verify.add_argument("folder", metavar="DIR")
    verify.add_argument("--quick", action="store_true", help="do not make the result again to compare it")
    verify.set_defaults(command=_verify)
    schema = commands.add_parser("schema", help="print the JSON Schema of plan files")
    schema.add_argument("--sides", action="store_true", help="of plans with more than two sides")
    schema.set_defaults(command=_schema)
    return parser


def _run(options: argparse.Namespace) -> int:
    from recon_engine.execution.local import Progress, run
    from recon_engine.nway.any_plan import load_plan
    from recon_engine.nway.plan import SidesPlan

    def tell(progress: Progress) -> None:
        if options.progress == "ndjson":
            _print(json.dumps(asdict(progress)))
        elif options.progress == "text":
            rule = f" ({progress.rule})" if progress.rule else ""
            _print(f"{progress.seconds:7.1f} s  {progress.stage} {progress.done}/{progress.total}{rule}")

    plan, out = _placed(load_plan(options.plan, relative=options.portable), options), Path(options.out).absolute()
    if options.portable:
        os.chdir(Path(options.plan).resolve().parent)
    if isinstance(plan, SidesPlan):
        from recon_engine.nway.run import run_sides

        summary = run_sides(plan, out, options.partitions, tell)
        labels = summary["sides"]
    else:
        summary = run(plan, out, options.partitions, tell)
        labels = {"left": plan.left.label, "right": plan.right.label}
    if options.progress != "ndjson":
        _print(_headline(labels, summary, options.out))
    complete = not summary["breaks"] and not summary["differences"] and not _suggested(summary)
    if not summary["conserved"]:
        _say_error("the run does not conserve its rows or sums: it is marked invalid (summary.json, conserved: false)")
        return INTERNAL
    return ALL_MATCHED if complete and not _rejected(summary) else OPEN_POINTS


def _placed(plan: Any, options: argparse.Namespace) -> Any:
    """The plan with the files of the command line in place of its own."""
    from recon_engine.nway.plan import SidesPlan

    def here(files: list[str] | None) -> list[str] | None:
        return None if files is None else [str(Path.cwd() / file) for file in files]

    if not isinstance(plan, SidesPlan):
        if options.files:
            raise PlanError("the plan has left and right: give their files with --left and --right")
        return plan.with_files(left=here(options.left), right=here(options.right))
    if options.left is not None or options.right is not None:
        raise PlanError("the plan has sides: give one file for each in their order, without --left and --right")
    names = [side.name for side in plan.sides]
    if options.files and len(options.files) != len(names):
        raise PlanError(f"the plan has {len(names)} sides ({', '.join(names)}): give one file for each, in this order")
    return plan.with_files({name: here([file]) or [] for name, file in zip(names, options.files, strict=False)})


def _suggested(summary: dict[str, Any]) -> int:
    return sum(int(rows["suggested"]) for rows in summary["rows"].values())


def _rejected(summary: dict[str, Any]) -> int:
    return sum(int(rows["rejected"]) for rows in summary["rows"].values())


def _headline(labels: dict[str, str], summary: dict[str, Any], out: str) -> str:
    lines = []
    for side, label in labels.items():
        r = summary["rows"][side]
        lines.append(
            f"{label}: {r['read']:,} read = {r['matched']:,} matched + {r['suggested']:,} suggested"
            f" + {r['breaks']:,} breaks + {r['rejected']:,} rejected"
        )
    lines += [
        f"  {_between(rule)}{rule['name']}: {rule['matches']:,} matches, {rule['ambiguous']:,} records ambiguous"
        for rule in summary["rules"]
    ]
    if summary["breaks"]:
        lines.append("breaks: " + ", ".join(f"{n:,} {category}" for category, n in summary["breaks"].items()))
    if summary.get("missing"):
        lines.append("missing: " + ", ".join(f"{n:,} in {labels[side]}" for side, n in summary["missing"].items()))
    lines.append(
        f"{summary['differences']:,} differences in compared fields; "
        f"conserved: {'yes' if summary['conserved'] else 'NO'}"
    )
    lines += [f"warning: {w}" for w in summary["warnings"]]
    return "\n".join([*lines, f"written to {out} in {summary['seconds']:.1f} s"])


def _between(rule: dict[str, Any]) -> str:
    if "net" in rule:
        return f"{rule['net']} alone, "
    return f"{' - '.join(rule['between'])}, " if "between" in rule else ""


def _options(text: str) -> Any:
    from pydantic import ValidationError

    from recon_engine.plan import ReaderOptions

    try:
        return ReaderOptions.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise PlanError(f"reader options: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _suggest(options: argparse.Namespace) -> int:
    if options.result:
        return _suggest_from(options)
    if options.cause is not None:
        raise PlanError("--cause goes with --from only")
    suggestion = _suggested_sides(options) if options.sides or len(options.files) > 2 else _suggested_two(options)
    text = json.dumps(suggestion.as_dict(), ensure_ascii=False) if options.json else suggestion.to_yaml()
    if options.plan:
        _write(Path(options.plan), text)
    else:
        _print(text)
    return ALL_MATCHED


def _suggested_two(options: argparse.Namespace) -> Any:
    from recon_engine.reading import open_table
    from recon_engine.reading.joined import joined
    from recon_engine.suggest import suggest

    if len(options.files) != 2:
        raise PlanError("suggest needs the files of two sides or more, or --sides PLAN, or --from RESULT")
    left_options, right_options = _options(options.left_options), _options(options.right_options)
    left = joined([open_table(f, left_options) for f in (options.files[0], *options.more_left)])
    right = joined([open_table(f, right_options) for f in (options.files[1], *options.more_right)])
    return suggest(left, right, left_options, right_options)


def _suggested_sides(options: argparse.Namespace) -> Any:
    from recon_engine.nway.any_plan import load_sides
    from recon_engine.nway.suggest import sides_of, suggest_sides

    if options.more_left or options.more_right or options.left_options != "{}" or options.right_options != "{}":
        raise PlanError("--left-options, --more-left and the like are for two sides; say it in --sides PLAN")
    if options.sides and options.files:
        raise PlanError("suggest takes either the files of the sides, or --sides PLAN which names them")
    return suggest_sides(load_sides(Path(options.sides)) if options.sides else sides_of(options.files))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{path}: cannot be written ({error.strerror}); choose another place") from error


def _suggest_from(options: argparse.Namespace) -> int:
    from recon_engine.nway.plan_changes import mended

    if options.files or options.sides:
        raise PlanError("suggest takes either the files of the sides or --from RESULT")
    plan, expected = mended(Path(options.result), 1 if options.cause is None else options.cause)
    text = json.dumps({"plan": plan.to_data()}, ensure_ascii=False) if options.json else plan.to_yaml()
    if options.plan:
        _write(Path(options.plan), text)
        _print(expected)
    else:
        _print(text)
        _say_error(expected)
    return ALL_MATCHED


def _profile(options: argparse.Namespace) -> int:
    from recon_engine.profiling import profile
    from recon_engine.reading import open_table

    reader_options = _options(options.options)
    found = profile(open_table(options.file, reader_options), reader_options)
    _print(json.dumps(found.as_dict(), ensure_ascii=False) if options.json else found.text())
    return ALL_MATCHED


def _preview(options: argparse.Namespace) -> int:
    from recon_engine.execution import preview as of_two
    from recon_engine.nway import preview as of_several
    from recon_engine.nway.any_plan import load_plan
    from recon_engine.nway.plan import SidesPlan

    plan, out, sample = load_plan(options.plan), options.write_sample, options.sample and Path(options.sample)
    told: dict[str, Any]
    if isinstance(plan, SidesPlan):
        told = of_several.write_sample(plan, Path(out)) if out else of_several.preview(plan, sample)
    else:
        told = of_two.write_sample(plan, Path(out)) if out else of_two.preview(plan, sample)
    _print(json.dumps(told, ensure_ascii=False))
    return ALL_MATCHED


def _verify(options: argparse.Namespace) -> int:
    from recon_engine.verification.verify import verify

    checks = verify(options.folder, quick=options.quick)
    word = {True: "ok", False: "FAILED", None: "not checked"}
    for check in checks:
        _print(f"{word[check.holds]:>11}  {check.name}: {check.detail}")
    return OPEN_POINTS if any(check.holds is False for check in checks) else ALL_MATCHED


def _schema(options: argparse.Namespace) -> int:
    from recon_engine.nway.plan import SidesPlan
    from recon_engine.plan import Plan

    _print(json.dumps((SidesPlan if options.sides else Plan).model_json_schema(), indent=2))
    return ALL_MATCHED


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
