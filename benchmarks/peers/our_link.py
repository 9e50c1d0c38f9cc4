"""Our linkage on the same two tables: nothing told but the fields. Best left of each right.

Arguments: left.parquet right.parquet threshold. Writes nothing; prints seconds, precision, recall, F1.
"""

import sys
import time

started = time.perf_counter()

import polars as pl  # noqa: E402 - imports are part of the time

from recon_engine.matching.linkage import LinkField, link  # noqa: E402

sides = [pl.read_parquet(path) for path in sys.argv[1:3]]
threshold = float(sys.argv[3])
born = pl.col("date_of_birth").str.to_date("%Y%m%d", strict=False).to_physical()
fields = [
    LinkField(name, "date" if name == "date_of_birth" else "text") for name in sides[0].columns if name != "person"
]
linked = link(*(side.with_columns(date_of_birth=born) for side in sides), fields, probability=threshold)
best = (
    linked.pairs.filter(pl.col("probability") >= threshold)
    .sort("weight", "l", descending=[True, False])
    .unique("r", keep="first")
)
seconds = time.perf_counter() - started
left, right = (side["person"] for side in sides)
good = (left.gather(best["l"]) == right.gather(best["r"])).sum()
true = len(set(left) & set(right))
precision, recall = good / max(1, best.height), good / true
f1 = 2 * precision * recall / max(1e-9, precision + recall)
print(
    f"{seconds:.1f} s, {linked.parameters['candidates']:,} pairs compared, "
    f"precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}"
)
