"""Rollouts: reading the numbers, moving the proxy, going on or back."""
