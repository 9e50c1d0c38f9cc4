"""More than two sides in one run: every pair of sides that rules name is a two-sided run, and the pairs' matches are
joined to matches over all sides.
"""
