"""The server of our own does what real ones did when they were tried (design §6), as a component sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from harness.client import DEADLINE
from harness.component import Component
from harness.process import eventually
from harness.server import SECRET
from harness.stanza import Stanza
from rig.site import DOMAIN, Site
from rig.upstream import Group, Upstream


async def _attach(upstream: Upstream, node: int = 0) -> Component:
    return await Component.connect(upstream.ports()[node], DOMAIN, SECRET)


async def _rooms(upstream: Upstream, count: int) -> asyncio.Task[dict[str, Any]]:
    """So many rooms of one occupant each; their creators ask to enter."""
    groups = [{"rooms": count, "occupants": 1}]
    return asyncio.create_task(upstream.order("join", groups=groups, timeout=2))


async def _senders(component: Component, count: int) -> set[int]:
    """The numbers of the users who ask to enter by this stream."""
    stanzas = [await component.expect(lambda s: s.kind == "presence") for _ in range(count)]
    return {int(s.sender.partition("@")[0].removeprefix("u")) for s in stanzas}


def _is(kind: str, id_: str) -> Any:
    def matches(s: Stanza) -> bool:
        return s.kind == kind and s.id == id_

    return matches


async def test_standby_the_newest_stream_wins(site: Site) -> None:
    upstream = await site.upstream(())
    old = await _attach(upstream)
    new = await _attach(upstream)
    assert (await old.expect(lambda s: s.kind == "error")).find("{urn:ietf:params:xml:ns:xmpp-streams}conflict") is not None
    joining = await _rooms(upstream, 3)
    assert await _senders(new, 3) == {0, 1, 2}
    await joining
    assert (await upstream.order("counters"))["kicked"] == 1
    await new.cut()


async def test_a_wrong_secret_and_a_wrong_domain_are_refused(site: Site) -> None:
    upstream = await site.upstream(())
    with pytest.raises(ConnectionError, match="not-authorized"):
        await Component.connect(upstream.ports()[0], DOMAIN, "wrong")
    with pytest.raises(ConnectionError, match="host-unknown"):
        await Component.connect(upstream.ports()[0], "other.localhost", SECRET)


async def test_per_server_node_users_use_the_stream_of_their_node(site: Site) -> None:
    upstream = await site.upstream((), mode="per-server-node", nodes=2)
    first, second = await _attach(upstream, 0), await _attach(upstream, 1)
    joining = await _rooms(upstream, 6)
    assert await _senders(first, 3) == {0, 2, 4}
    assert await _senders(second, 3) == {1, 3, 5}
    await joining
    await first.cut()
    await second.cut()


async def test_balanced_a_sender_keeps_its_stream_and_no_stanza_is_lost_while_slots_are_full(site: Site) -> None:
    upstream = await site.upstream((), mode="balanced")
    components = [await _attach(upstream), await _attach(upstream)]
    with pytest.raises(ConnectionError, match="conflict"):
        await _attach(upstream)
    joining = await _rooms(upstream, 20)
    await joining

    def senders_by_stream() -> list[set[str]]:
        return [{s.sender for s in c.inbox.history if s.kind == "presence"} for c in components]

    await eventually(lambda: len(set.union(*senders_by_stream())) == 20, DEADLINE)
    senders = senders_by_stream()
    assert not senders[0] & senders[1]
    for component in components:
        await component.cut()


async def test_barriers_come_back_and_the_server_answers_pings(site: Site) -> None:
    upstream = await site.upstream(())
    component = await _attach(upstream)
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    await component.send(f"<iq type='get' id='b' from='{DOMAIN}' to='{DOMAIN}'>{ping}</iq>")
    assert (await component.expect(_is("iq", "b"))).type == "get"
    await component.send(f"<iq type='get' id='h' from='{DOMAIN}' to='localhost'>{ping}</iq>")
    assert (await component.expect(_is("iq", "h"))).type == "result"
    await component.cut()


async def test_what_is_sent_to_nobody_comes_back_and_a_wrong_sender_ends_the_stream(site: Site) -> None:
    upstream = await site.upstream(())
    component = await _attach(upstream)
    for to, condition in (("u7@localhost/load", "service-unavailable"), ("a@other.example/b", "remote-server-not-found")):
        await component.send(f"<message type='groupchat' id='m' from='r0@{DOMAIN}' to='{to}'/>")
        bounce = await component.expect(_is("message", "m"))
        assert bounce.error is not None
        assert (bounce.sender, bounce.error[0]) == (to, condition)
    await component.send("<message id='x' from='somebody@localhost' to='u7@localhost/load'/>")
    await component.expect(lambda s: s.kind == "error")
    await component.cut()
