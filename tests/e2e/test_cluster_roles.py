"""Nodes and front-ends as processes of their own, over a real Redis and a real Prosody: whoever ends, nobody rejoins."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from harness.client import DEADLINE
from harness.cluster import Cluster
from harness.muc import Occupant, read_whole_archive
from harness.prosody import Prosody, ProsodyOptions
from harness.redis import Redis
from harness.report import Report
from harness.stanza import Stanza

ROOM = "coven@chat.localhost"

#: Each of some ends is waited for with patience: all of it is there for hangs alone.
pytestmark = pytest.mark.timeout(600)

StartCluster = Callable[[int, int], Awaitable[Cluster]]


@pytest.fixture
async def start_cluster(tmp_path: pathlib.Path, coven_binary: pathlib.Path) -> AsyncIterator[StartCluster]:
    """Starts a cluster of so many nodes and front-ends."""
    redis = Redis(tmp_path / "redis")
    prosody = Prosody(tmp_path / "prosody", ProsodyOptions(component_conflict_resolve="kick_old"))
    cluster = Cluster(tmp_path, redis, prosody)
    await redis.start()
    await prosody.start()

    async def start(nodes: int, fronts: int) -> Cluster:
        for role, count in (("node", nodes), ("front", fronts)):
            for _ in range(count):
                await cluster.add(role)
        await cluster.ready()
        return cluster

    yield start
    await cluster.stop()
    await prosody.stop()
    await redis.stop()


class People:
    """Some who talk in one room."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.all: list[Occupant] = []
        #: How often who got which message.
        self.seen: Counter[tuple[str, str]] = Counter()
        self._said = 0

    async def gather(self, count: int = 3) -> None:
        for n in range(count):
            client = await self.cluster.prosody.login(f"user{n}")
            self.all.append(Occupant(client, ROOM, f"nick{n}"))
            client.inbox.listen(self._note)
            await (self.all[-1].create() if n == 0 else self.all[-1].join())
        for who in self.all:
            await who.settled()

    def _note(self, stanza: Stanza) -> None:
        if stanza.kind == "message" and stanza.body is not None and stanza.stanza_id is not None:
            self.seen[stanza.to, stanza.stanza_id] += 1

    async def talk(self, timeout: float = DEADLINE) -> float:
        """Everybody says something, which everybody hears once; returns the longest that took. Fails as soon as something
        comes back."""
        longest = 0.0
        for who in self.all:
            self._said += 1
            body, since = f"message {self._said}", time.monotonic()
            await self._say(who, body, timeout)
            for other in self.all:
                if other is not who:
                    assert (await other.hears(body, timeout)).sender == who.jid
            longest = max(longest, time.monotonic() - since)
        return longest

    async def _say(self, who: Occupant, body: str, timeout: float) -> None:
        id_ = await who.say(body)

        def is_end(stanza: Stanza) -> bool:
            is_answer = stanza.body == body or (stanza.type == "error" and stanza.id == id_)
            return stanza.kind == "message" and who.from_room(stanza) and is_answer

        heard = await who.client.expect(is_end, timeout, f"message {body!r}, or an error")
        assert (heard.type, heard.sender) == ("groupchat", who.jid), heard

    async def talk_on(self, timeout: float = 90.0) -> float:
        """Says something again and again until it is heard by all: what comes back as an error did not happen."""
        since = time.monotonic()
        while True:
            try:
                await self.talk(5.0)
                return time.monotonic() - since
            except (TimeoutError, AssertionError):
                if time.monotonic() - since > timeout:
                    raise
                await asyncio.sleep(0.05)

    async def nobody_moved(self, twice: bool = False) -> None:
        """All are in as they were, and have seen nobody leave or come; `twice`: what they had seen before may come again."""
        for who in self.all:
            assert (await who.self_ping()).type == "result"
            seen = [str(s) for s in await who.settled() if s.kind == "presence" and who.from_room(s)]
            every = [str(s) for s in who.client.inbox.history if s.kind == "presence"]
            new = [s for s in seen if not twice or every.count(s) < 2]
            assert new == [], new

    async def nothing_is_lost(self, twice: bool = False) -> None:
        """What is in the archive has been seen by all, once; a copy may come again where its acknowledgement was lost."""
        archive = await read_whole_archive(self.all[0].client, ROOM)
        ids = [s.get("mam:result", "id") for s in archive]
        assert len(ids) == len(set(ids)) > 0
        for who in self.all:
            missing = [one for one in ids if self.seen[who.client.jid, str(one)] == 0]
            assert missing == [], (who.nick, missing, self.seen)
        again = {seen: count for seen, count in self.seen.items() if count > 1}
        assert twice or not again, again

    async def close(self) -> None:
        for who in self.all:
            await who.client.close()


async def test_a_node_and_a_front_end_serve_a_room(start_cluster: StartCluster) -> None:
    cluster = await start_cluster(1, 1)
    people = People(cluster)
    await people.gather()
    await people.talk()
    await people.nobody_moved()
    assert await cluster.fronts[0].terminate() == 0
    assert await cluster.nodes[0].terminate() == 0
    await people.close()


async def test_i1_i3_a_node_is_killed_and_the_room_goes_on(start_cluster: StartCluster, report: Report) -> None:
    cluster = await start_cluster(2, 2)
    people = People(cluster)
    await people.gather()
    await people.talk()
    for victim in list(cluster.nodes):
        await victim.kill()
        report(f"kill -9 of a node: talks on after {await people.talk_on():.1f} s")
        await people.nobody_moved()
        await victim.start()
        await cluster.ready()
        await people.talk()
    await people.nothing_is_lost()
    await people.close()


async def test_i3_the_front_end_that_holds_the_stream_is_killed(start_cluster: StartCluster, report: Report) -> None:
    cluster = await start_cluster(2, 2)
    people = People(cluster)
    await people.gather()
    await people.talk()
    for _ in range(2):
        victim = await cluster.holder()
        await victim.kill()
        report(f"kill -9 of the front-end: talks on after {await people.talk_on():.1f} s")
        await people.nobody_moved(twice=True)
        assert await cluster.holder() is not victim
        await victim.start()
        await cluster.ready()
        await people.talk()
    await people.nothing_is_lost(twice=True)
    await people.close()


async def test_i3_each_process_is_told_to_end_and_comes_back(start_cluster: StartCluster, report: Report) -> None:
    cluster = await start_cluster(2, 2)
    people = People(cluster)
    await people.gather()
    await people.talk()
    for process in [*cluster.nodes, *cluster.fronts]:
        since = time.monotonic()
        assert await process.terminate() == 0
        ended = time.monotonic() - since
        report(f"SIGTERM of a {process.config.role}: ends after {ended:.1f} s, talks on after {await people.talk_on():.1f} s")
        await people.nobody_moved()
        await process.start()
        await cluster.ready()
        await people.talk()
    await people.nothing_is_lost()
    await people.close()


async def test_administrators_see_and_move_what_there_is(start_cluster: StartCluster, tmp_path: pathlib.Path) -> None:
    cluster = await start_cluster(2, 2)
    people = People(cluster)
    await people.gather()
    await people.talk()
    front = cluster.fronts[0]

    async def say(*command: str) -> Any:
        code, answer = await cluster.admin(front, *command)
        assert code == 0, answer
        return answer

    async def until(what: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not await what():
                await asyncio.sleep(0.1)

    async def all_have_shards() -> bool:
        """The first node to start has all shards until the second one is there too; and all is told after it has happened."""
        return len({s["address"] for s in await say("shards")} - {None}) == 2 and len(await say("nodes")) == 2

    async def one_holds_the_stream() -> bool:
        return sorted(len(f["connections"]) for f in await say("fronts")) == [0, 1]

    await until(all_have_shards)
    await until(one_holds_the_stream)
    nodes = await say("nodes")
    assert sorted(n["address"] for n in nodes) == sorted(n.config.more["cluster"]["listen"] for n in cluster.nodes)
    assert [n["draining"] for n in nodes] == [False, False]
    shards = await say("shards")
    assert [s["shard"] for s in shards] == list(range(cluster.shards))
    assert {s["address"] for s in shards} - {None} == {n["address"] for n in nodes}

    async def is_where_it_is_said_to_be() -> bool:
        """Shards may still be on their way to the second node, which loads a channel when somebody speaks in it."""
        await people.talk_on()
        place, shards = await say("where", ROOM), await say("shards")
        owner = next((n for n in cluster.nodes if n.config.more["cluster"]["listen"] == place["address"]), None)
        if owner is None or shards[place["shard"]]["owner"] != place["owner"]:
            return False
        code, there = await cluster.admin(owner, "where", ROOM)
        if code != 0 or there["loaded"] is not True or there["sequence"] <= 3 or there["epoch"] <= 0:
            return False
        # Whoever is asked knows the same, but for what only the owner can know.
        return {**await say("where", ROOM), "loaded": True} == there

    await until(is_where_it_is_said_to_be)
    place = await say("where", ROOM)
    nowhere = await say("where", "nobody-is-here@chat.localhost")
    assert nowhere["sequence"] is None, nowhere

    async def until_elsewhere(*than: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while (await say("where", ROOM))["address"] in (None, *than):
                await asyncio.sleep(0.1)

    await say("drain", place["owner"])
    await until_elsewhere(place["address"])
    await people.talk_on()
    async with asyncio.timeout(DEADLINE):
        while [n["shards"] for n in await say("nodes") if n["draining"]] != [0]:
            await asyncio.sleep(0.1)
    await say("undrain", place["owner"])
    (other,) = [n["address"] for n in nodes if n["address"] != place["address"]]
    await say("move-shard", str(place["shard"]), place["address"])
    await until_elsewhere(other)
    await people.talk_on()
    await people.nobody_moved()
    await people.nothing_is_lost()

    assert (await cluster.admin(front, "drain", "nobody"))[0] == 1
    assert (await cluster.admin(front, "where", "room@elsewhere"))[0] == 1
    for process in (front, cluster.nodes[0]):
        code, why = await cluster.admin(process, "shutdown", "--final")
        assert (code, "not offered in a cluster" in why) == (1, True), why
    await people.nobody_moved()
    wrong = tmp_path / "wrong"
    wrong.write_text("another token for administrators")
    assert await cluster.admin(front, "nodes", token=wrong) == (1, "coven: the token is not right\n")
    await front.kill()
    assert (await cluster.admin(front, "nodes"))[0] == 3
    await people.close()


def _sign(folder: pathlib.Path, role: str) -> dict[str, str]:
    """Files of a process with this role, by one CA for all; the role is in the name (docs/links.md)."""

    def openssl(*arguments: str | pathlib.Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca, ca_key, cert, key, request = (folder / n for n in ("ca.pem", "ca.key", f"{role}.pem", f"{role}.key", f"{role}.csr"))
    if not ca.exists():
        openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=ca", "-keyout", ca_key, "-out", ca)
    openssl("req", *curve, "-subj", f"/CN={role}", "-keyout", key, "-out", request)
    names = folder / f"{role}.cnf"
    names.write_text(f"subjectAltName=DNS:{role}.coven\nextendedKeyUsage=serverAuth,clientAuth\n")
    signing = ("-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile", names)
    openssl("x509", "-req", "-in", request, *signing, "-out", cert)
    return {"ca": str(ca), "cert": str(cert), "key": str(key)}


async def test_i10_operators_put_a_channel_into_quarantine_and_lift_it(start_cluster: StartCluster) -> None:
    cluster = await start_cluster(2, 1)
    people = People(cluster)
    await people.gather(2)
    await people.talk()
    front, who = cluster.fronts[0], people.all[0]
    assert await cluster.admin(front, "quarantine", "list") == (0, [])
    shown = {"channel": "coven", "space": "chat.localhost"}
    assert await cluster.admin(front, "quarantine", "set", ROOM) == (0, {**shown, "quarantined": True})

    async def until_refused() -> None:
        """Nodes are told with their next look, and while nobody has the channel the error is another one."""
        async with asyncio.timeout(DEADLINE):
            while True:
                id_ = await who.say("is this refused?")
                answer = await who.client.expect(lambda s, id_=id_: s.kind == "message" and s.id == id_, DEADLINE)
                if answer.type == "error" and answer.has("client:error/stanzas:internal-server-error"):
                    return

    await until_refused()
    assert await cluster.admin(front, "quarantine", "list") == (0, [{**shown, "by": "operator"}])
    # Whoever takes it over does as it is told as well.
    place = (await cluster.admin(front, "where", ROOM))[1]
    owner = next(n for n in cluster.nodes if n.config.more["cluster"]["listen"] == place["address"])
    await owner.kill()
    await until_refused()
    assert await cluster.admin(front, "quarantine", "lift", ROOM) == (0, {**shown, "quarantined": False})
    await people.talk_on()
    await people.nobody_moved()
    assert (await cluster.admin(front, "quarantine", "set", "room@elsewhere"))[0] == 1
    await people.close()


async def test_links_by_certificates_carry_a_room_and_refuse_others(
    start_cluster: StartCluster, tmp_path: pathlib.Path
) -> None:
    cluster = await start_cluster(0, 0)
    for role in ("node", "front"):
        cluster.links[role] = _sign(tmp_path, role)
        await cluster.add(role)
    await cluster.ready()
    people = People(cluster)
    await people.gather()
    await people.talk()
    # A front-end without a certificate gets no link, and says so.
    del cluster.links["front"]
    stranger = await cluster.add("front")
    await stranger.not_ready()
    async with asyncio.timeout(DEADLINE):
        while "no link to node" not in (await stranger.get("/readyz"))[1]:
            await asyncio.sleep(0.1)
    assert await stranger.terminate() == 0
    await people.talk()
    await people.nobody_moved()
    await people.close()
