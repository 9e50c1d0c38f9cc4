"""The HTTP face of the use cases, mounted under /api."""

from services.api.app import build_api

__all__ = ["build_api"]
