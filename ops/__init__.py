"""Keeping the platform alive: backups, restores, drills and their schedule. `python -m ops` is the command line."""
