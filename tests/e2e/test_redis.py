"""Coven on a store in Redis: a real `redis-server` with an append-only file, of the story's own."""

from __future__ import annotations

import asyncio
import os
import pathlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from harness.client import DEADLINE, Login
from harness.coven import Config, Coven, StartCoven
from harness.muc import Occupant, read_whole_archive
from harness.process import eventually
from harness.prosody import Prosody
from harness.redis import Redis
from harness.report import Report
from harness.server import XmppServer
from harness.stanza import Stanza
from test_crash import Crowd

ROOM = "coven@chat.localhost"

#: From 7.2 on Redis has what `replica-fsync` needs.
OLD = pytest.mark.skipif(Redis.version() >= (7, 2), reason="this redis-server waits for the disks of replicas")

StartRedis = Callable[..., Awaitable[Redis]]


@pytest.fixture
async def start_redis(tmp_path: pathlib.Path) -> AsyncIterator[StartRedis]:
    """Starts servers with more options: `await start_redis("--maxmemory", "10mb")`."""
    if (why := Redis.missing()) is not None:
        pytest.fail(why)
    started: list[Redis] = []

    async def start(*more: str) -> Redis:
        redis = Redis(tmp_path / f"redis{len(started)}", *more)
        started.append(redis)
        await redis.start()
        return redis

    yield start
    for redis in started:
        await redis.stop()


@pytest.fixture
async def redis(start_redis: StartRedis) -> Redis:
    return await start_redis()


def on(redis: Redis, server: XmppServer, **store: object) -> Config:
    """A coven with its store in `redis`."""
    config = Config.for_server(server)
    config.store = {"url": redis.url, "shards": 64, **store}
    return config


async def test_i6_a_room_in_redis_survives_the_end_of_coven_and_of_redis(
    redis: Redis, server: XmppServer, start_coven: StartCoven, login: Login
) -> None:
    coven = await start_coven(on(redis, server))
    alice, bob = Occupant(await login("alice"), ROOM, "Alice"), Occupant(await login("bob"), ROOM, "Bob")
    await alice.create()
    await bob.join()
    await alice.say("before")
    await bob.hears("before")
    await coven.kill()
    await redis.kill()
    await redis.start()
    await coven.start()
    for n, who in enumerate((alice, bob)):
        assert (await who.self_ping()).type == "result"
        await who.say(f"after {n}")
        assert (await alice.hears(f"after {n}")).sender == who.jid
        assert (await bob.hears(f"after {n}")).sender == who.jid
    archive = await read_whole_archive(alice.client, ROOM)
    assert len(archive) == 3


@pytest.mark.parametrize(
    ("options", "store", "why"),
    [
        (["--maxmemory-policy", "allkeys-lru"], {}, "set maxmemory-policy to noeviction, not allkeys-lru"),
        ([], {"must-exist": True}, "must-exist = true"),
        pytest.param([], {"durability": "replica-fsync"}, "needs redis 7.2 or newer", marks=OLD),
        (["--requirepass", "x"], {}, "Authentication required"),
    ],
)
async def test_a_redis_that_does_not_fit_is_refused(
    start_redis: StartRedis,
    server: XmppServer,
    start_coven: StartCoven,
    options: list[str],
    store: dict[str, object],
    why: str,
) -> None:
    redis = await start_redis(*options)
    coven = await start_coven(on(redis, server, **store), ready=False)
    assert coven.process is not None
    assert await coven.process.exited(60.0) == 2
    assert why in coven.log()[-1]["message"]


async def test_a_second_process_on_a_redis_is_refused_and_starts_when_the_first_was_killed(
    redis: Redis, server: XmppServer, start_coven: StartCoven
) -> None:
    first = await start_coven(on(redis, server))
    second = await start_coven(on(redis, server), ready=False)
    assert second.process is not None
    assert await second.process.exited(60.0) == 2
    assert 'is in use by another process of role "all"' in second.log()[-1]["message"]
    await first.ready()
    assert not [e for e in first.events() if e["event"] == "fenced"]
    await first.kill()
    await second.start()
    assert await second.terminate() == 0
    await first.start()


async def test_a_redis_that_may_lose_data_is_warned_of(
    start_redis: StartRedis, server: XmppServer, start_coven: StartCoven
) -> None:
    careless = await start_redis("--appendonly", "no")
    coven = await start_coven(on(careless, server))

    def warned() -> set[str]:
        messages = [line["message"] for line in coven.log() if line["level"] == "WARN"]
        return {words for words in ("maxmemory of this redis is 0", "append-only") if any(words in m for m in messages)}

    await eventually(lambda: len(warned()) == 2, DEADLINE, lambda: f"only {warned()}")


async def test_other_shards_or_another_prefix_are_another_store(
    redis: Redis, server: XmppServer, start_coven: StartCoven
) -> None:
    coven = await start_coven(on(redis, server))
    assert await coven.terminate() == 0
    coven.config.store["shards"] = 32
    await coven.start(ready=False)
    assert coven.process is not None
    assert await coven.process.exited(60.0) == 2
    assert "made with 64 shards, not 32" in coven.log()[-1]["message"]
    coven.config.store["prefix"] = "other"
    await coven.start()
    assert all(key.startswith(("coven", "other")) for key in await redis.ask("KEYS", "*"))


async def test_a_redis_that_comes_later_is_waited_for(redis: Redis, server: XmppServer, start_coven: StartCoven) -> None:
    await redis.stop()
    coven = await start_coven(on(redis, server), ready=False)
    await coven.event("store-down")
    assert (await coven.get("/livez"))[0] == 200
    status, body = await coven.get("/readyz")
    assert status == 503 and "store: " in body
    await redis.start()
    await coven.ready()


class Talk:
    """Some people in a room, who talk without a pause and note what becomes of each word."""

    def __init__(self, people: list[Occupant]) -> None:
        self.people = people
        self.said: dict[str, str] = {}
        self.reflected: set[str] = set()
        self.errors: dict[str, tuple[str, str]] = {}
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        for person in people:
            person.client.inbox.listen(self._hear)

    def start(self, pause: float = 0.02) -> None:
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._talk(person, pause)) for person in self.people]

    async def stop(self) -> None:
        """Until every word has come back or was refused."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        async with asyncio.timeout(100):
            while set(self.said.values()) - self.reflected - {self.said[id_] for id_ in self.errors}:
                await asyncio.sleep(0.05)

    async def _talk(self, person: Occupant, pause: float) -> None:
        while not self._stop.is_set():
            body, id_ = f"{person.nick} {len(self.said)}", f"{person.nick}-{len(self.said)}"
            self.said[id_] = body
            await person.say(body, id_)
            await asyncio.sleep(pause)

    def _hear(self, stanza: Stanza) -> None:
        if stanza.type == "error" and stanza.id in self.said:
            self.errors[stanza.id or ""] = stanza.error or ("none", "")
        elif stanza.kind == "message" and stanza.type == "groupchat" and stanza.body:
            self.reflected.add(stanza.body)

    async def nothing_lost(self) -> None:
        """Everybody is still in, and the archive has what came back, and nothing that was refused for certain."""
        for person in self.people:
            assert (await person.self_ping()).type == "result", f"{person.nick} is out"
        results = await read_whole_archive(self.people[0].client, ROOM)
        archive = [r.text(FORWARDED_BODY) or "" for r in results]
        assert len(archive) == len(set(archive))
        assert self.reflected <= set(archive)
        unknown = {self.said[id_] for id_, (condition, _) in self.errors.items() if condition == "remote-server-timeout"}
        refused = {self.said[id_] for id_ in self.errors} - unknown
        assert not refused & set(archive)

    def not_noticed(self, away: float) -> None:
        """Nobody got an error, unless this machine was so slow that Redis was away for longer than it is waited for: then
        all may be said again."""
        if away < PATIENCE:
            assert self.errors == {}
        assert {kind for _, kind in self.errors.values()} <= {"wait"}


#: So long (s) Redis may be away without anybody's notice; it is waited for by 5 s.
PATIENCE = 4.5
FORWARDED_BODY = "mam:result/forward:forwarded/client:message/client:body"


@pytest.fixture
async def talk(redis: Redis, server: XmppServer, start_coven: StartCoven, login: Login) -> tuple[Talk, Coven]:
    """Three people in a room on a Redis of this story's own."""
    coven = await start_coven(on(redis, server))
    people = [Occupant(await login(name), ROOM, name) for name in ("alice", "bob", "carol")]
    await people[0].create()
    for person in people[1:]:
        await person.join()
    return Talk(people), coven


async def test_redis_stopped_for_three_seconds_is_not_noticed(redis: Redis, talk: tuple[Talk, Coven]) -> None:
    people, _ = talk
    people.start()
    await asyncio.sleep(0.5)
    since = time.monotonic()
    redis.pause()
    await asyncio.sleep(3)
    redis.go_on()
    await redis.ask("PING")
    away = time.monotonic() - since
    await asyncio.sleep(0.5)
    await people.stop()
    people.not_noticed(away)
    await people.nothing_lost()


async def test_redis_restarted_within_patience_is_not_noticed(redis: Redis, talk: tuple[Talk, Coven]) -> None:
    people, coven = talk
    people.start()
    await asyncio.sleep(0.5)
    since = time.monotonic()
    await redis.kill()
    await asyncio.sleep(1.5)
    await redis.start()
    away = time.monotonic() - since
    await asyncio.sleep(0.5)
    await people.stop()
    people.not_noticed(away)
    await people.nothing_lost()
    await coven.ready()


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_redis_away_for_longer_refuses_and_heals(redis: Redis, talk: tuple[Talk, Coven], how: str) -> None:
    people, coven = talk
    people.start(pause=0.1)
    await asyncio.sleep(0.5)
    await (redis.kill() if how == "killed" else asyncio.to_thread(redis.pause))
    await coven.not_ready()
    await asyncio.sleep(12)
    status, body = await coven.get("/readyz")
    assert status == 503 and "store: " in body
    assert (await coven.get("/livez"))[0] == 200
    # What was on its way when Redis went is not known; all else did not happen, and may be said again.
    def conditions() -> set[str]:
        return {condition for condition, _ in people.errors.values()}

    await eventually(lambda: "resource-constraint" in conditions(), DEADLINE, lambda: f"only {conditions()}")
    assert conditions() <= {"resource-constraint", "remote-server-timeout"}
    assert {kind for _, kind in people.errors.values()} == {"wait"}
    await (redis.start() if how == "killed" else asyncio.to_thread(redis.go_on))
    await coven.ready()
    await asyncio.sleep(1)
    await people.stop()
    await people.nothing_lost()


async def test_redis_full_refuses_and_heals(redis: Redis, talk: tuple[Talk, Coven], login: Login) -> None:
    people, coven = talk
    await redis.ask("CONFIG", "SET", "maxmemory", "1")
    people.start(pause=0.1)
    await coven.not_ready()
    late = Occupant(await login("dora"), ROOM, "dora")
    await late.send_join()
    refused = await late.client.expect(lambda s: s.kind == "presence" and s.type == "error")
    assert (refused.error or ("", ""))[1] == "wait"
    await eventually(lambda: bool(people.errors), DEADLINE)
    assert {kind for _, kind in people.errors.values()} == {"wait"}
    await redis.ask("CONFIG", "SET", "maxmemory", "0")
    await coven.ready()
    await asyncio.sleep(0.5)
    await people.stop()
    await people.nothing_lost()
    await late.join()


async def test_il_31_redis_emptied_makes_nobody_owner_of_anything(
    redis: Redis, talk: tuple[Talk, Coven], login: Login
) -> None:
    people, coven = talk
    await redis.ask("FLUSHALL")
    event = await coven.event("store-replaced")
    assert event["level"] == "ERROR"
    await coven.not_ready()
    assert "replaced" in (await coven.get("/readyz"))[1]
    assert (await coven.get("/livez"))[0] == 200
    stranger = await login("stranger")
    for room in (ROOM, "new@chat.localhost"):
        occupant = Occupant(stranger, room, "stranger")
        await occupant.send_join()
        refused = await occupant.client.expect(lambda s: s.kind == "presence" and s.type == "error")
        assert (refused.error or ("", ""))[1] == "wait"
    people.start(pause=0.1)
    await asyncio.sleep(1)
    await people.stop()
    assert people.reflected == set() and len(people.errors) == len(people.said)
    assert await redis.ask("DBSIZE") == 0


@pytest.fixture
async def crowd(redis: Redis, own_server: Callable[..., Any], start_coven: StartCoven) -> Crowd:
    """Twenty people on a Prosody of their own, with a coven that has fail points."""
    binary = os.environ.get("COVEN_FAILPOINT_BIN")
    if not binary:
        pytest.skip("COVEN_FAILPOINT_BIN names no binary with the feature fail-points")
    prosody = await own_server(Prosody)
    config = on(redis, prosody)
    config.more["node"] = {"idle-timeout": "1s"}
    coven = await start_coven(config, ready=False)
    await coven.stop()
    coven.binary = pathlib.Path(binary)
    crowd = Crowd(prosody, coven)
    await coven.start()
    await crowd.gather()
    return crowd


@pytest.mark.timeout(600)
async def test_i4_i6_fail_points_of_redis_lose_nobody_and_nothing(crowd: Crowd, report: Report) -> None:
    """Coven ends right before and right after a batch went to Redis, with load on it."""
    for n, point in enumerate(["redis-before-write:60", "redis-after-write:60"]):
        crowd.coven.env["COVEN_FAILPOINT"] = point
        await crowd.restart()
        await crowd.crash(point, 0, talk_on=n == 0)
        assert await crowd.faults(nobody_asked=n != 0) == [], f"after {point}"
    report(crowd.tally())


@pytest.mark.timeout(600)
async def test_i4_i6_crashes_on_redis_lose_nobody_and_nothing(crowd: Crowd, report: Report) -> None:
    """Kill at moments under load, the room going quiet after every second one."""
    for n in range(4):
        talk_on = n % 2 == 0
        await crowd.crash(None, 0.4 + 0.5 * n, talk_on)
        assert await crowd.faults(nobody_asked=not talk_on) == [], f"after crash {n + 1}"
    report(crowd.tally())
