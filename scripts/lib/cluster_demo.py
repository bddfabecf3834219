"""The running part of `scripts/cluster-demo`: a conversation that goes on while processes die, and how long it paused.

The pieces are those of the end-to-end tests (`tests/e2e/harness`); nothing but the standard library is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable

from harness.cluster import Cluster
from harness.muc import Occupant
from harness.prosody import Prosody, ProsodyOptions
from harness.redis import Redis
from harness.stanza import Stanza

ROOM = "den@chat.localhost"
NAMES = ("alice", "bob", "carol")
#: How often somebody says something.
BEAT_SECONDS = 0.05


class Conversation:
    """People who talk all the time; whoever listens notes when something was heard."""

    def __init__(self, people: list[Occupant]) -> None:
        self.people = people
        self.said = 0
        self.refused = 0
        self.moved = 0
        self._heard: list[float] = []
        self._ids: set[str] = set()
        self.twice = 0

    def listen(self) -> None:
        """From now on what arrives counts. The first person's ears are those of all."""
        self.people[0].client.inbox.listen(self._note)
        for who in self.people:
            who.client.inbox.listen(self._watch)

    def _note(self, stanza: Stanza) -> None:
        if stanza.kind != "message" or stanza.body is None:
            return
        if stanza.type == "error":
            self.refused += 1
        elif stanza.stanza_id is not None:
            self.twice += stanza.stanza_id in self._ids
            self._ids.add(stanza.stanza_id)
            self._heard.append(time.monotonic())

    def _watch(self, stanza: Stanza) -> None:
        """Whoever leaves or enters is noticed by presence."""
        self.moved += stanza.kind == "presence" and stanza.sender.startswith(ROOM)

    async def talk(self) -> None:
        """Says something with each beat, for ever."""
        while True:
            for who in self.people:
                self.said += 1
                await who.say(f"line {self.said}")
                await asyncio.sleep(BEAT_SECONDS)

    async def pause(self, act: Callable[[], Awaitable[object]]) -> float:
        """Does something; returns the longest silence from then until the talk has gone on for two seconds."""
        begun = time.monotonic()
        await act()
        calm = 0
        while calm < 20:
            await asyncio.sleep(0.1)
            last = self._heard[-1] if self._heard else begun
            calm = calm + 1 if last > begun and time.monotonic() - last < 0.5 else 0
        times = [begun, *(at for at in self._heard if at > begun)]
        return max(after - before for before, after in zip(times, times[1:], strict=False))


def title(text: str) -> None:
    print(f"\n-- {text}", flush=True)


async def show(cluster: Cluster, talk: Conversation) -> None:
    """Each fault, and its pause."""

    async def strike(text: str, process_of: Callable[[], Awaitable[object]]) -> None:
        title(text)
        pause = await talk.pause(process_of)
        print(f"  longest silence in the room: {pause * 1000:.0f} ms", flush=True)

    node = await cluster.deciding()
    await strike("the node that has the room is killed (SIGKILL)", node.kill)
    await node.start()
    await cluster.ready()
    front = await cluster.holder()
    await strike("the front-end that holds the stream is killed (SIGKILL)", front.kill)
    await front.start()
    await cluster.ready()
    node = await cluster.deciding()
    await strike("the node that has the room is told to end (SIGTERM)", node.terminate)


async def converse(cluster: Cluster) -> None:
    """Everybody enters once, and talks until all is shown."""
    title("alice opens a room, bob and carol join, all of them talk all the time")
    people = [Occupant(await cluster.prosody.login(name), ROOM, name) for name in NAMES]
    for n, who in enumerate(people):
        await (who.create() if n == 0 else who.join())
    for who in people:
        await who.settled()
    talk = Conversation(people)
    talk.listen()
    talking = asyncio.create_task(talk.talk())
    try:
        await show(cluster, talk)
    finally:
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talking
    title("what they saw")
    print(f"  said {talk.said}, refused with an error {talk.refused}, seen twice {talk.twice}", flush=True)
    stayed = [(await who.self_ping()).type == "result" for who in people]
    print(f"  in the room all the time: {sum(stayed)} of {len(people)}; left or entered again: {talk.moved}", flush=True)
    # Whoever closes is seen to leave by those who are still there.
    has_left = talk.moved or not all(stayed)
    for who in people:
        await who.client.close()
    if has_left:
        raise SystemExit("somebody left the room")


async def run(folder: pathlib.Path) -> None:
    """The whole demo. Ctrl-C and SIGTERM cancel it, so that it stops what it started."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    redis = Redis(folder / "redis")
    prosody = Prosody(folder / "prosody", ProsodyOptions(component_conflict_resolve="kick_old"))
    cluster = Cluster(folder, redis, prosody, shards=64)
    print("starting Redis, Prosody, three nodes and two front-ends on loopback", flush=True)
    try:
        await redis.start()
        await prosody.start()
        for role in ("node", "node", "node", "front", "front"):
            await cluster.add(role)
        await cluster.ready()
        await converse(cluster)
    finally:
        print("\nstopping all of it", flush=True)
        await cluster.stop()
        await prosody.stop()
        await redis.stop()


def main() -> int:
    """Runs the demo in a folder that is removed at the end; ends quietly on Ctrl-C."""
    try:
        with tempfile.TemporaryDirectory(prefix="coven-cluster-demo.") as folder:
            asyncio.run(run(pathlib.Path(folder)))
    except asyncio.CancelledError:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
