"""Orders to one of our own processes: lines of JSON over TCP."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
from typing import Any

from harness import coven as coven_module
from harness.process import Process, eventually


def binary() -> pathlib.Path:
    """`COVEN_UPSTREAM_BIN`, else what was built beside coven."""
    return pathlib.Path(os.environ.get("COVEN_UPSTREAM_BIN") or coven_module.binary().with_name("coven-upstream"))


class Orders:
    """A process that prints its addresses as JSON and takes orders on its control port, one after the other."""

    def __init__(self, name: str, argv: list[str], folder: pathlib.Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.folder = folder
        #: What it printed at its start.
        self.addresses: dict[str, Any] = {}
        self.process: Process | None = None
        self._argv = argv
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Starts it and connects."""
        log = self.folder / f"{self.name}.log"
        self.process = Process(self.name, [binary(), *self._argv], log=log)
        await self.process.wait_until(lambda: b"\n" in log.read_bytes(), 60.0)
        self.addresses = json.loads(log.read_text().splitlines()[0])
        host, _, port = self.addresses["control"].rpartition(":")
        self._streams = await asyncio.open_connection(host, int(port))

    async def order(self, order: str, **fields: Any) -> dict[str, Any]:
        """Gives an order and waits for its answer; what it could not do at all is an error."""
        assert self._streams is not None, f"{self.name} does not run"
        reader, writer = self._streams
        async with self._turn:
            writer.write(json.dumps({"order": order, **fields}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await reader.readline() or b'{"error": "it is gone"}')
        if "error" in answer:
            raise AssertionError(f"{self.name}: {order}: {answer['error']}")
        return answer

    async def stop(self) -> None:
        """Lets it finish its files, and ends it if it does not."""
        if self.process is None or self.process.exit_code is not None:
            return
        try:
            async with asyncio.timeout(10.0):
                await self.order("quit")
                await eventually(lambda: self.process is None or self.process.exit_code is not None, 5.0)
        except (OSError, TimeoutError, AssertionError):
            await self.process.kill()
