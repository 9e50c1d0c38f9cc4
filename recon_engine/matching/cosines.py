"""The cosine of texts as vectors of their trigrams: of given pairs, and which pairs reach what is asked.

The search leaves none out (after Bayardo, Ma and Srikant, WWW 2007): a text is searched by its rarest trigrams only, so
many that the others cannot make up for them. What a pair's common trigrams can add to that is at most the length of the
rest of one vector times that of the other's (Cauchy and Schwarz).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recon_engine.matching.text_parts import Floats, Ints, Rarity, vectors_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_BEHIND = 0.6  # of the likeness that is asked: so much at most may come from the parts that a search leaves out
_PRODUCTS = 300  # products of two weights that take as long as one comparison
_BLOCK = 20_000_000  # products at once
_ROWS = (
    4_096  # rows at once, of each of which the best so many are kept; where there are more, they are found otherwise
)
_BEST = 1_024
_LEVELS = 32  # columns after which it is known how much of a vector is left
_ENTRIES = 1_000_000  # entries of vectors that are looked up at once
_ROUNDING = 1e-9


def cosine(left: pl.Series, right: pl.Series, known: Rarity) -> pl.Series:
    """The cosine (0-1) of the texts of each pair (String); null where one is missing.

    Which text is left and which is right changes no bit of it, nor do the other pairs.
    """
    texts = pl.concat([left, right]).drop_nulls().unique()
    if texts.is_empty():
        return pl.Series([None] * len(left), dtype=pl.Float64)
    vectors = vectors_of(texts, known)
    place = [column.cast(pl.Enum(texts)).to_physical() for column in (left, right)]
    both = place[0].is_not_null() & place[1].is_not_null()
    a, b = (p.filter(both).to_numpy() for p in place)
    value = np.full(len(left), np.nan)
    value[both.to_numpy()] = np.minimum(_dots(vectors, a, b), 1.0)
    return pl.Series(value).fill_nan(None)


def _dots(vectors: csr_array, a: Ints, b: Ints) -> Floats:
    """The dot product of rows a and b of each pair: the products of their common columns, added in order."""
    from scipy.sparse import csr_array

    ones = np.ones(vectors.shape[1])

    def dots(begin: int, end: int) -> Floats:
        rows = vectors[b[begin:end]]
        if not rows.nnz:
            return np.zeros(end - begin)
        other = vectors[np.repeat(a[begin:end], np.diff(rows.indptr)), rows.indices]
        return np.asarray(csr_array((rows.data * other, rows.indices, rows.indptr), shape=rows.shape) @ ones)

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        found = list(pool.map(dots, *_blocks(np.diff(vectors.indptr)[b], _ENTRIES)))
    return np.concatenate([np.zeros(0), *found])


def _blocks(sizes: Ints, most: int) -> tuple[Ints, Ints]:
    """Where blocks of about `most` in all begin and end."""
    if not len(sizes):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes, dtype=np.int64) // most)) + 1
    return np.concatenate([[0], cuts]), np.concatenate([cuts, [len(sizes)]])


def near_texts(
    left: pl.Series, right: pl.Series, at_least: float, known: Rarity, most: int
) -> tuple[pl.DataFrame, int]:
    """Pairs of positions (a, b) of distinct texts (String, no nulls) that may reach a cosine, and their price.

    The price is known before anything is multiplied; beyond `most` no pairs are made. Where more pairs than that are
    found nevertheless, it is theirs. Searched from the side that needs fewer products, so that sides may be swapped.
    """
    nothing = pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64})
    if left.is_empty() or right.is_empty():
        return nothing, 0
    vectors = vectors_of(pl.concat([left, right]), known)
    sides = vectors[: len(left)], vectors[len(left) :]
    searches = [_Search.of(own, other, at_least) for own, other in (sides, sides[::-1])]
    products = [int(search.products.sum()) for search in searches]
    price = min(products) // _PRODUCTS
    if price > most:
        return nothing, price
    swapped = products[1] < products[0]
    found, total = [nothing], 0
    for a, b in searches[swapped].pairs():
        found.append(pl.DataFrame({"a": b, "b": a} if swapped else {"a": a, "b": b}, schema=nothing.schema))
        total += len(a)
        if total > most:
            return nothing, total
    return pl.concat(found), price


@dataclass(frozen=True, slots=True)
class _Search:
    """The rows of `own` searched for in `other`: the columns of both are in the order of how rare they are in `other`.

    `begins` each row's part that is searched by, scaled so that a pair needs 1 of it; `products` that takes, by row;
    `enough` of each row that is; `last` column of it; the length of what is left `behind`.
    """

    own: csr_array
    other: csr_array
    at_least: float
    begins: csr_array
    products: Ints
    enough: Floats
    last: Ints
    behind: Floats

    @classmethod
    def of(cls, own: csr_array, other: csr_array, at_least: float) -> _Search:
        from scipy.sparse import csr_array

        held = np.bincount(other.indices, minlength=other.shape[1])
        rank = np.empty(len(held), dtype=own.indices.dtype)
        rank[np.argsort(held, kind="stable")] = np.arange(len(held))
        own, other = (
            csr_array((m.data, rank[m.indices], m.indptr), shape=m.shape).sorted_indices() for m in (own, other)
        )
        row = _rows(own)
        is_begin = _behind(own) > (_BEHIND * at_least) ** 2
        searched, behind = (
            np.sqrt(np.bincount(row[part], weights=own.data[part] ** 2, minlength=own.shape[0]))
            for part in (is_begin, ~is_begin)
        )
        # Of the angle between the texts, the part left out can take back no more than it turns the vector.
        enough = searched * (searched * at_least - behind * np.sqrt(1 - at_least**2))
        column = own.indices[is_begin]
        ends = np.concatenate([[0], np.cumsum(np.bincount(row[is_begin], minlength=own.shape[0]))])
        scaled = own.data[is_begin] / enough[row[is_begin]]
        begins = csr_array((scaled, column, ends.astype(column.dtype)), shape=own.shape)
        last = np.zeros(own.shape[0], dtype=np.int64)
        last[row[is_begin]] = column  # the last one of each row stays
        products = np.bincount(row[is_begin], weights=np.sort(held)[column], minlength=own.shape[0])
        return cls(own, other, at_least, begins, products.astype(np.int64), enough, last, behind)

    def pairs(self) -> Iterator[tuple[Ints, Ints]]:
        """Pairs of rows (of `own`, of `other`) that may be alike enough, block by block."""
        columns = self.other.T.tocsr()
        levels = np.unique(np.quantile(self.last, np.linspace(0, 1, _LEVELS), method="lower").astype(np.int64))
        level, tails = np.searchsorted(levels, self.last, side="right") - 1, _tails(self.other, levels)
        for begin, end in zip(*_blocks(np.maximum(self.products, _BLOCK // _ROWS), _BLOCK), strict=True):
            for a, b, begun in self._multiplied(begin, end, columns):
                most = begun * self.enough[a] + self.behind[a] * tails[level[a], b]
                kept = most >= self.at_least - _ROUNDING
                yield a[kept], b[kept]

    def _multiplied(self, begin: int, end: int, columns: csr_array) -> Iterator[tuple[Ints, Ints, Floats]]:
        from scipy.sparse import csr_matrix
        from sparse_dot_topn import sp_matmul_topn

        least = 1 - _ROUNDING
        begins = self.begins[begin:end]
        best = sp_matmul_topn(
            csr_matrix(begins), csr_matrix(columns), _BEST, threshold=least, n_threads=pl.thread_pool_size()
        )
        count = np.diff(best.indptr)
        crowded = count == _BEST
        row = np.repeat(np.arange(begin, end), count)
        kept = np.repeat(~crowded, count)
        yield row[kept], best.indices[kept], best.data[kept]
        rows = np.flatnonzero(crowded)
        for first, last in zip(*_blocks(self.products[begin + rows], _BLOCK), strict=True):
            every = begins[rows[first:last]] @ columns
            kept = every.data > least
            row = np.repeat(begin + rows[first:last], np.diff(every.indptr))
            yield row[kept], every.indices[kept], every.data[kept]


def _rows(matrix: csr_array) -> Ints:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _behind(matrix: csr_array) -> Floats:
    """The squared length of each entry and those after it in its row."""
    squares = pl.DataFrame({"t": _rows(matrix), "v": matrix.data**2})
    return squares.select(pl.col("v").cum_sum(reverse=True).over("t")).to_series().to_numpy()


def _tails(matrix: csr_array, levels: Ints) -> Floats:
    """The length of what each row holds beyond each column of `levels`: one row a level."""
    row, squares = _rows(matrix), matrix.data**2
    beyond = (matrix.indices > column for column in levels)
    return np.sqrt([np.bincount(row[part], weights=squares[part], minlength=matrix.shape[0]) for part in beyond])
