"""Redis for a story: a primary, replicas, and Sentinels that watch them. All on loopback, with ports of their own."""

from __future__ import annotations

import asyncio
import pathlib

from harness.process import Process, eventually, free_ports, listens

#: The name under which Sentinels know the primary.
NAME = "coven"


class Server:
    """One Redis with its own folder. The same object may be started again after its end."""

    def __init__(self, folder: pathlib.Path, port: int, *, sentinel: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port
        self.process: Process | None = None
        self._sentinel = sentinel

    async def start(self, settings: str = "") -> None:
        """Starts it; with settings they are written to its file first, which it keeps by itself from then on."""
        file = self.folder / "redis.conf"
        if settings or not file.exists():
            common = f"bind 127.0.0.1\nport {self.port}\ndir {self.folder}\nprotected-mode no\n"
            file.write_text(common + settings)
        argv = ["redis-sentinel" if self._sentinel else "redis-server", str(file)]
        self.process = Process(f"redis-{self.port}", argv, log=self.folder / "redis.log")
        await self.process.wait_until(lambda: listens(self.port), 60.0)

    async def call(self, *words: str) -> str:
        """A command; returns the answer as it came, without its last line end. An error is in it as `-...`."""
        async with asyncio.timeout(30.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
                writer.write(f"*{len(words)}\r\n{parts}".encode())
                return (await _answer(reader)).strip()
            finally:
                writer.close()

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        await self.process.kill()

    async def stop(self) -> None:
        """Ends it however it is."""
        if self.process is not None and self.process.exit_code is None:
            await self.process.kill()


async def _answer(reader: asyncio.StreamReader) -> str:
    line = (await reader.readline()).decode()
    kind, rest = line[:1], line[1:].strip()
    if kind == "$" and rest != "-1":
        return (await reader.readexactly(int(rest) + 2)).decode(errors="replace")
    if kind == "*" and rest != "-1":
        return "\n".join([(await _answer(reader)).strip() for _ in range(int(rest))])
    return line


class Redis:
    """A primary with a replica, and three Sentinels if there is somebody to look for a new primary."""

    def __init__(self, folder: pathlib.Path, *, sentinels: int = 0, down_after: float = 3.0) -> None:
        ports = free_ports(2 + sentinels)
        self.servers = [Server(folder / f"redis{n}", port) for n, port in enumerate(ports[:2])]
        self.sentinels = [Server(folder / f"sentinel{n}", port, sentinel=True) for n, port in enumerate(ports[2:])]
        self._down_after = down_after

    async def start(self) -> None:
        """Starts all; waits until the replica follows."""
        primary, replica = self.servers
        kept = "appendonly yes\nappendfsync everysec\nsave ''\nmaxmemory-policy noeviction\nrepl-diskless-sync-delay 0\n"
        await primary.start(kept)
        await replica.start(f"{kept}replicaof 127.0.0.1 {primary.port}\n")
        await self.followed(primary)
        for sentinel in self.sentinels:
            await sentinel.start(
                f"sentinel monitor {NAME} 127.0.0.1 {primary.port} {len(self.sentinels) // 2 + 1}\n"
                f"sentinel down-after-milliseconds {NAME} {int(self._down_after * 1000)}\n"
                f"sentinel failover-timeout {NAME} 10000\n"
            )
        for sentinel in self.sentinels:
            await _until_known(sentinel, len(self.sentinels) - 1)

    async def stop(self) -> None:
        """Ends all."""
        for server in [*self.sentinels, *self.servers]:
            await server.stop()

    async def primary(self) -> Server:
        """The server that takes writes, as Sentinels say; without any it is the first."""
        if not self.sentinels:
            return self.servers[0]
        port = (await self.sentinels[0].call("SENTINEL", "get-master-addr-by-name", NAME)).split()[-1]
        return next(server for server in self.servers if server.port == int(port))

    async def followed(self, primary: Server) -> None:
        """Waits until the primary has a replica that is up to date."""
        async with asyncio.timeout(60.0):
            while "state=online" not in await primary.call("INFO", "replication"):
                await asyncio.sleep(0.05)

    async def fail_over(self) -> None:
        """Kills the primary, waits for the new one, and starts the old one again as its replica."""
        old = await self.primary()
        await old.kill()
        async with asyncio.timeout(90.0):
            while await self.primary() is old:
                await asyncio.sleep(0.1)
        await old.start()
        await self.followed(await self.primary())


async def _until_known(sentinel: Server, others: int) -> None:
    async with asyncio.timeout(60.0):
        while True:
            known = (await sentinel.call("SENTINEL", "master", NAME)).splitlines()
            fields = dict(zip(known[::2], known[1::2], strict=False))
            if int(fields.get("num-other-sentinels", "0")) >= others and int(fields.get("num-slaves", "0")) >= 1:
                return
            await asyncio.sleep(0.1)
