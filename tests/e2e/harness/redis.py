"""A Redis of a story's own: a real `redis-server`, with an append-only file in the story's folder."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
import signal
import socket
from typing import Any

from .process import Process, free_ports, listens


class Redis:
    """One server. The same object may be started again after its end: its data stays."""

    def __init__(self, folder: pathlib.Path, *more: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_ports(1)[0]
        self.process: Process | None = None
        self._more = more

    @staticmethod
    def missing() -> str | None:
        """Why there can be none, or None."""
        return None if shutil.which("redis-server") else "redis-server is not installed"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Starts it, and waits until it has loaded its data."""
        argv = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        argv += ["--save", "", "--appendonly", "yes", "--appendfsync", "always", *self._more]
        self.process = Process("redis", argv, log=self.folder / "redis.log")
        await self.process.wait_until(lambda: listens(self.port) and self._answers(), 60.0)

    async def stop(self) -> None:
        """Ends it by SIGTERM, if it runs."""
        if self.process is not None and self.process.exit_code is None:
            self.process.send_signal(signal.SIGCONT)
            await self.process.terminate()

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        await self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: it stands still, its sockets stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    async def ask(self, *words: str | int) -> Any:
        """Sends one command; returns the answer. Errors: `RuntimeError` for a refusal of Redis."""
        return await asyncio.to_thread(self._ask, *words)

    def _answers(self) -> bool:
        try:
            return bool(self._ask("PING") == "PONG")
        except RuntimeError as refused:
            return str(refused).startswith("NOAUTH")
        except OSError:
            return False

    def _ask(self, *words: str | int) -> Any:
        parts = [str(word).encode() for word in words]
        command = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=30.0) as link:
            link.sendall(command)
            with link.makefile("rb") as answers:
                return _answer(answers)


def _answer(source: Any) -> Any:
    line = source.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:].decode()
    match kind:
        case b"+":
            return rest
        case b"-":
            raise RuntimeError(rest)
        case b":":
            return int(rest)
        case b"$":
            if rest == "-1":
                return None
            return source.read(int(rest) + 2)[:-2].decode(errors="replace")
        case b"*":
            return [_answer(source) for _ in range(int(rest))]
    raise OSError(f"no answer of redis: {line!r}")
