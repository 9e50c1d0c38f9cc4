"""Puts limits on the process and then becomes the given command.

    python -I -S services/jobs/limits.py MEMORY_BYTES CPU_SECONDS PARENT_PID COMMAND...

A program of its own, because code between fork and exec is unsafe in a process that has threads. It is started by
path and needs only the standard library, so it costs a few hundredths of a second.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, signum: int = signal.SIGKILL) -> None:
    """Have the kernel send `signum` to this process when its parent ends (Linux), so that no child is orphaned.

    "Parent" is the thread that started this process: it must live as long as it wants the child to.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os.kill(os.getpid(), signum)


def put_limits(memory_bytes: int, cpu_seconds: int) -> None:
    """Limit what this process may take from now on."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
    if sys.platform.startswith("linux"):  # elsewhere the limit does not count mapped memory, or is refused
        # What it allocates. Files that are only read do not count: they are mapped and take no memory of their own.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def own_variables(folder: str) -> dict[str, str]:
    """What the environment says of a process whose own folder this is: what it writes aside goes there."""
    return {"HOME": folder, "TMPDIR": folder}


def _main(arguments: list[str]) -> None:
    memory_bytes, cpu_seconds, parent = (int(a) for a in arguments[:3])
    die_with_parent(parent)
    put_limits(memory_bytes, cpu_seconds)
    os.execvp(arguments[3], arguments[3:])  # noqa: S606 - a list of arguments, no shell


if __name__ == "__main__":
    _main(sys.argv[1:])
