"""Presence between clients and channels: MIX-PAMS-15, -19, -20, and that MUC beside MIX keeps working."""

from __future__ import annotations

from harness.stanza import MUC, Stanza, tag, text
from pam_people import MixService, Person, item, preference
from pam_world import World


def presences(stanzas: list[Stanza]) -> list[tuple[str, str, str | None]]:
    return [(s.sender, s.to, s.type) for s in stanzas if s.kind == "presence"]


async def test_mix_pams_15_presence_of_mix_sessions_goes_to_the_channel(world: World, mix: MixService) -> None:
    user = world.fresh()
    phone, laptop = await world.online(user, "phone"), await world.online(user, "laptop")
    channel = await mix.has_joined(phone)
    # All that are online are shown at once, later changes follow.
    assert sorted(presences(await mix.all_received(phone))) == [(laptop.jid, channel, None), (phone.jid, channel, None)]
    await phone.send(tag("presence", phone.caps + text("show", "dnd") + text("status", "Making a Brew")))
    changed = await mix.expect(lambda s: s.kind == "presence")
    assert (changed.sender, changed.to, changed.text("client:status")) == (phone.jid, channel, "Making a Brew")
    await phone.send(tag("presence", type_="unavailable"))
    await phone.settle()
    await laptop.cut()
    gone = [await mix.expect(lambda s: s.type == "unavailable") for _ in range(2)]
    assert presences(gone) == [(phone.jid, channel, "unavailable"), (laptop.jid, channel, "unavailable")]


async def test_mix_pams_15_presence_of_other_sessions_does_not(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice, muc = await world.online(user), await world.online(user, "muc", mix=False)
    channel = await mix.has_joined(alice)
    assert presences(await mix.all_received(alice)) == [(alice.jid, channel, None)]
    await muc.appear(muc.caps + text("show", "away"))
    await muc.send(tag("presence", to=channel))  # directed, without a nick
    await muc.send(tag("presence", type_="unavailable"))
    await muc.settle()
    assert presences(await mix.all_received(muc)) == []


async def test_mix_pams_15_probe_is_answered_for_mix_sessions_only(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice, muc = await world.online(user), await world.online(user, "muc", mix=False)
    channel = await mix.has_joined(alice)
    await mix.all_received(alice)
    probe = tag("presence", type_="probe", from_=channel, to=alice.bare)
    await mix.send(probe)
    assert presences([await mix.expect(lambda s: s.kind == "presence")]) == [(alice.jid, channel, None)]
    await alice.send(tag("presence", type_="unavailable"))
    await mix.expect(lambda s: s.type == "unavailable")
    await mix.send(probe)
    assert presences([await mix.expect(lambda s: s.kind == "presence")]) == [(alice.bare, channel, "unavailable")]
    assert presences(await mix.all_received(muc)) == []


async def test_mix_pams_15_sessions_without_mix_do_not_probe_either(world: World, mix: MixService) -> None:
    """covers: MIX-PAMS-12. Some clients subscribe to the channel as to a contact; the roster then says `both`."""
    user = world.fresh()
    alice = await world.online(user)
    channel = await mix.has_joined(alice)
    await alice.send(tag("presence", type_="subscribe", to=channel))
    await mix.expect(lambda s: s.type == "subscribe")
    await mix.send(tag("presence", type_="subscribed", from_=channel, to=alice.bare))
    await mix.all_sent_to(alice)
    assert (item(await alice.roster(), channel) or {})["subscription"] == "both"
    await mix.has_joined(alice, None, "p1", preference("not share"))
    assert (item(await alice.roster(), channel) or {})["subscription"] == "to"
    await mix.has_joined(alice, None, "p1", preference("share"))
    assert (item(await alice.roster(), channel) or {})["subscription"] == "both"
    await mix.all_received(alice)
    muc = await world.online(user, "muc", mix=False)
    assert presences(await mix.all_received(muc)) == []


async def test_mix_pams_15_probe_of_a_channel_without_share_is_refused(world: World, mix: MixService) -> None:
    alice = await world.online(world.fresh())
    channel = await mix.has_joined(alice, None, "p1", preference("not share"))
    await mix.send(tag("presence", type_="probe", from_=channel, to=alice.bare))
    await mix.all_sent_to(alice)
    assert [p for p in presences(await mix.all_received(alice)) if p[2] != "unsubscribed"] == []


async def enters_as_muc(person: Person, mix: MixService) -> str:
    """The client enters the channel as a MUC room; returns its occupant JID."""
    occupant = mix.channel() + "/muc nick"
    await person.send(tag("presence", tag("x", xmlns=MUC), to=occupant))
    entered = await mix.expect(lambda s: s.to == occupant and s.has("muc:x"))
    assert entered.sender == person.jid
    return occupant


async def test_mix_pams_15_muc_client_of_the_account_enters_and_is_seen_to_leave(world: World, mix: MixService) -> None:
    """One address, both protocols: the roster's subscription must not swallow the MUC session's leave."""
    user = world.fresh()
    alice, muc, idle = (
        await world.online(user),
        await world.online(user, "muc", mix=False),
        await world.person(user, "x", mix=False),
    )
    await mix.has_joined(alice)
    await mix.all_received(alice)
    for session in (muc, idle):  # one with presence, one without
        occupant = await enters_as_muc(session, mix)
        await session.close()
        gone = await mix.expect(lambda s: s.type == "unavailable")
        assert (gone.sender, gone.to) == (session.jid, occupant)
    both = await world.online(user, "both")
    occupant = await enters_as_muc(both, mix)
    await both.send(tag("presence", type_="unavailable", to=occupant))
    await both.send(tag("presence", type_="unavailable"))
    left = [s for s in await mix.all_received(both) if s.type == "unavailable" and s.sender == both.jid]
    assert [s.to for s in left] == [occupant, mix.channel()]


async def test_mix_pams_15_traffic_of_the_room_reaches_the_muc_client(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice, muc = await world.online(user), await world.online(user, "muc", mix=False)
    await mix.has_joined(alice)
    await enters_as_muc(muc, mix)
    shown = await mix.presence(muc.jid, sender=mix.channel() + "/other nick")
    said = await mix.groupchat(muc.jid, sender=mix.channel() + "/other nick")
    assert [s.id for s in await mix.all_sent_to(muc)] == [shown, said]
    assert await mix.all_sent_to(alice) == []


async def test_mix_pams_19_presence_of_participants_goes_to_every_mix_session(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice, laptop, muc = (
        await world.online(user),
        await world.online(user, "laptop"),
        await world.online(user, "muc", mix=False),
    )
    await mix.has_joined(alice)
    sent = [await mix.presence(alice.bare), await mix.presence(alice.bare, type_="unavailable")]
    sent.append(await mix.presence(alice.bare, sender=mix.channel()))
    for session in (alice, laptop):
        got = await mix.all_sent_to(session)
        assert [s.id for s in got] == sent
        assert presences(got)[:2] == [
            (f"other#{mix.channel()}/res", session.jid, None),
            (f"other#{mix.channel()}/res", session.jid, "unavailable"),
        ]
    assert await mix.all_sent_to(muc) == []
    await mix.presence(alice.bare, sender=mix.channel(), type_="error")
    assert await mix.all_sent_to(alice) == await mix.all_sent_to(muc) == []


async def test_mix_pams_20_channels_are_asked_when_a_mix_client_comes(world: World, mix: MixService) -> None:
    user = world.fresh()
    alice = await world.online(user)
    channels = [await mix.has_joined(alice, mix.channel(name)) for name in ("coven", "heath")]
    await mix.has_joined(alice, mix.channel("secret"), "p1", preference("not share"))
    channels.append(mix.channel("secret"))
    await mix.all_received(alice)

    muc = await world.online(user, "muc", mix=False)
    assert presences(await mix.all_received(muc)) == []

    async def is_announced(session: Person) -> None:
        """Its presence where it is shared, and the question for theirs, to all."""
        wanted = {(session.jid, c, None) for c in channels[:2]} | {(session.bare, c, None) for c in channels}
        seen: set[tuple[str, str, str | None]] = set()
        while seen != wanted:
            seen |= set(presences([await mix.expect(lambda s: s.kind == "presence")])) & wanted
        sent = await mix.presence(session.bare)
        assert sent in [s.id for s in await mix.all_sent_to(session)]

    laptop = await world.online(user, "laptop")
    await is_announced(laptop)  # at once: its caps are known
    tablet = await world.person(user, "tablet")
    await tablet.appear("")
    await is_announced(tablet)  # when the client has answered
    assert presences(await mix.all_received(alice)) == []
    await laptop.appear(laptop.caps + text("show", "away"))  # a change is no arrival
    assert [s for s in presences(await mix.all_received(laptop)) if s[0] == laptop.bare] == []
    await laptop.send(tag("presence", type_="unavailable"))
    await laptop.appear()
    again = [await mix.expect(lambda s: s.sender == laptop.bare) for _ in channels]
    assert {s.to for s in again} == set(channels)
