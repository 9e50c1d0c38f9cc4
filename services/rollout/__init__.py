"""Bringing a new version to everybody, step by step: what is measured, what may go on, what must stop."""
