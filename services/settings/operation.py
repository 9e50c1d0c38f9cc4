"""What is deployed and how it is watched: version, rollout, logs and the audit's anchor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.settings.kinds import Count, Group, Seconds


class OperationSettings(Group):
    """What is deployed and how it is watched: version, rollout, logs and the audit's anchor."""

    version: str = Field("development", max_length=64, pattern=r"^[A-Za-z0-9._+-]+$")
    """Name of the version that is deployed, as people and metrics see it; the image sets it."""

    prometheus_url: str = Field("", validation_alias="PROMETHEUS_URL")
    """Prometheus that a rollout reads from; empty means that it asks each process of the app for its metrics."""

    rollout_proxy: str = ""
    """HAProxy's admin socket that carries out a rollout, as a path or host:port; empty means there is no proxy."""

    rollout_blue: str = ""
    """Addresses (with commas) of the app's processes in the slot blue, as http://app-blue:2000."""

    rollout_green: str = ""
    """Addresses (with commas) of the app's processes in the slot green."""

    rollout_watch_seconds: Seconds = 30
    """Time between two readings of a rollout's numbers."""

    rollout_window_seconds: Seconds = 300
    """Time over which the rates of the go / no-go board are taken."""

    rollout_crash_seconds: Seconds = 3600
    """A crash-free rate that is too low for this long takes the new version back."""

    rollout_slow_seconds: Seconds = 1800
    """A P95 that is too high for this long takes the new version back."""

    rollout_grace_seconds: Annotated[float, Field(ge=0)] = 10
    """Time that requests under way have to end when a version is taken back, before its connections are cut."""

    audit_anchor_seconds: Count = 300
    """Time between two looks at the audit trail's end, which is noted outside the database when it has moved."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severity that is logged."""
