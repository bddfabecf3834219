"""One MUC room on real servers: people meet, talk, change nicks, leave; the room outlives its process."""

from __future__ import annotations

import asyncio
import pathlib

from harness.client import Client, Login
from harness.coven import Config, Coven, Domain, StartCoven, binary
from harness.muc import Occupant, is_subject, read_archive, read_whole_archive
from harness.server import XmppServer
from harness.slix import SlixClient
from slixmpp import JID

ROOM = "coven@chat.localhost"


async def new_room(client: Client, nick: str) -> Occupant:
    """A room with its creator in it, unlocked, and nothing left to read."""
    owner = Occupant(client, ROOM, nick)
    await owner.create()
    await owner.settled()
    return owner


async def test_muc_create_01_muc_create_02_first_join_makes_a_room(coven: Coven, login: Login) -> None:
    alice = Occupant(await login("alice"), ROOM, "Alice")
    joined = await alice.join()
    # covers: MUC-STATUS-10
    assert {110, 201} <= joined.self_presence.codes
    assert (joined.self_presence.affiliation, joined.self_presence.role) == ("owner", "moderator")
    # Locked: nobody else gets in before it is configured.
    bob = Occupant(await login("bob"), ROOM, "Bob")
    await bob.send_join()
    refused = await bob.sees("Bob", "error")
    # covers: MUC-ENTER-15
    assert refused.error == ("item-not-found", "cancel")
    # covers: MUC-CREATE-04
    unlock = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
    assert (await alice.client.request(ROOM, unlock, "set")).type == "result"
    assert 201 not in (await bob.join()).self_presence.codes


async def test_muc_enter_02_muc_enter_04_join_has_its_order(coven: Coven, login: Login) -> None:
    alice = await new_room(await login("alice"), "Alice")
    await alice.say("first")
    await alice.hears("first")
    bob = Occupant(await login("bob"), ROOM, "Bob")
    joined = await bob.join()
    # covers: MUC-PRES-01 (the others' presence carries the item), MUC-PRES-04 (the others see the newcomer)
    assert [(s.nick, s.affiliation, s.role) for s in joined.others] == [("Alice", "owner", "moderator")]
    assert joined.self_presence.nick == "Bob"
    assert (joined.self_presence.affiliation, joined.self_presence.role) == ("none", "participant")
    assert (await alice.sees("Bob")).codes == set()
    # covers: MUC-HIST-01, MUC-HIST-03
    assert [(s.nick, s.body) for s in joined.history] == [("Alice", "first")]
    assert joined.history[0].get("delay:delay", "from") == ROOM
    # covers: MUC-SUBJ-06
    assert is_subject(joined.subject) and joined.subject.text("client:subject") == ""


async def test_muc_msg_01_muc_msg_02_two_users_talk(coven: Coven, login: Login) -> None:
    alice = await new_room(await login("alice"), "Alice")
    bob = Occupant(await login("bob"), ROOM, "Bob")
    await bob.join()
    for turn, speaker in enumerate((alice, bob, alice, bob)):
        id_ = await speaker.say(f"turn {turn}")
        copies = [await listener.hears(f"turn {turn}") for listener in (alice, bob)]
        assert [(c.sender, c.id, c.type) for c in copies] == [(speaker.jid, id_, "groupchat")] * 2
        assert [c.to for c in copies] == [alice.client.jid, bob.client.jid]
        # covers: MUC-MAM-02 (one archive id in every copy)
        assert copies[0].stanza_id and copies[0].stanza_id == copies[1].stanza_id


async def test_muc_comp_12_everybody_hears_one_order(coven: Coven, login: Login) -> None:
    alice = await new_room(await login("alice"), "Alice")
    bob = Occupant(await login("bob"), ROOM, "Bob")
    await bob.join()
    for n in range(50):
        await alice.say(f"a{n}")
        await bob.say(f"b{n}")
    for n in range(50):
        for speaker in "ab":
            await alice.client.expect(lambda s, b=f"{speaker}{n}": s.body == b)
    await bob.settled()
    heard = [[s.body for s in o.client.inbox.history if s.body] for o in (alice, bob)]
    assert len(heard[0]) == 100
    assert heard[0] == heard[1]
    # The archive has the same order, and each sender's own order is kept (MUC-COMP-11).
    archived = [s.forwarded() for s in await read_whole_archive(alice.client, ROOM)]
    assert [m.body for m in archived if m] == heard[0]
    assert [b for b in heard[0] if b.startswith("a")] == [f"a{n}" for n in range(50)]


async def test_muc_nick_01_muc_nick_02_nick_change(coven: Coven, login: Login) -> None:
    alice = await new_room(await login("alice"), "Alice")
    bob = Occupant(await login("bob"), ROOM, "Bob")
    before = (await bob.join()).self_presence
    await alice.sees("Bob")
    left, now = await bob.change_nick("Robert")
    assert {110, 303} <= left.codes and 110 in now.codes
    assert (left.get("user:x/user:item", "nick"), left.role) == ("Robert", "participant")
    assert (now.role, now.affiliation, now.occupant_id) == (before.role, before.affiliation, before.occupant_id)
    seen = await alice.sees("Bob", "unavailable")
    # covers: MUC-STATUS-13
    assert seen.codes == {303} and seen.get("user:x/user:item", "nick") == "Robert"
    assert (await alice.sees("Robert")).codes == set()
    # covers: MUC-NICK-03: neither history nor subject nor the occupants come again
    assert await bob.settled() == []


async def test_muc_enter_11_nick_of_another_is_conflict(coven: Coven, login: Login) -> None:
    alice = await new_room(await login("alice"), "Alice")
    bob = Occupant(await login("bob"), ROOM, "Alice")
    await bob.send_join()
    assert (await bob.sees("Alice", "error")).error == ("conflict", "cancel")
    # covers: MUC-ENTER-18: a refused join leaves no trace
    assert await alice.settled() == []


async def test_muc_leave_01_leaving_is_seen(coven: Coven, login: Login) -> None:
    alice = await new_room(await login("alice"), "Alice")
    bob = Occupant(await login("bob"), ROOM, "Bob")
    await bob.join()
    left = await bob.leave()
    assert 110 in left.codes and left.role == "none"
    seen = await alice.sees("Bob", "unavailable")
    assert seen.codes == set() and seen.role == "none"
    # covers: MUC-MSG-08: whoever left may not speak
    id_ = await bob.say("still here?")
    bounced = await bob.client.expect(lambda s: s.kind == "message" and s.id == id_)
    assert bounced.error == ("not-acceptable", "cancel")


async def test_muc_mam_08_muc_mam_09_muc_mam_10_archive_is_read_by_page(coven: Coven, login: Login) -> None:
    alice = await new_room(await login("alice"), "Alice")
    live = []
    for n in range(5):
        await alice.say(f"line {n}")
        live.append(await alice.hears(f"line {n}"))
    page, fin = await read_archive(alice.client, ROOM, "<max>3</max>")
    assert fin.get("mam:fin", "complete") in (None, "false")
    rest, end = await read_archive(alice.client, ROOM, f"<max>3</max><after>{page[-1].get('mam:result', 'id')}</after>")
    assert end.get("mam:fin", "complete") == "true"
    results = page + rest
    assert [s.get("mam:result", "id") for s in results] == [s.stanza_id for s in live]
    inner = [s.forwarded() for s in results]
    assert [(m.sender, m.body, m.id, m.type, m.to) for m in inner if m] == [
        (alice.jid, s.body, s.id, "groupchat", "") for s in live
    ]


async def test_muc_ping_01_killed_process_loses_nobody(coven: Coven, login: Login) -> None:
    """I6: kill -9 and restart make no occupant leave or join, and nothing that was heard is gone."""
    alice = await new_room(await login("alice"), "Alice")
    bob = Occupant(await login("bob"), ROOM, "Bob")
    before = (await bob.join()).self_presence
    await alice.say("before")
    heard = [await o.hears("before") for o in (alice, bob)]
    await alice.settled()
    presences = [s for s in alice.client.inbox.history if s.kind == "presence"]
    await coven.kill()
    await coven.start()
    # Both are still joined, as XEP-0410 tells it.
    for occupant in (alice, bob):
        answer = await occupant.self_ping()
        assert (answer.type, answer.sender) == ("result", occupant.jid)
    # Bob speaks without joining again, with the nick and the id that he had.
    await bob.say("after")
    after = [await o.hears("after") for o in (alice, bob)]
    assert {s.sender for s in after} == {bob.jid}
    assert {s.occupant_id for s in after} == {before.occupant_id}
    # Nobody saw anybody leave or come: at most what the killed process had not known to be taken in came once more, and
    # it says what it said before.
    again = [s for s in await alice.settled() if s.kind == "presence"]
    assert {str(s) for s in again} <= {str(s) for s in presences}
    # covers: MUC-MAM-02 (ids in the archive are those that were heard)
    page = await read_whole_archive(alice.client, ROOM)
    assert [s.get("mam:result", "id") for s in page] == [heard[0].stanza_id, after[0].stanza_id]


async def test_muc_enter_02_public_library_joins_and_reads(server: XmppServer, coven: Coven, login: Login) -> None:
    """slixmpp sorts a join by the order that XEP-0045 §7.1 gives."""
    alice = await new_room(await login("alice"), "Alice")
    await alice.say("before you came")
    await alice.hears("before you came")
    slix = await SlixClient.connect(await server.account(server.fresh_name("slix")))
    joined = await slix.xmpp.plugin["xep_0045"].join_muc_wait(JID(ROOM), "Slix", timeout=15.0)
    presence, subject, occupants, history = joined
    # The library counts the own presence too.
    assert [p["from"].resource for p in occupants] == ["Alice", "Slix"]
    assert presence["from"].resource == "Slix"
    assert [m["body"] for m in history] == ["before you came"]
    assert subject.xml.find("{jabber:client}subject") is not None and not subject["subject"]
    await alice.say("welcome")
    assert (await slix.hears("welcome"))["from"].full == alice.jid
    await slix.close()


async def test_muc_leave_13_sigterm_and_restart_send_nobody_away(coven: Coven, login: Login) -> None:
    """I6: a planned restart is no shutdown: no 332, no leave, exit code 0."""
    alice = await new_room(await login("alice"), "Alice")
    assert await coven.terminate() == 0
    await coven.start()
    assert (await alice.self_ping()).type == "result"
    assert [s for s in await alice.settled() if s.kind == "presence"] == []


async def test_muc_leave_13_muc_status_17_a_final_shutdown_sends_everybody_out(
    server: XmppServer, start_coven: StartCoven, login: Login, tmp_path: pathlib.Path
) -> None:
    """I6: only the end for good is a leave: told once to each session, by 110 and 332; exit code 0; nobody is in afterwards."""
    token = tmp_path / "admin-token"
    token.write_text("a token for administrators")
    config = Config.for_server(server, Domain("chat.localhost"))
    config.more["http"] = {"admin-token-file": str(token)}
    coven = await start_coven(config)
    alice = await new_room(await login("alice"), "Alice")
    bob = Occupant(await login("bob"), ROOM, "Bob")
    await bob.join()
    await alice.settled()
    assert await admin(coven, token, "shutdown") == 2
    assert await admin(coven, token, "nodes") == 1
    assert await admin(coven, token, "shutdown", "--final") == 0
    assert coven.process is not None
    assert await coven.process.exited(60.0) == 0
    for occupant in (alice, bob):
        told = await occupant.sees(occupant.nick, "unavailable")
        assert (told.sender, told.codes) == (occupant.jid, {110, 332})
        assert (told.affiliation, told.role) == ("none", "none")
    await coven.start()
    assert (await alice.self_ping()).type == "error"
    assert [s for s in await alice.settled() if s.kind == "presence"] == []


async def admin(coven: Coven, token: pathlib.Path, *command: str) -> int:
    """The exit code of `coven admin`."""
    url = f"http://127.0.0.1:{coven.config.http_port}"
    argv = [binary(), "admin", "--url", url, "--token-file", str(token), *command]
    asked = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.DEVNULL)
    return await asked.wait()
