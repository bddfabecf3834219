"""MUC clients and MIX clients on one channel, through real servers: each sees the others in its own protocol's form."""

from __future__ import annotations

import asyncio
import time
import xml.etree.ElementTree as ET

import pytest
from harness.both import Everybody, MakeSetting
from harness.client import DEADLINE
from harness.mix import INFO, MESSAGES, NODES, ONE, PAIR, PARTICIPANTS, PRESENCES, Layout
from harness.muc import Occupant, is_subject
from harness.process import eventually
from harness.prosody import Prosody, ProsodyOptions
from harness.stanza import MIX, Stanza, tag, text
from slixmpp import JID


@pytest.mark.parametrize("layout", [ONE, PAIR], ids=["one-domain", "mirrored"])
async def test_map_27_everybody_on_prosody(setting: MakeSetting, layout: Layout) -> None:
    s = await setting(Prosody, ProsodyOptions(mix_pam=True), layout)
    carol = await s.slix("carol", "coven")
    await Everybody(layout, "coven", await s.sessions("alice"), await s.sessions("bob"), carol).play()


async def test_map_73_mix_client_comes_and_goes_before_muc(setting: MakeSetting) -> None:
    """The participant's server shows the channel the presence of its MIX clients; MUC sees one occupant, who stays."""
    s = await setting(Prosody, ProsodyOptions(mix_pam=True), PAIR)
    alice = Occupant((await s.sessions("alice"))[0], PAIR.room("coven"), "Alice")
    await alice.create()
    carol = await s.slix("carol", "coven")
    await carol.join("Carol")
    # covers: MAP-11: joined, but her server has not said yet that she is there.
    seen = [await alice.sees("Carol")]
    # covers: MIX-PRES-01, MIX-PAMC-06
    seen.append(await alice.sees("Carol"))
    carol.client.xmpp.send_presence(pshow="dnd", pstatus="brewing")
    seen.append(await alice.sees("Carol"))
    # covers: MIX-PART-09: without any client she stays, away.
    await carol.close()
    seen.append(await alice.sees("Carol"))
    # covers: MIX-PRES-06: who comes back is told who is there, and seen to be there.
    again = await s.slix("carol", "coven", "other")
    seen.append(await alice.sees("Carol"))
    assert [p.text("client:show") for p in seen] == ["xa", None, "dnd", "xa", None]
    assert seen[2].text("client:status") == "brewing"
    assert len({p.occupant_id for p in seen}) == 1
    listed = {nick: id_ for id_, nick in (await again.participants()).items()}
    assert (await again.sees(listed["Alice"]))[1] == "Alice"
    assert not [p for p in await alice.settled() if p.type == "unavailable"]


async def test_map_12_muc_client_that_leaves_is_listed_for_half_a_minute(setting: MakeSetting) -> None:
    """A MIX client is told that a MUC client came, not that it reconnects, and that it has gone when it stays away."""
    s = await setting(Prosody, ProsodyOptions(mix_pam=True), PAIR)
    alice = Occupant((await s.sessions("alice"))[0], PAIR.room("coven"), "Alice")
    await alice.create()
    carol = await s.slix("carol", "coven")
    await carol.join("Carol")
    bob = Occupant((await s.sessions("bob"))[0], PAIR.room("coven"), "Bob")
    id_ = (await bob.join()).self_presence.occupant_id
    assert id_ is not None
    await carol.told((id_, "Bob"))
    await bob.leave()
    await carol.sees(id_, available=False)
    await bob.join()
    # He has left at some moment after this one, so whoever misses him before 30 s from here was told too early.
    leaves = time.monotonic()
    await bob.leave()
    while (id_, None) not in carol.events():
        assert "Bob" in (await carol.participants()).values() or time.monotonic() - leaves > 29
        assert time.monotonic() - leaves < 120
        await asyncio.sleep(0.5)
    assert time.monotonic() - leaves > 29
    assert [nick for who, nick in carol.events() if who == id_] == ["Bob", None]
    assert "Bob" not in (await carol.participants()).values()


@pytest.mark.parametrize("layout", [ONE, PAIR], ids=["one-domain", "mirrored"])
async def test_map_13_map_23_person_with_clients_of_both_is_one_occupant(setting: MakeSetting, layout: Layout) -> None:
    """Carol's MIX client and her MUC client, in the same channel: each reads its own form, others see one Carol."""
    s = await setting(Prosody, ProsodyOptions(mix_pam=True), layout)
    alice = Occupant((await s.sessions("alice"))[0], layout.room("coven"), "Alice")
    await alice.create()
    mix = await s.slix("carol", "coven")
    await mix.join("Carol")
    muc = Occupant((await s.sessions("carol"))[0], layout.room("coven"), "Caz")
    await muc.send_join()
    self_presence = await muc.sees("Carol")
    assert {110, 210} <= self_presence.codes
    muc.nick = "Carol"
    # covers: MAP-08, MAP-21, MIX-PART-07: one occupant, one participant.
    id_ = self_presence.occupant_id
    assert sorted((await mix.participants()).items()) == sorted([(id_, "Carol"), (await self_id(alice), "Alice")])
    # covers: MAP-03, MAP-27: each of her clients speaks as Carol; each gets one copy, in its own form.
    for say, body in ((muc.say, "from the old client"), (mix.say, "from the new client")):
        await say(body)
        heard = await mix.hears(body)
        assert (heard.speaker, heard.nick) == (f"{mix.channel}/{id_}", "Carol")
        for occupant in (alice, muc):
            copy = await occupant.hears(body)
            assert (copy.sender, copy.stanza_id) == (f"{occupant.room}/Carol", heard.id)
    # covers: MAP-46: she leaves with the old client and stays with the new one.
    await muc.leave()
    assert not [p for p in await alice.settled() if p.type == "unavailable"]
    await alice.say("still there?")
    await mix.hears("still there?")
    await mix.leave()
    await alice.sees("Carol", "unavailable")
    for occupant in (alice, muc):
        every = occupant.client.inbox.history
        assert not [m for m in every if m.has("mix:mix")]
        assert len([m for m in every if m.body and m.body.startswith("from")]) == 2
    assert not [p for p in alice.client.inbox.history if p.sender == f"{alice.room}/Caz"]
    assert [heard.body for heard in mix.every()] == ["from the old client", "from the new client", "still there?"]


async def self_id(occupant: Occupant) -> str:
    """The occupant-id of who is in the room since its first presence."""
    own = (p for p in occupant.client.inbox.history if p.kind == "presence" and p.sender == occupant.jid)
    return next(p.occupant_id for p in own) or ""


async def test_map_28_map_29_subject_and_history_are_shared(setting: MakeSetting) -> None:
    """A subject is a message to MIX; who joins by MUC has the history of both, and the subject, in MUC's form."""
    s = await setting(Prosody, ProsodyOptions(mix_pam=True), PAIR)
    alice = Occupant((await s.sessions("alice"))[0], PAIR.room("coven"), "Alice")
    await alice.create()
    carol = await s.slix("carol", "coven")
    read: list[Stanza] = []
    carol.listen(read.append)
    await carol.join("Carol")
    await carol.say("when shall we meet again?")
    first = await carol.hears("when shall we meet again?")
    await alice.client.send(tag("message", text("subject", "The heath"), to=alice.room, type_="groupchat", id_="s1"))
    changed = await alice.client.expect(is_subject, what="the new subject")
    await eventually(lambda: any(is_subject(m) for m in read), DEADLINE)
    (told,) = [m for m in read if is_subject(m)]
    assert (told.text("client:subject"), told.text("mix:mix/mix:nick")) == ("The heath", "Alice")
    assert told.id == changed.stanza_id and told.sender.startswith(f"{carol.channel}/")
    joined = await Occupant((await s.sessions("bob"))[0], alice.room, "Bob").join()
    assert [(m.sender, m.body, m.stanza_id) for m in joined.history] == [(f"{alice.room}/Carol", first.body, first.id)]
    assert joined.history[0].get("delay:delay", "from") == alice.room
    assert (joined.subject.sender, joined.subject.text("client:subject")) == (alice.jid, "The heath")


async def test_mix_cre_01_map_40_map_41_public_library_makes_and_ends_a_channel(setting: MakeSetting) -> None:
    """slixmpp creates a channel, looks around in it, and destroys it; MUC is in it meanwhile."""
    s = await setting(Prosody, ProsodyOptions(mix_pam=True), PAIR)
    carol = await s.slix("carol", "cauldron")
    core = carol.client.xmpp.plugin["xep_0369"]
    deleted: list[str] = []
    carol.listen(lambda stanza: deleted.extend(d.get("node", "") for d in stanza.all("event:event/event:delete")))
    service, channel = JID(PAIR.mix_domain), JID(carol.channel)
    assert await core.can_create_channel(service)
    assert await core.create_channel(service, "cauldron", timeout=DEADLINE) == "cauldron"
    await carol.join("Carol")
    assert [str(jid) for jid, _ in await core.list_channels(service)] == [carol.channel]
    assert await core.list_mix_nodes(channel) >= set(NODES)
    assert (await core.get_channel_info(channel))["JID Visibility"] == "jid-hidden"
    # covers: MIX-SUB-01, MIX-SUB-02: what the library returns is what was not done.
    assert await core.update_subscription(channel, unsubscribe={INFO}) == (set(), set())
    # covers: MAP-40, MAP-85: open at once, and the same room.
    alice = Occupant((await s.sessions("alice"))[0], PAIR.room("cauldron"), "Alice")
    joined = await alice.join()
    assert 201 not in joined.self_presence.codes and [p.nick for p in joined.others] == ["Carol"]
    await carol.say("bubble")
    await alice.hears("bubble")
    # The library's `destroy_channel` sends an IQ without the element.
    destroy = carol.client.xmpp.make_iq_set(ito=service)
    destroy.set_payload(ET.fromstring(tag("destroy", xmlns=MIX, channel="cauldron")))
    await destroy.send(timeout=DEADLINE)
    # covers: MIX-DES-01, MIX-DES-04
    gone = await alice.sees("Alice", "unavailable")
    assert gone.has("user:x/user:destroy")
    await eventually(lambda: set(deleted) == {MESSAGES, PARTICIPANTS, PRESENCES}, DEADLINE, lambda: str(deleted))
