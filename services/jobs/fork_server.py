"""A process that has imported what every engine process needs, and forks one for each request.

    python -P -m services.jobs.fork_server SOCKET MODULE...

Importing takes longer than most looks into a file; here it is paid once. Forking is safe because this process has one
thread and none of MODULE... starts another. Polars does: each child imports it for itself. Python's own fork server
(multiprocessing) would carry the application's environment, with its secrets, into every child.

A request is a message on SOCKET with three files: the child's stdout, its stderr, and the socket by which it is
controlled. On that, this process tells the child's id and, when it has ended, its exit code; it hears TERMINATE and
KILL. Closed without a word, it says that the system has no room for another child. A child is killed, with all that it
started, when the other end of its socket closes, and all of them when SOCKET does: so nothing outlives the application.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from services.jobs.limits import die_with_parent, own_variables, put_limits

TERMINATE, KILL = b"t", b"k"
REQUEST_BYTES = 128 * 1024
_FILES = 3
_INTERNAL = 3  # as the engine ends when it is not its input that is wrong


@dataclass(frozen=True)
class _Forked:
    """One child: its id, a file that becomes readable when it ends, and the socket by which it is controlled."""

    pid: int
    ending: int
    control: socket.socket


def _serve(requests: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork a child for each request. Returns in the children only: the request and its files."""
    children: set[_Forked] = set()
    with selectors.DefaultSelector() as events, requests:
        events.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                child: _Forked | None = key.data
                if child is None:
                    message, files, *_ = socket.recv_fds(requests, REQUEST_BYTES, _FILES, socket.MSG_CMSG_CLOEXEC)
                    if not message:
                        _end_all(children)
                    try:
                        child = _fork(files)
                    except OSError:
                        for each in files:
                            os.close(each)
                        continue
                    if child is None:
                        _forget(children)
                        return json.loads(message), files
                    children.add(child)
                    events.register(child.ending, selectors.EVENT_READ, child)
                    events.register(child.control, selectors.EVENT_READ, child)
                elif key.fd == child.ending:
                    children.remove(child)
                    events.unregister(child.ending)
                    if child.control in events.get_map():
                        events.unregister(child.control)
                    _bury(child)
                elif child in children and not _obey(child):
                    events.unregister(child.control)


def _fork(files: list[int]) -> _Forked | None:
    """A new child, whose id has been told; None in the child itself. Raises OSError where there is no room for one."""
    if len(files) != _FILES:
        raise OSError(errno.EMFILE, "no room for the files of a request")
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.setsid()  # a group of its own, by which all that it starts is ended with it
        die_with_parent(server)
        return None
    try:
        ending = os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    *outputs, control = files
    for each in outputs:
        os.close(each)
    child = _Forked(pid, ending, socket.socket(fileno=control))
    _tell(child, pid)
    return child


def _forget(others: set[_Forked]) -> None:
    """In a child: close what belongs to the others."""
    for child in others:
        os.close(child.ending)
        child.control.close()


def _settle(request: dict[str, Any], files: list[int]) -> None:
    """Give a child its output, its folder, its limits and its arguments."""
    for target, source in enumerate(files[:2], start=1):
        os.dup2(source, target)
    for each in files:
        os.close(each)
    os.chdir(request["folder"])
    os.environ.update(own_variables(request["folder"]))
    put_limits(request["memory_bytes"], request["cpu_seconds"])
    sys.argv[1:] = request["arguments"]


def _obey(child: _Forked) -> bool:
    """Do what is told of a child that has not been waited for, so that its id is its own. False: no more will come."""
    try:
        told = child.control.recv(1)
    except OSError:
        told = b""
    os.kill(child.pid, signal.SIGTERM if told == TERMINATE else signal.SIGKILL)
    return bool(told)


def _bury(child: _Forked) -> None:
    """Kill what an ended child has left running, and tell its exit code."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # before it is waited for: until then no other has its id
    _, status = os.waitpid(child.pid, 0)
    _tell(child, os.waitstatus_to_exitcode(status))
    child.control.close()
    os.close(child.ending)


def _tell(child: _Forked, number: int) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        child.control.send(str(number).encode())


def _end_all(children: set[_Forked]) -> NoReturn:
    """The application has gone: nothing that it started goes on."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):  # it has no group yet: the kernel ends it with this process
            os.killpg(child.pid, signal.SIGKILL)
    os._exit(0)


def _main(arguments: list[str]) -> None:
    requests = socket.socket(fileno=int(arguments[0]))
    for module in arguments[1:]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the children share what is here: their collector need not touch it
    request, files = _serve(requests)
    try:
        _settle(request, files)
    except (OSError, ValueError) as error:  # its folder is gone, or its limits are above those of this process
        sys.stderr.write(f"the engine cannot be started: {error}\n")
        sys.exit(_INTERNAL)
    runpy.run_module("recon_engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
