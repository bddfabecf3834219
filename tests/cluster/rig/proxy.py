"""What stands between two processes, and can be cut."""

from __future__ import annotations

import pathlib

from .orders import Orders


class Proxy(Orders):
    """Many ways, each with a port of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__("proxy", ["proxy"], folder)

    async def open(self, name: str, port: int) -> int:
        """A new way to that port of this machine; returns the port to use instead."""
        return int((await self.order("open", name=name, to=f"127.0.0.1:{port}"))["port"])

    async def cut(self, name: str, pid: int | None = None) -> None:
        """Connections break, new ones are closed; with a process id, those of that process alone."""
        await self.order("cut", name=name, pid=pid)

    async def swallow(self, name: str, pid: int | None = None) -> None:
        """Connections stay, and nothing passes; with a process id, those of that process alone."""
        await self.order("swallow", name=name, pid=pid)

    async def heal(self, name: str) -> None:
        """All passes again."""
        await self.order("heal", name=name)
