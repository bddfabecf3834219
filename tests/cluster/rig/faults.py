"""What is done to a running service, and what it may cost.

A fault is over when all processes run again. `strike` does it while commits are made, marks it in the histories, and
waits until every room carries messages again.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from harness.coven import Coven

from .service import Service
from .upstream import Upstream

#: How long a process is stopped: several times the life of a session (design §5).
STOPPED_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault that can be done to a service, and what it excuses."""

    name: str
    #: Copies may come twice: a front-end died, or its stream, with output that nobody has acknowledged.
    may_duplicate: bool
    #: Messages may vanish: they were in the buffers of a stream that broke.
    may_vanish: bool
    #: Does it to the service; the number counts the faults, so that they go around.
    act: Callable[[Service, int], Awaitable[None]]
    #: How long rooms may need to carry messages again.
    patience: float = 60.0


@dataclasses.dataclass(frozen=True)
class Struck:
    """What was measured of one fault."""

    name: str
    #: Commits that were made in the moment before.
    commits_before: int
    #: Commits that were made in the moment in which all rooms carried messages again.
    commits_after: int
    #: From the end of the fault to the moment in which all rooms carried messages.
    seconds: float


async def strike(fault: Fault, service: Service, upstream: Upstream, number: int = 0) -> Struck:
    """Does it. Everybody asks afterwards whether they are still in."""
    before = await service.commits_flow()
    flags = {"may_duplicate": fault.may_duplicate, "may_vanish": fault.may_vanish}
    await upstream.order("mark", fault=fault.name, phase="begin", **flags)
    await fault.act(service, number)
    await upstream.order("mark", fault=fault.name, phase="end")
    seconds = await upstream.heard(fault.patience)
    after = await service.commits_flow()
    await upstream.self_ping()
    return Struck(fault.name, before, after, seconds)


def chosen(processes: list[Coven], number: int) -> Coven:
    """They take turns."""
    return processes[number % len(processes)]


async def kill(process: Coven) -> None:
    """SIGKILL, and a new start."""
    await process.kill()
    await process.start()


async def stop_for_a_while(process: Coven) -> None:
    """SIGSTOP; SIGCONT after a while."""
    process.pause()
    try:
        await asyncio.sleep(STOPPED_SECONDS)
    finally:
        process.go_on()
    await process.ready()


async def roll(process: Coven) -> None:
    """SIGTERM, which it obeys in good order, and a new start."""
    code = await process.terminate()
    assert code == 0, f"it ended with {code} after SIGTERM"
    await process.start()


async def _kill_node(service: Service, number: int) -> None:
    await kill(chosen(list(service.nodes), number))


async def _kill_front(service: Service, number: int) -> None:
    await kill(chosen(list(service.fronts), number))


async def _stop_node(service: Service, number: int) -> None:
    await stop_for_a_while(chosen(list(service.nodes), number))


async def _roll_all(service: Service, number: int) -> None:
    for process in dict.fromkeys([*service.nodes, *service.fronts]):
        await roll(process)


KILL_ALL = Fault("kill-process", may_duplicate=True, may_vanish=True, act=_kill_node)
ROLL_ALL = Fault("roll-process", may_duplicate=False, may_vanish=False, act=_roll_all)
STOP_ALL = Fault("stop-process", may_duplicate=False, may_vanish=False, act=_stop_node)
KILL_NODE = Fault("kill-node", may_duplicate=False, may_vanish=False, act=_kill_node)
KILL_FRONT = Fault("kill-front", may_duplicate=True, may_vanish=True, act=_kill_front)
STOP_NODE = Fault("stop-node", may_duplicate=False, may_vanish=False, act=_stop_node)
ROLL = Fault("roll", may_duplicate=False, may_vanish=False, act=_roll_all)
