"""The XMPP server of the project's own, with its users, and the checker of what they wrote down."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pathlib
from typing import Any

from harness.server import SECRET

from .orders import Orders, binary


@dataclasses.dataclass(frozen=True)
class Group:
    """Rooms of one size, and how often somebody speaks in each of them."""

    rooms: int
    occupants: int
    #: Messages a second in each room.
    rate: float


#: The load of acceptance: 50 rooms of 20 and one of 1,000.
CROWD = (Group(50, 20, 1.0), Group(1, 1000, 2.0))
#: Less of it, for a debug build on a busy machine: entering costs the square of a room's size.
HALL = (Group(50, 20, 1.0), Group(1, 300, 2.0))
#: A load that is soon there, for stories about other things.
SMALL = (Group(20, 10, 1.0), Group(1, 200, 2.0))


class Upstream(Orders):
    """A fake server: it takes coven's streams and stands for all its users."""

    def __init__(self, folder: pathlib.Path, groups: tuple[Group, ...], mode: str = "standby", nodes: int = 1) -> None:
        self.groups = groups
        self.histories = folder / "histories"
        listen = [word for _ in range(nodes) for word in ("--listen", "127.0.0.1:0")]
        argv = ["serve", "--secret", SECRET, "--mode", mode, "--history", str(self.histories), *listen]
        super().__init__("upstream", argv, folder)

    def component_port(self, domain: str) -> int:
        """Where a component attaches: the first server node."""
        return self.ports()[0]

    def ports(self) -> list[int]:
        """One for each server node."""
        return [int(address.rpartition(":")[2]) for address in self.addresses["listen"]]

    def secret(self, domain: str) -> str:
        return SECRET

    async def join(self) -> None:
        """Everybody enters."""
        groups = [{"rooms": g.rooms, "occupants": g.occupants} for g in self.groups]
        done = await self.order("join", groups=groups, timeout=600)
        assert done["ok"], f"not everybody could enter: {done}, {await self.order('counters')}"

    async def begin(self) -> None:
        """Everybody enters and speaks; every room has carried a message."""
        await self.join()
        await self.speak()
        await self.heard()

    async def speak(self) -> None:
        """From now on people speak."""
        await self.order("load", groups=[{"rooms": g.rooms, "rate": g.rate} for g in self.groups])

    async def hush(self) -> None:
        """People fall silent, and whoever waits for an answer gets it, or has waited for long enough."""
        await self.order("load", groups=[])
        await self.order("answered", timeout=90)

    async def heard(self, timeout: float = 120.0) -> float:
        """Waits until every room carries messages; returns the seconds it took."""
        done = await self.order("heard", timeout=timeout)
        assert done["ok"], f"{done['silent']} rooms carry nothing after {timeout} s: {await self.order('counters')}"
        return float(done["seconds"])

    async def self_ping(self) -> None:
        """Everybody asks whether they are still in, and is told so (design I6)."""
        done = await self.order("self-ping", timeout=120)
        assert done["yes"] == done["asked"], f"not everybody is in: {done}"

    async def check(self) -> dict[str, Any]:
        """People fall silent; archives are read and held against what everybody wrote down. Returns the report."""
        await self.hush()
        await self.self_ping()
        archive = await self.order("archive", timeout=300)
        assert archive["ok"], f"archives could not be read: {archive}"
        await self.order("flush")
        return await check(self.histories)


async def check(histories: pathlib.Path) -> dict[str, Any]:
    """The checker's report on a folder of histories."""
    checker = await asyncio.create_subprocess_exec(
        binary(), "check", "--history", histories, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await checker.communicate()
    assert checker.returncode in (0, 1), f"the checker ended with {checker.returncode}"
    report: dict[str, Any] = json.loads(out)
    return report
