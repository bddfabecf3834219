"""Nodes and front-ends over a real Redis and a real Prosody, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import pathlib
import re
import subprocess
from typing import Any

from .coven import Config, Coven, binary
from .process import eventually, free_ports
from .prosody import Prosody
from .redis import Redis

_UP = re.compile(r"^coven_connection_up\{[^}]*\} 1$", re.MULTILINE)
_COMMITS = re.compile(r"^coven_node_commits_total (\d+)$", re.MULTILINE)


class Cluster:
    """Processes that serve one domain together."""

    def __init__(self, folder: pathlib.Path, redis: Redis, prosody: Prosody, shards: int = 16) -> None:
        self.folder = folder
        self.shards = shards
        self.redis = redis
        self.prosody = prosody
        self.nodes: list[Coven] = []
        self.fronts: list[Coven] = []
        #: The files of links by role; without them links are plain.
        self.links: dict[str, dict[str, str]] = {}
        #: The file with the token of `coven admin`; without one that is off.
        self.token: pathlib.Path | None = folder / "admin-token"
        self.token.write_text("a token for administrators\n")

    def config(self, role: str) -> Config:
        config = Config.for_server(self.prosody)
        config.role = role
        config.store = {"url": self.redis.url, "shards": self.shards}
        if self.token is not None:
            config.more["http"] = {"admin-token-file": str(self.token)}
        config.more["cluster"] = dict(self.links.get(role, {}))
        if role == "node":
            config.more["cluster"]["listen"] = f"127.0.0.1:{free_ports(1)[0]}"
        return config

    async def add(self, role: str, other: pathlib.Path | None = None) -> Coven:
        """Starts one more; of another binary than the usual one, if that is given."""
        these = self.nodes if role == "node" else self.fronts
        these.append(Coven(self.folder / f"{role}{len(these)}", self.config(role)))
        these[-1].binary = other
        await these[-1].start(ready=False)
        return these[-1]

    async def ready(self) -> None:
        """Waits until everybody who runs is ready, and all shards have an owner."""
        for process in self.running():
            await process.ready(60.0)
        whole = self.shards if self.nodes else 0
        await eventually(lambda: len(self.owned()) == whole, 90.0, lambda: f"owned: {sorted(self.owned())}")

    def running(self) -> list[Coven]:
        return [p for p in [*self.nodes, *self.fronts] if p.process is not None and p.process.exit_code is None]

    def owned(self) -> set[int]:
        """Shards that a node which runs has claimed."""
        return {shard for node in self.nodes if node in self.running() for shard in self.claimed(node)}

    def claimed(self, node: Coven) -> set[int]:
        return {line["shard"] for line in node.events() if line["event"] == "shard-claimed" and "shard" in line}

    async def holder(self) -> Coven:
        """The front-end whose stream is up."""
        async with asyncio.timeout(90.0):
            while True:
                for front in self.fronts:
                    if front in self.running() and _UP.search((await front.get("/metrics"))[1]):
                        return front
                await asyncio.sleep(0.05)

    async def admin(self, process: Coven, *command: str, token: pathlib.Path | None = None) -> tuple[int, Any]:
        """`coven admin --json`, asked of this process: exit code, and what it says."""
        assert token or self.token
        url = f"http://127.0.0.1:{process.config.http_port}"
        argv = [binary(), "admin", "--url", url, "--token-file", str(token or self.token), "--json", *command]
        asked = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False, timeout=90)
        return asked.returncode, json.loads(asked.stdout) if asked.stdout else asked.stderr

    async def deciding(self) -> Coven:
        """The node that makes commits right now: somebody has to be talking."""
        before = [await _commits(node) for node in self.nodes]
        async with asyncio.timeout(90.0):
            while True:
                await asyncio.sleep(0.2)
                now = [await _commits(node) for node in self.nodes]
                made = [new - old for new, old in zip(now, before, strict=True)]
                if max(made) >= 3:
                    return self.nodes[made.index(max(made))]

    async def stop(self) -> None:
        for process in [*self.fronts, *self.nodes]:
            await process.stop()


async def _commits(node: Coven) -> int:
    """Commits of a node since its start; none if it does not answer."""
    found = _COMMITS.search((await node.get("/metrics"))[1])
    return int(found[1]) if found else 0
