"""The same by the product of two sparse matrices of which the best of each row are kept; mutual best pairs.

Arguments: left.parquet right.parquet likeness. Prints seconds, precision, recall, F1.
"""

import os
import sys
import time

started = time.perf_counter()

import polars as pl  # noqa: E402 - imports are part of the time
from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402
from sparse_dot_topn import sp_matmul_topn  # noqa: E402

sides = [pl.read_parquet(path) for path in sys.argv[1:3]]
trigrams = TfidfVectorizer(analyzer="char", ngram_range=(3, 3))
trigrams.fit(pl.concat([side["name"] for side in sides]).to_list())
left, right = (trigrams.transform(side["name"].to_list()) for side in sides)
best = sp_matmul_topn(
    left, right.T.tocsr(), top_n=5, threshold=float(sys.argv[3]), sort=True, n_threads=os.cpu_count()
).tocoo()
pairs = pl.DataFrame({"l": best.row, "r": best.col, "likeness": best.data}).sort("likeness", descending=True)
pairs = pairs.unique("l", keep="first", maintain_order=True).join(
    pairs.unique("r", keep="first", maintain_order=True), on=["l", "r"]
)
pairs.write_parquet("out-topn.parquet")
seconds = time.perf_counter() - started
firms = [side["firm"].gather(pairs[column]) for side, column in zip(sides, "lr", strict=True)]
good = (firms[0] == firms[1]).sum()
true = len(set(sides[0]["firm"]) & set(sides[1]["firm"]))
precision, recall = good / max(1, pairs.height), good / true
f1 = 2 * precision * recall / max(1e-9, precision + recall)
print(f"{seconds:.1f} s, {pairs.height:,} matches, precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}")
