-- The same cascade in DuckDB SQL: typed copies, four passes, differences and breaks, all as Parquet.
-- It is spared what the product also does: no hashes of the inputs, no check that a match has no rival,
-- no control totals, no report of unreadable cells.
SET preserve_insertion_order = true;
-- One transaction that is never committed: every file is written by then, and a commit would spend seconds on tables
-- that nobody needs any more.
BEGIN;

CREATE TEMP TABLE l_read AS FROM read_csv('{left}', header = true, columns = {{'ref': 'VARCHAR', 'account': 'VARCHAR', 'amount': 'DECIMAL(18,2)',
  'date': 'DATE', 'currency': 'VARCHAR', 'narrative': 'VARCHAR'}});
CREATE TEMP TABLE r_read AS FROM read_csv('{right}', header = true, columns = {{'ref': 'VARCHAR', 'account': 'VARCHAR', 'amount': 'DECIMAL(18,2)',
  'date': 'DATE', 'currency': 'VARCHAR', 'narrative': 'VARCHAR'}});
CREATE TEMP VIEW l AS SELECT rowid + 1 AS row, * FROM l_read;
CREATE TEMP VIEW r AS SELECT rowid + 1 AS row, * FROM r_read;
COPY l TO '{out}/left.parquet';
COPY r TO '{out}/right.parquet';

CREATE TEMP TABLE m1 AS SELECT l.row AS lrow, r.row AS rrow, 'exact' AS rule
FROM l JOIN r USING (ref, amount, date);
CREATE TEMP TABLE l1 AS FROM l ANTI JOIN m1 ON l.row = m1.lrow;
CREATE TEMP TABLE r1 AS FROM r ANTI JOIN m1 ON r.row = m1.rrow;

CREATE TEMP TABLE m2 AS SELECT l1.row AS lrow, r1.row AS rrow, 'small difference' AS rule
FROM l1 JOIN r1 USING (ref, date) WHERE abs(r1.amount - l1.amount) <= 0.05;
CREATE TEMP TABLE l2 AS FROM l1 ANTI JOIN m2 ON l1.row = m2.lrow;
CREATE TEMP TABLE r2 AS FROM r1 ANTI JOIN m2 ON r1.row = m2.rrow;

CREATE TEMP TABLE m3 AS SELECT l2.row AS lrow, r2.row AS rrow, 'settled later' AS rule
FROM l2 JOIN r2 USING (ref, amount) WHERE r2.date - l2.date BETWEEN 0 AND 3;
CREATE TEMP TABLE l3 AS FROM l2 ANTI JOIN m3 ON l2.row = m3.lrow;
CREATE TEMP TABLE r3 AS FROM r2 ANTI JOIN m3 ON r2.row = m3.rrow;

CREATE TEMP TABLE m4 AS SELECT l3.row AS lrow, r3.row AS rrow, 'both' AS rule
FROM l3 JOIN r3 USING (ref) WHERE abs(r3.amount - l3.amount) <= 0.05 AND r3.date - l3.date BETWEEN 0 AND 3;
CREATE TEMP TABLE l4 AS FROM l3 ANTI JOIN m4 ON l3.row = m4.lrow;
CREATE TEMP TABLE r4 AS FROM r3 ANTI JOIN m4 ON r3.row = m4.rrow;

CREATE TEMP TABLE matches AS SELECT row_number() OVER () AS match_id, *
FROM (FROM m1 UNION ALL FROM m2 UNION ALL FROM m3 UNION ALL FROM m4);
COPY (SELECT match_id, 'left' AS side, lrow AS row, rule FROM matches
      UNION ALL SELECT match_id, 'right', rrow, rule FROM matches) TO '{out}/matches.parquet';

COPY (
  WITH pairs AS (
    SELECT match_id, lrow, rrow, l.amount AS la, r.amount AS ra, l.date AS ld, r.date AS rd
    FROM (FROM matches WHERE rule <> 'exact') JOIN l ON l.row = lrow JOIN r ON r.row = rrow)
  SELECT match_id, 'amount' AS field, lrow, rrow, la::VARCHAR AS left_value, ra::VARCHAR AS right_value,
    (ra - la)::VARCHAR AS difference FROM pairs WHERE la <> ra
  UNION ALL SELECT match_id, 'posted_on', lrow, rrow, ld::VARCHAR, rd::VARCHAR, (rd - ld)::VARCHAR
    FROM pairs WHERE ld <> rd
) TO '{out}/differences.parquet';

COPY (
  SELECT 'left' AS side, l4.row, CASE WHEN r4.row IS NULL THEN 'missing_counterpart' ELSE 'value_mismatch' END AS category,
    r4.row AS nearest_row FROM l4 LEFT JOIN r4 USING (ref)
  UNION ALL SELECT 'right', r4.row, CASE WHEN l4.row IS NULL THEN 'missing_counterpart' ELSE 'value_mismatch' END,
    l4.row FROM r4 LEFT JOIN l4 USING (ref)
) TO '{out}/breaks.parquet';
