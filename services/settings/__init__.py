"""All configuration, read once at start from the environment and `.env`; a wrong value names its variable."""

from services.settings.whole import Settings, load_settings, read_settings, variable

__all__ = ["Settings", "load_settings", "read_settings", "variable"]
