"""coven as the stories of faults see it: some processes that serve one domain together."""

from __future__ import annotations

import abc
import asyncio
import re
from collections.abc import Sequence

from harness.coven import Coven

_COMMITS = re.compile(r"^coven_node_commits_total(?:\{[^}]*\})? (\d+)", re.MULTILINE)
_UP = re.compile(r"^coven_connection_up(?:\{[^}]*\})? 1$", re.MULTILINE)


class Service(abc.ABC):
    """What faults are done to."""

    @property
    @abc.abstractmethod
    def nodes(self) -> Sequence[Coven]:
        """The processes that decide and commit."""

    @property
    @abc.abstractmethod
    def fronts(self) -> Sequence[Coven]:
        """The processes that hold streams."""

    async def commits(self) -> int:
        """Commits of all nodes since their starts; one that does not answer counts as nothing."""
        pages = await asyncio.gather(*(node.get("/metrics") for node in self.nodes))
        return sum(int(n) for _, page in pages for n in _COMMITS.findall(page))

    async def commits_flow(self, timeout: float = 60.0) -> int:
        """Waits until commits are made right now; returns how many were made while it looked."""
        before = await self.commits()
        async with asyncio.timeout(timeout):
            while True:
                await asyncio.sleep(0.1)
                now = await self.commits()
                if now > before:
                    return now - before
                before = now

    async def ready(self, timeout: float = 120.0) -> None:
        """Waits until all processes are ready."""
        for process in {*self.nodes, *self.fronts}:
            await process.ready(timeout)


class Single(Service):
    """One process that does all."""

    def __init__(self, coven: Coven) -> None:
        self._coven = coven

    @property
    def nodes(self) -> Sequence[Coven]:
        return [self._coven]

    @property
    def fronts(self) -> Sequence[Coven]:
        return [self._coven]


class Cluster(Service):
    """Nodes and front-ends apart."""

    def __init__(self, nodes: Sequence[Coven], fronts: Sequence[Coven]) -> None:
        self._nodes = nodes
        self._fronts = fronts

    @property
    def nodes(self) -> Sequence[Coven]:
        return self._nodes

    @property
    def fronts(self) -> Sequence[Coven]:
        return self._fronts

    async def holder(self) -> Coven:
        """A front-end that holds a stream right now."""
        async with asyncio.timeout(60.0):
            while True:
                for front in self._fronts:
                    _, page = await front.get("/metrics")
                    if _UP.search(page):
                        return front
                await asyncio.sleep(0.1)
