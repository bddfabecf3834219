"""Both views behind ejabberd: the set-up that serves MIX there, and those that do not, which coven names in its log."""

from __future__ import annotations

from harness.both import Everybody, MakeSetting
from harness.client import DEADLINE
from harness.ejabberd import Ejabberd, EjabberdOptions
from harness.mix import NODES, ONE, PAIR
from harness.muc import Occupant
from harness.prosody import Prosody, ProsodyOptions
from slixmpp import JID


def options(listeners: str) -> EjabberdOptions:
    return EjabberdOptions(mix_pam=True, listeners=listeners)


async def test_map_27_mix_pamc_09_everybody_on_ejabberd(setting: MakeSetting) -> None:
    """`global_routes: false`, MIX on a domain of its own, the quirk for the server's users. Answers of its participant
    module come in a namespace that slixmpp cannot read, so stanzas are raw."""
    s = await setting(Ejabberd, options("shared"), PAIR, quirks=["ejabberd-pam"], hosts=["localhost"])
    carol = await s.raw("carol", "coven")
    await Everybody(PAIR, "coven", await s.sessions("alice"), await s.sessions("bob"), carol).play()
    assert s.coven.warnings() == []


async def test_map_27_ejabberd_that_mixes_up_streams_is_served_with_a_warning(setting: MakeSetting) -> None:
    """ejabberd's default, `global_routes: true`: it sends stanzas for one domain on the stream of the other."""
    s = await setting(Ejabberd, options("shared-global-routes"), PAIR, quirks=["ejabberd-pam"], hosts=["localhost"])
    carol = await s.raw("carol", "coven")
    await Everybody(PAIR, "coven", await s.sessions("alice"), await s.sessions("bob"), carol).play()
    (warning,) = s.coven.warnings()
    assert "global_routes: false" in warning["message"], warning
    assert {warning["domain"], warning["other"]} == {"chat.localhost", "mix.localhost"}


async def test_mix_msg_16_one_domain_on_ejabberd_serves_all_but_messages_to_mix(setting: MakeSetting) -> None:
    """Both views on one name, which ejabberd's participant module cannot serve, since the quirk does not fit there: MUC is
    whole, MIX is all but the copies that ejabberd bounces, and the log says what to do."""
    s = await setting(Ejabberd, options("per-domain"), ONE)
    carol = await s.raw("carol", "coven")
    everybody = Everybody(ONE, "coven", await s.sessions("alice"), await s.sessions("bob"), carol)
    await everybody.enter()
    # MUC hears MUC and MIX.
    alice, bob = everybody.alice[0], everybody.bob[1]
    for say, body in ((alice.say, "from MUC"), (carol.say, "from MIX")):
        await say(body)
        for occupant in everybody.occupants:
            await occupant.hears(body)
    # Carol does not, but the archive has it all, and each bounce leaves her a participant.
    assert [kept.body for kept in await carol.archive()] == ["from MUC", "from MIX"]
    assert carol.every() == []
    await everybody.rename()
    await everybody.part()
    (warning,) = s.coven.warnings()
    assert warning["domain"] == "localhost", warning
    for word in ("mod_mix_pam", 'protocols = ["mix"]', "mirror", 'quirks = ["ejabberd-pam"]', "hosts"):
        assert word in warning["message"], warning


async def test_mix_msg_16_prosody_without_its_module_is_named(setting: MakeSetting) -> None:
    """Without MIX-PAM a client joins directly (MIX-JOIN-02); what the channel sends to its bare JID comes back."""
    s = await setting(Prosody, ProsodyOptions(), PAIR)
    alice = Occupant((await s.sessions("alice"))[0], PAIR.room("coven"), "Alice")
    await alice.create()
    carol = await s.slix("carol", "coven")
    # covers: MIX-JOIN-02
    await carol.client.xmpp.plugin["xep_0369"].join_channel(JID(carol.channel), "Carol", set(NODES), timeout=DEADLINE)
    await alice.sees("Carol")
    for body in ("one", "two"):
        await alice.say(body)
        await alice.hears(body)
    await carol.say("three")
    await alice.hears("three")
    # The bounces are here by now: they came before Carol's message, on the same stream.
    (warning,) = s.coven.warnings()
    assert warning["domain"] == "localhost" and "contrib/prosody/mod_mix_pam.lua" in warning["message"], warning
    # covers: MIX-PART-09
    assert sorted((await carol.participants()).values()) == ["Alice", "Carol"]
