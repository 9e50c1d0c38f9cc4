"""Matching: pure functions on frames of comparable values. No I/O, no clock, no environment, no randomness."""
