"""Backups: taken in one snapshot, packed, encrypted with age, stored, read back and verified before they count."""
