"""One child process: started with its output in a file, stopped by its process id.

A child dies with the test run even if that is killed: the kernel sends it SIGKILL then.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """Runs in the child before exec. A group of its own keeps Ctrl-C for the parent, which then stops it."""
    os.setpgrp()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ProcessFailed(Exception):
    """A process ended or did not come up in time; the message has the end of its output."""


class Process:
    """A child process with its output in `log`."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        *,
        log: pathlib.Path,
        cwd: pathlib.Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                [os.fspath(a) for a in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, `-N` for signal N, None while it runs."""
        return self._popen.poll()

    @property
    def cpu_seconds(self) -> float:
        """What it has used of the processors so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send_signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    async def exited(self, timeout: float) -> int:
        """Waits for the end; returns the exit code."""
        await eventually(lambda: self.exit_code is not None, timeout, lambda: f"{self.name} still runs")
        assert self.exit_code is not None
        return self.exit_code

    async def terminate(self, timeout: float = 30.0) -> int:
        """SIGTERM, and SIGKILL after `timeout` seconds; returns the exit code."""
        if self.exit_code is None:
            self.send_signal(signal.SIGTERM)
        try:
            return await self.exited(timeout)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """SIGKILL; returns the exit code."""
        if self.exit_code is None:
            self.send_signal(signal.SIGKILL)
        return await self.exited(60.0)

    async def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Waits until `ready()`; a process that ends meanwhile is an error at once."""

        def check() -> bool:
            if self.exit_code is not None:
                raise ProcessFailed(f"{self.name} ended with {self.exit_code}\n{self.tail()}")
            return ready()

        await eventually(check, timeout, lambda: f"{self.name} is not ready\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """The end of the output, for error messages."""
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"--- end of {self.log}:", *text])


async def eventually(
    condition: Callable[[], bool],
    timeout: float,
    what: Callable[[], str] = lambda: "the condition did not come true",
) -> None:
    """Waits until `condition()` is true; TimeoutError with `what()` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout} s: {what()}")
        await asyncio.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Different TCP ports for servers of this process's tests: nobody else takes one of them, before the server listens or
    while it is down for a while."""
    return [_PORTS.take() for _ in range(count)]


class _Ports:
    """Ports that are not among those that the kernel gives to connections: one of these may be somebody's at the moment at
    which a server wants to listen on it (again). Test runs beside this one have other blocks of ports."""

    _BLOCK = 100

    def __init__(self) -> None:
        self._left: Iterator[int] = iter(())
        #: A block is ours as long as a socket has its name.
        self._names: list[socket.socket] = []
        # Not the one that stories seed.
        self._random = random.SystemRandom()

    def take(self) -> int:
        while True:
            for port in self._left:
                if _is_free(port):
                    return port
            self._left = iter(self._block())

    def _block(self) -> range:
        begin, end = _range_for_servers()
        firsts = list(range(begin, end - self._BLOCK, self._BLOCK))
        for first in self._random.sample(firsts, len(firsts)):
            name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                name.bind(f"\0coven-test-ports-{first}")
            except OSError:
                name.close()
                continue
            self._names.append(name)
            return range(first, first + self._BLOCK)
        raise RuntimeError(f"all ports from {begin} to {end} are taken by other test runs")


def _range_for_servers() -> tuple[int, int]:
    """The widest range of ports that the kernel gives to nobody by itself."""
    text = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    low, high = (int(word) for word in text.split())
    below, above = (10_000, low), (high + 1, 65_536)
    widest = max(below, above, key=lambda ends: ends[1] - ends[0])
    # Where the kernel gives all of them, there is no better choice.
    return widest if widest[1] - widest[0] >= 1_000 else (10_000, 65_536)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


_PORTS = _Ports()


def listens(port: int) -> bool:
    """Whether somebody accepts connections on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as made:
            # Where nobody listens a connection may meet itself.
            return bool(made.getsockname() != made.getpeername())
    except OSError:
        return False
