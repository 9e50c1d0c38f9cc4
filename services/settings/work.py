"""The work on files: jobs, uploads and the reading of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.settings.kinds import Count, Group


class WorkSettings(Group):
    """The work on files: jobs, uploads and the reading of them."""

    embedded_worker: bool = True
    """Whether the app starts a job worker beside itself; false where workers run on their own."""

    job_slots: Count = 2
    """Jobs that one worker runs at the same time."""

    job_memory_mb: Count = 4096
    """Memory one job may take; files that it only reads do not count."""

    job_cpu_seconds: Count = 3600
    """Processor time one job may take."""

    job_lease_seconds: Count = 30
    """Time without a heartbeat after which a job is given to another worker."""

    job_heartbeat_seconds: Count = 5
    """Time between two heartbeats of a running job; well below the lease."""

    job_drain_seconds: Annotated[int, Field(ge=0)] = 8
    """Time that running jobs have to end after SIGTERM; after it they are given to another worker."""

    job_max_attempts: Count = 3
    """Attempts after which a job whose worker keeps dying is marked failed."""

    upload_max_mb: Count = 2048
    """Largest accepted upload."""

    storage_quota_mb: Count = 51_200
    """Megabytes of uploads that one person may keep."""

    reader_memory_mb: Count = 2048
    """Memory for reading and profiling one uploaded file; the file itself does not count."""

    reader_cpu_seconds: Count = 60
    """Processor time for reading and profiling one uploaded file."""
