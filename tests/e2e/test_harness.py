"""The harness proves itself: real servers, two users, and a component, all without coven."""

from __future__ import annotations

import pathlib
import subprocess
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from harness.client import Client
from harness.component import Component
from harness.coven import Config, Domain, Upstream
from harness.ejabberd import Ejabberd, EjabberdOptions
from harness.process import eventually
from harness.prosody import Prosody, ProsodyOptions
from harness.server import XmppServer
from harness.slix import SlixClient
from harness.stanza import DISCO_INFO, Stanza, StreamReader, tag, text


async def test_two_users_exchange_a_message(server: XmppServer) -> None:
    romeo = await server.login(server.fresh_name("romeo"))
    juliet = await server.login(server.fresh_name("juliet"), "balcony")
    await romeo.send(tag("message", text("body", "I <3 you"), to=juliet.jid, type_="chat", id_="m1"))
    got = await juliet.expect(lambda s: s.kind == "message")
    assert (got.sender, got.to, got.type, got.body) == (romeo.jid, juliet.jid, "chat", "I <3 you")
    for client in (romeo, juliet):
        await client.close()


async def test_a_component_gets_and_answers_stanzas(server: XmppServer) -> None:
    domain = "echo.localhost"
    component = await Component.connect(server.component_port(domain), domain, server.secret(domain))
    component.echo()
    user = await server.login(server.fresh_name("user"))
    assert (await user.barrier(domain)).type == "result"
    await user.send(tag("message", text("body", "hello"), to=f"room@{domain}"))
    got = await user.expect(lambda s: s.kind == "message")
    assert (got.sender, got.body) == (f"room@{domain}", "hello")
    await user.close()
    await component.close()


async def test_a_wrong_component_secret_is_refused(server: XmppServer) -> None:
    domain = "echo.localhost"
    with pytest.raises(ConnectionError, match="not-authorized"):
        await Component.connect(server.component_port(domain), domain, "wrong")


async def test_a_wrong_password_is_refused(server: XmppServer) -> None:
    account = await server.account(server.fresh_name("user"))
    other = type(account)(account.user, account.host, "wrong", account.port)
    with pytest.raises(PermissionError, match="not-authorized"):
        await Client.connect(other, "one")


@pytest.mark.parametrize("resolve", ["kick_old", "kick_new"])
async def test_prosody_resolves_component_conflicts_as_told(own_server: Callable[..., Any], resolve: str) -> None:
    prosody = await own_server(Prosody, ProsodyOptions(component_conflict_resolve=resolve))
    port, secret = prosody.component_port("chat.localhost"), prosody.secret("chat.localhost")
    first = await Component.connect(port, "chat.localhost", secret)
    if resolve == "kick_new":
        with pytest.raises(ConnectionError, match="conflict"):
            await Component.connect(port, "chat.localhost", secret)
    else:
        second = await Component.connect(port, "chat.localhost", secret)
        await first.expect(lambda s: s.kind == "error" and "conflict" in str(s))
        await second.close()
    await first.close()


@pytest.mark.parametrize(("listeners", "mixed"), [("shared", False), ("shared-global-routes", True)])
async def test_ejabberd_mixes_domains_of_one_listener_only_when_told(
    own_server: Callable[..., Any], listeners: str, mixed: bool
) -> None:
    ejabberd = await own_server(Ejabberd, EjabberdOptions(listeners=listeners))
    streams = [
        await Component.connect(ejabberd.component_port(d), d, ejabberd.secret(d))
        for d in ("chat.localhost", "mix.localhost")
    ]
    user = await ejabberd.login("user")
    for n in range(40):
        await user.send(tag("message", text("body", str(n)), to="chat.localhost", id_=f"m{n}"))

    def seen() -> list[int]:
        return [sum(s.kind == "message" for s in stream.inbox.history) for stream in streams]

    await eventually(lambda: sum(seen()) == 40, 15.0, lambda: f"only {seen()} of 40 arrived")
    assert (seen()[1] > 0) == mixed
    for stream in (user, *streams):
        await stream.close()


@pytest.mark.parametrize(("kind", "options"), [(Prosody, ProsodyOptions), (Ejabberd, EjabberdOptions)])
async def test_servers_serve_mix_clients_when_told(own_server: Callable[..., Any], kind: Any, options: Any) -> None:
    server = await own_server(kind, options(mix_pam=True))
    user = await server.login("user")
    answer = await user.request(user.bare, tag("query", xmlns=DISCO_INFO))
    assert any(f.get("var", "").startswith("urn:xmpp:mix:pam:") for f in answer.all("info:query/info:feature")), answer
    await user.close()


async def test_a_server_keeps_ports_and_accounts_over_a_restart(own_server: Callable[..., Any]) -> None:
    prosody = await own_server(Prosody)
    await (await prosody.login("user")).close()
    await prosody.kill()
    await prosody.start()
    await (await prosody.login("user")).close()


def test_a_stream_is_cut_into_stanzas_wherever_reads_end() -> None:
    xml = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='x'>" + (
        "<message from='a@b/c'><body>é</body></message>" * 3
    )
    data = xml.encode()
    for step in (1, 7, len(data)):
        reader = StreamReader()
        stanzas = [s for at in range(0, len(data), step) for s in reader.feed(data[at : at + step])]
        assert [s.body for s in stanzas] == ["é"] * 3
        assert reader.header is not None and reader.header["id"] == "x"


def test_errors_and_status_codes_are_read() -> None:
    error = Stanza.parse(
        "<presence type='error'><error type='cancel'>"
        "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>taken</text>"
        "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
    )
    assert error.error == ("conflict", "cancel")
    joined = Stanza.parse(
        "<presence from='r@c/n'><x xmlns='http://jabber.org/protocol/muc#user'>"
        "<item affiliation='owner' role='moderator'/><status code='110'/><status code='201'/></x></presence>"
    )
    assert (joined.codes, joined.affiliation, joined.role, joined.nick) == ({110, 201}, "owner", "moderator", "n")


async def test_a_library_client_talks_to_a_raw_one(server: XmppServer) -> None:
    account = await server.account(server.fresh_name("slix"))
    slix = await SlixClient.connect(account)
    raw = await server.login(server.fresh_name("raw"))
    await raw.send(tag("message", text("body", "hello"), to=slix.xmpp.boundjid.full, type_="chat"))
    assert (await slix.hears("hello"))["from"].full == raw.jid
    await slix.close()
    await raw.close()


def test_a_configuration_is_written_as_toml() -> None:
    config = Config(
        [Upstream("127.0.0.1:5347", ["chat.localhost"], 'a "secret"', {"hosts": ["localhost"]})],
        [Domain(more={"defaults": {"public": True}})],
        http_port=8088,
        more={"archive": {"max-count": 10}},
    )
    assert tomllib.loads(config.toml()) == {
        "role": "all",
        "store": {"url": "sqlite:coven.db"},
        "http": {"listen": "127.0.0.1:8088"},
        "limits": {"enabled": False},
        "log": {"format": "json"},
        "archive": {"max-count": 10},
        "domain": [{"name": "chat.localhost", "protocols": ["muc", "mix"], "defaults": {"public": True}}],
        "upstream": [
            {"address": "127.0.0.1:5347", "domains": ["chat.localhost"], "secret": 'a "secret"', "hosts": ["localhost"]}
        ],
    }


@pytest.mark.parametrize("kind", [Prosody, Ejabberd])
def test_coven_accepts_the_configuration_that_the_harness_writes(
    kind: Any, coven_binary: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    server = kind(tmp_path / "server")
    config = Config.for_server(server, Domain(), Domain("mix.localhost", ["mix"]), hosts=["localhost"])
    config.http_port = 8088
    file = tmp_path / "coven.toml"
    file.write_text(config.toml())
    checked = subprocess.run(
        [coven_binary, "check-config", "--config", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
