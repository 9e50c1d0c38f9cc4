"""Splink 5 on DuckDB: the same two tables, one model trained by its own documented steps, best left of each right.

Arguments: left.parquet right.parquet threshold. Writes nothing; prints seconds, pairs scored, precision, recall, F1.
"""

import sys
import time

import duckdb
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink import comparison_library as cl

left, right, threshold = sys.argv[1], sys.argv[2], float(sys.argv[3])
started = time.perf_counter()
connection = duckdb.connect()
api = DuckDBAPI(connection=connection)
tables = []
for name, path in (("left_side", left), ("right_side", right)):
    connection.execute(f"CREATE TABLE {name}_raw AS SELECT *, person AS unique_id FROM read_parquet('{path}')")
    tables.append(api.register(f"{name}_raw", dataset_display_name=name))
keys = [
    ("soc_sec_id",),
    ("given_name", "surname"),
    ("date_of_birth", "surname"),
    ("date_of_birth", "given_name"),
    ("date_of_birth", "suburb"),
    ("address", "street_number"),
    ("address", "surname"),
    ("postcode", "surname", "given_name"),
]
settings = SettingsCreator(
    link_type="link_only",
    blocking_rules_to_generate_predictions=[block_on(*key) for key in keys],
    comparisons=[
        cl.NameComparison("given_name"),
        cl.NameComparison("surname"),
        cl.LevenshteinAtThresholds("street_number", 1),
        cl.JaroWinklerAtThresholds("address", [0.9, 0.7]).configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("suburb", [0.9, 0.7]).configure(term_frequency_adjustments=True),
        cl.LevenshteinAtThresholds("postcode", 1),
        cl.LevenshteinAtThresholds("state", 1),
        cl.LevenshteinAtThresholds("date_of_birth", [1, 2]),
        cl.LevenshteinAtThresholds("soc_sec_id", [1, 2]),
    ],
)
linker = Linker(tables, settings, log_level=None)
linker.training.estimate_probability_two_random_records_match([block_on("soc_sec_id")], recall=0.7)
linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
linker.training.estimate_parameters_using_expectation_maximisation(block_on("soc_sec_id"))
linker.training.estimate_parameters_using_expectation_maximisation(block_on("date_of_birth", "suburb"))
predictions = linker.inference.predict(threshold_match_probability=threshold)
table = predictions.physical_name
left_is_first = "source_dataset_l = 'left_side'"
pairs = connection.execute(
    f"""SELECT l, r FROM (
          SELECT CASE WHEN {left_is_first} THEN unique_id_l ELSE unique_id_r END AS l,
                 CASE WHEN {left_is_first} THEN unique_id_r ELSE unique_id_l END AS r, match_weight
          FROM {table})
        QUALIFY row_number() OVER (PARTITION BY r ORDER BY match_weight DESC) = 1"""
).fetchall()
seconds = time.perf_counter() - started
true = connection.execute("SELECT count(*) FROM left_side_raw JOIN right_side_raw USING (person)").fetchone()[0]
good = sum(a == b for a, b in pairs)
precision, recall = good / max(1, len(pairs)), good / true
f1 = 2 * precision * recall / max(1e-9, precision + recall)
print(f"{seconds:.1f} s, precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}")
