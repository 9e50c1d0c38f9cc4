"""Our matching of two tables of names by likeness: the whole contract, with evidence written.

Arguments: left.parquet right.parquet likeness. Prints seconds, precision, recall, F1.
"""

import shutil
import sys
import time

started = time.perf_counter()

from pathlib import Path  # noqa: E402 - imports are part of the time

import polars as pl  # noqa: E402

from recon_engine import Plan  # noqa: E402
from recon_engine.execution.local import run  # noqa: E402

out = Path("out-ours")
shutil.rmtree(out, ignore_errors=True)
likeness = {"field": "name", "similarity": "tfidf", "at_least": float(sys.argv[3])}
plan = {
    "name": "names",
    "left": {"label": "Left", "files": [sys.argv[1]]},
    "right": {"label": "Right", "files": [sys.argv[2]]},
    "fields": [{"name": name, "left": name, "right": name} for name in ("name", "firm")],
    "rules": [{"name": "alike", "on": [likeness]}],
}
run(Plan.build(plan, base=Path.cwd()), out)
seconds = time.perf_counter() - started
firms = [pl.read_parquet(out / f"{side}.parquet").select("row", firm="firm") for side in ("left", "right")]
matches = pl.read_parquet(out / "matches.parquet").with_columns(pl.col("side").cast(pl.String))
told = [
    matches.filter(pl.col("side") == side).join(own, on="row").select("match_id", "firm")
    for side, own in zip(("left", "right"), firms, strict=True)
]
pairs = told[0].join(told[1], on="match_id", suffix="_right")
good = pairs.filter(pl.col("firm") == pl.col("firm_right")).height
true = len(set(firms[0]["firm"]) & set(firms[1]["firm"]))
precision, recall = good / max(1, pairs.height), good / true
f1 = 2 * precision * recall / max(1e-9, precision + recall)
print(f"{seconds:.1f} s, {pairs.height:,} matches, precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}")
