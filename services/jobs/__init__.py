"""Durable jobs: rows with leases, run as child processes by workers on any number of machines."""
