"""Who left while coven, or the server, was away leaves the rooms; who is there, or comes back, stays (MUC-LEAVE-07..12).

At the size of 1,000 rooms x 20 with a server that is not there (`harness/crowd.py`), where bounces can be late and other
servers away; smaller with a real Prosody.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from harness.component import Component
from harness.coven import Config, Coven, StartCoven
from harness.crowd import CrowdServer, Is, Place
from harness.history import STORED_WITHIN
from harness.many import ThriftyClient
from harness.prosody import Prosody
from harness.report import Report
from harness.stanza import MUC, MUC_OWNER, MUC_ROOMCONFIG, PING, form, tag

DOMAIN = "chat.localhost"
OCCUPANTS = 20
#: Ghosts have gone so many seconds after `upstream-up`; users of a server that is away have their grace of as many.
MINUTE = 60.0
#: What takes so many seconds never comes. How long it took is reported.
LIMIT = 400.0


class Crowd:
    """1,000 rooms x 20 occupants, of whom half go away while coven is dead."""

    def __init__(self, server: CrowdServer, rooms: int) -> None:
        self.server = server
        for room in range(rooms):
            for n in range(OCCUPANTS):
                jid = f"u{(room * OCCUPANTS + n) % 2000}@localhost/one"
                server.add(f"r{room:04}@{DOMAIN}", f"n{n}", jid)

    @property
    def places(self) -> list[Place]:
        return list(self.server.places.values())

    def those(self, *states: Is) -> list[Place]:
        return [p for p in self.places if p.state in states]

    async def gather(self) -> None:
        """Everybody joins, sees everybody, and coven knows that the server has it all."""
        await self.server.join_all()
        await self.server.until(lambda: all(len(p.seen.here) == OCCUPANTS for p in self.places), LIMIT)
        await self.server.until(self.server.is_taken_in, LIMIT)

    def scatter(self) -> None:
        """Half of each room goes. In the rooms that are swept first some are users of a server that is away; in others
        one of those who went is about to come back."""
        rooms = sorted(self.server.by_room)
        for n, room in enumerate(rooms):
            places = self.server.by_room[room]
            for place in places[: OCCUPANTS // 2]:
                place.state = Is.GONE
            if n < len(rooms) // 10:
                for place in places[:4]:
                    place.state = Is.AWAY
            else:
                places[4].state = Is.BACK

    def wrong(self, present: Iterable[Place]) -> list[str]:
        """Rooms as somebody sees them, where that is not who is there."""
        wrong = []
        for place in present:
            there = {p.nick for p in self.server.by_room[place.room] if p.state in (Is.HERE, Is.BACK)}
            if place.seen.here != there:
                wrong.append(f"{place.room} as {place.nick} sees it: {sorted(place.seen.here ^ there)}")
        return wrong


@pytest.mark.timeout(900)
async def test_muc_leave_12_ghosts_of_a_thousand_rooms_go_within_a_minute_and_nobody_else_does(
    start_coven: StartCoven, report: Report
) -> None:
    # covers: MUC-LEAVE-07, MUC-LEAVE-08
    server = CrowdServer()
    await server.start()
    coven = await start_coven(Config.for_server(server))
    crowd = Crowd(server, rooms=1000)
    began = time.monotonic()
    await crowd.gather()
    joined = time.monotonic() - began
    await coven.kill()
    crowd.scatter()
    here, gone, away, back = (crowd.those(state) for state in (Is.HERE, Is.GONE, Is.AWAY, Is.BACK))
    await coven.start(ready=False)
    await coven.event("upstream-up")
    up = time.monotonic()

    # One of two servers that were away is reached again before the grace is over.
    returned, lost = away[::2], away[1::2]
    await server.until(lambda: all(p.bounced for p in away), LIMIT)
    for place in returned:
        place.state = Is.HERE

    await server.until(lambda: all(p.left for p in gone), LIMIT)
    assert coven.process is not None
    took, cpu = max(p.left for p in gone) - up, coven.process.cpu_seconds
    report(f"{len(gone)} ghosts of {len(crowd.places)} occupants gone {took:.1f} s after upstream-up, {cpu:.1f} CPU-s")
    report(f"{len(crowd.places)} joins took {joined:.1f} s before it")
    assert took < MINUTE

    await server.until(lambda: all(p.left for p in lost), LIMIT)
    graces = [p.left - p.bounced for p in lost]
    report(f"{len(lost)} users of a server that is away gone {min(graces):.1f} to {max(graces):.1f} s after a bounce")
    assert min(graces) > MINUTE - 0.5

    with contextlib.suppress(TimeoutError):
        await server.until(lambda: server.is_taken_in() and not crowd.wrong((*here, *back)), LIMIT)
    assert [p for p in (*here, *returned, *back) if p.left] == [], "who is there was removed"
    # Who could not be reached for a while has missed what was sent meanwhile.
    assert crowd.wrong((*here, *back)) == []
    assert [p for p in (*here, *back) if p.seen.again] == [], "shown twice"
    assert all(p.late_sent for p in back) and {p.probes for p in here} == {1}
    assert await coven.terminate() == 0
    await server.stop()


class Rooms:
    """Rooms on a real Prosody, each with 20 of 40 users, who read as little as they can."""

    def __init__(self, prosody: Prosody, users: list[ThriftyClient], rooms: int) -> None:
        self.prosody = prosody
        self.rooms = [f"r{n:03}@{DOMAIN}" for n in range(rooms)]
        self.users = users

    @classmethod
    async def fill(cls, prosody: Prosody, rooms: int) -> Rooms:
        """Logs everybody in, joins everybody, waits until everybody sees everybody."""
        users = [await ThriftyClient.connect(await prosody.account(f"u{n}")) for n in range(2 * OCCUPANTS)]
        self = cls(prosody, users, rooms)
        await asyncio.gather(*(self.create(room) for room in self.rooms))
        for user in users:
            await user.join_all([r for r in self.of(user) if self.members(r)[0] != nick(user)], nick(user))
        await self.settled(set())
        return self

    def members(self, room: str) -> list[str]:
        """Nicks of the occupants: a user is in every second room."""
        half = self.rooms.index(room) % 2
        return [nick(u) for n, u in enumerate(self.users) if n % 2 == half]

    def of(self, user: ThriftyClient) -> list[str]:
        return [room for room in self.rooms if nick(user) in self.members(room)]

    async def create(self, room: str) -> None:
        """The first one joins a room and makes it persistent: one that everybody has left must not end."""
        creator = next(u for u in self.users if nick(u) == self.members(room)[0])
        await creator.join_all([room], nick(creator))
        persistent = form(MUC_ROOMCONFIG, {"muc#roomconfig_persistentroom": "1"})
        await creator.send(tag("iq", tag("query", persistent, xmlns=MUC_OWNER), to=room, type_="set", id_="unlock"))
        await creator.until(lambda c: nick(creator) in c.rooms[room].here, LIMIT)

    async def settled(self, without: set[str], more: frozenset[str] = frozenset()) -> None:
        """Waits until everybody who is there sees who is there; `more` are in every room."""

        def sees(user: ThriftyClient) -> bool:
            return all(user.rooms[r].here == (set(self.members(r)) - without) | more for r in self.of(user))

        try:
            await asyncio.gather(*(u.until(sees, LIMIT) for u in self.users if nick(u) not in without))
        except TimeoutError:
            wrong = next(u for u in self.users if nick(u) not in without and not sees(u))
            seen = {r: sorted(wrong.rooms[r].here) for r in self.of(wrong)}
            raise AssertionError(f"not everybody sees who is there: {nick(wrong)} sees {seen}") from None

    async def back(self, user: ThriftyClient) -> None:
        """The user logs in again, by the same address, and joins again."""
        new = await ThriftyClient.connect(user.account)
        self.users[self.users.index(user)] = new
        await new.join_all(self.of(new), nick(new))

    async def close(self) -> None:
        await asyncio.gather(*(u.close() for u in self.users))

    def check(self, stayed: Iterable[ThriftyClient]) -> None:
        """Nobody was thrown out, nobody was shown twice, nothing of coven's came back as an error."""
        for user in stayed:
            assert not any(nick(user) in seen.gone for seen in user.rooms.values()), f"{nick(user)} was removed"
        for user in self.users:
            twice = {room: seen.again for room, seen in user.rooms.items() if seen.again}
            assert twice == {}, f"{nick(user)} saw somebody twice"


def nick(user: ThriftyClient) -> str:
    return user.account.user


async def taken_in() -> None:
    """What is not acknowledged is sent again after a crash. No answer tells a client that it is: a barrier follows within
    100 ms, and its answer is stored soon."""
    await asyncio.sleep(1.0 + STORED_WITHIN / 1000)


@pytest.mark.timeout(600)
async def test_muc_leave_12_ghosts_go_after_a_crash_and_who_comes_back_stays(
    own_server: Callable[..., Any], start_coven: StartCoven, report: Report
) -> None:
    # covers: MUC-LEAVE-07, MUC-LEAVE-10
    prosody = await own_server(Prosody)
    coven = await start_coven(Config.for_server(prosody))
    rooms = await Rooms.fill(prosody, 20)
    others = await Others.join(prosody, rooms.rooms)
    await rooms.settled(set(), others.nicks)
    await taken_in()
    await coven.kill()
    left, stayed = rooms.users[: OCCUPANTS + 5], rooms.users[OCCUPANTS + 5 :]
    await asyncio.gather(*(u.close() for u in left))
    await others.component.cut()

    await coven.start(ready=False)
    await coven.event("upstream-up")
    up = time.monotonic()
    await asyncio.gather(*(rooms.back(u) for u in left[-5:]))
    await rooms.settled({nick(u) for u in left[:-5]}, others.nicks)
    assert coven.process is not None
    took, cpu = time.monotonic() - up, coven.process.cpu_seconds
    report(f"{len(rooms.rooms) * OCCUPANTS // 2} ghosts gone {took:.1f} s after upstream-up, {cpu:.1f} CPU-s")
    rooms.check(stayed)
    # Their server was away for a moment only: they are still there.
    await others.again(prosody)
    assert (await others.self_ping(rooms.rooms[0])).type == "result"
    await others.component.close()
    await rooms.close()


class Others:
    """Users of another server: on a real Prosody a component stands for it, whose users get `remote-server-timeout` from
    Prosody while it is away."""

    DOMAIN = "echo.localhost"

    def __init__(self, component: Component) -> None:
        self.component = component
        self.nicks = frozenset({"other"})

    @classmethod
    async def join(cls, prosody: Prosody, rooms: list[str]) -> Others:
        others = cls(await cls.connect(prosody))
        for room in rooms:
            join = tag("presence", tag("x", xmlns=MUC), from_=f"other@{cls.DOMAIN}/one", to=f"{room}/other")
            await others.component.send(join)
        return others

    @classmethod
    async def connect(cls, prosody: Prosody) -> Component:
        return await Component.connect(prosody.component_port(cls.DOMAIN), cls.DOMAIN, prosody.secret(cls.DOMAIN))

    async def again(self, prosody: Prosody) -> None:
        self.component = await self.connect(prosody)

    async def self_ping(self, room: str) -> Any:
        ping = tag("ping", xmlns=PING)
        await self.component.send(
            tag("iq", ping, from_=f"other@{self.DOMAIN}/one", to=f"{room}/other", type_="get", id_="self")
        )
        return await self.component.expect(lambda s: s.kind == "iq" and s.id == "self", what="the answer to a self-ping")


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.timeout(600)
async def test_muc_comp_02_muc_leave_12_coven_comes_back_by_itself_when_the_server_was_away(
    own_server: Callable[..., Any], start_coven: StartCoven, report: Report, end: str
) -> None:
    prosody = await own_server(Prosody)
    coven = await start_coven(Config.for_server(prosody))
    rooms = await Rooms.fill(prosody, 10)
    await taken_in()
    await getattr(prosody, end)()
    await coven.not_ready()
    await prosody.start()
    # Half of the users come back, some before coven does and some after.
    for n, user in enumerate(list(rooms.users)):
        await user.cut()
        if n < OCCUPANTS:
            await rooms.back(user)
    await coven.ready()
    await coven.event("upstream-up")
    up = time.monotonic()
    await asyncio.gather(*(rejoin(rooms, u) for u in rooms.users[:OCCUPANTS]))
    await rooms.settled({nick(u) for u in rooms.users[OCCUPANTS:]})
    report(f"{len(rooms.rooms) * OCCUPANTS // 2} ghosts gone {time.monotonic() - up:.1f} s after the server was back")
    await rooms.close()


async def rejoin(rooms: Rooms, user: ThriftyClient) -> None:
    """Joins again where an error came: coven was not attached yet."""
    wanted = set(rooms.of(user))

    def joined(room: str) -> bool:
        return nick(user) in user.rooms[room].here

    async with asyncio.timeout(LIMIT):
        while not all(map(joined, wanted)):
            await user.until(lambda u: bool(u.errors) or all(map(joined, wanted)), LIMIT)
            refused = {e.sender.partition("/")[0] for e in user.errors}
            user.errors.clear()
            await user.join_all(sorted(refused), nick(user))
