"""The running part of `scripts/demo`: Prosody, coven, a conversation, and how to join it.

The pieces are those of the end-to-end tests (`tests/e2e/harness`); nothing but the standard library is needed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import pathlib
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator

from harness.client import Account, Client
from harness.coven import Config, Coven, Domain
from harness.muc import Occupant
from harness.process import free_ports, listens
from harness.prosody import Prosody, ProsodyOptions
from harness.server import Component
from harness.stanza import MUC_OWNER, MUC_ROOMCONFIG, Stanza, form, tag

HOST = "localhost"
SERVICE = "chat.localhost"
ROOM = f"den@{SERVICE}"
PASSWORD = "coven-demo"
LINES = [
    ("alice", "when shall we three meet again?"),
    ("bob", "in thunder, lightning, or in rain?"),
    ("alice", "when the hurlyburly's done, when the battle's lost and won"),
    ("bob", "that will be ere the set of sun"),
]


class Demo:
    """All that runs, in one folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        options = ProsodyOptions(
            host=HOST,
            components=(Component(SERVICE),),
            certificate=certificate(folder),
            c2s_port=None if listens(5222) else 5222,
        )
        self.prosody = Prosody(folder / "prosody", options)
        config = Config.for_server(self.prosody, Domain(SERVICE))
        config.http_port = free_ports(1)[0] if listens(8088) else 8088
        config.limits = {}
        self.coven = Coven(folder / "coven", config)
        self.people: list[Occupant] = []

    async def start(self) -> None:
        """Starts the server and coven."""
        await self.prosody.start()
        await self.coven.start()

    async def stop(self) -> None:
        """Lets people leave, then stops coven and the server."""
        for occupant in self.people:
            await occupant.client.close()
        await self.coven.stop()
        await self.prosody.stop()

    async def person(self, name: str) -> Occupant:
        """A user who is logged in over TLS, as ordinary clients do."""
        tls = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        client = await Client.connect(await self.prosody.account(name, PASSWORD), "demo", tls)
        self.people.append(Occupant(client, ROOM, name))
        return self.people[-1]


def certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A self-signed certificate for localhost: (certificate, key)."""
    cert, key = folder / "certificate.pem", folder / "key.pem"
    if not cert.exists():
        names = f"subjectAltName=DNS:{HOST},DNS:{SERVICE}"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", f"/CN={HOST}"]
        subprocess.run([*command, "-addext", names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


async def converse(alice: Occupant, bob: Occupant) -> None:
    """Alice opens the room, Bob comes, and they talk."""
    title("alice opens the room, bob joins, they talk")
    if 201 in (await alice.join()).self_presence.codes:
        await configure(alice)
    await bob.join()
    by_name = {"alice": alice, "bob": bob}
    for name, line in LINES:
        await by_name[name].say(line)
        for listener in (alice, bob):
            heard = await listener.hears(line)
        show(heard)


async def configure(owner: Occupant) -> None:
    """Unlocks the new room with a name, as one that stays when it is empty."""
    fields = {"muc#roomconfig_roomname": "The Den", "muc#roomconfig_persistentroom": "1"}
    query = tag("query", form(MUC_ROOMCONFIG, fields), xmlns=MUC_OWNER)
    answer = await owner.client.request(ROOM, query, "set")
    if answer.type != "result":
        raise SystemExit(f"the room was not configured: {answer}")


async def meet_newcomer(demo: Demo, alice: Occupant) -> None:
    """Somebody joins later and sees what was said before."""
    title("carol joins later: the history of the room scrolls by")
    carol = await demo.person("carol")
    for old in (await carol.join()).history:
        show(old)
    await alice.say("welcome, carol")
    show(await carol.hears("welcome, carol"))


async def survive(demo: Demo, bob: Occupant) -> None:
    """The process dies; nobody has to join again."""
    title("coven is killed (SIGKILL) and started again: nobody joins again, bob just goes on talking")
    await demo.coven.kill()
    await demo.coven.start()
    await bob.say("where were we?")
    for listener in demo.people:
        heard = await listener.hears("where were we?")
    show(heard)


async def greet(alice: Occupant, known: set[str]) -> None:
    """As long as the demo is up, Alice greets who comes."""
    while True:
        came = await alice.client.expect(
            lambda s: s.kind == "presence" and s.type is None and alice.from_room(s) and s.nick not in known, 86400.0
        )
        known.add(came.nick)
        print(f"  * {came.nick} joined", flush=True)
        await alice.say(f"hello {came.nick}! carol, bob and I have been waiting for you")


def title(text: str) -> None:
    print(f"\n-- {text}", flush=True)


def show(message: Stanza) -> None:
    """A message as a client shows it, with the time if it is from the past."""
    stamp = message.get("delay:delay", "stamp")
    when = f"[{stamp[11:19]}] " if stamp else ""
    print(f"  {when}<{message.nick}> {message.body}", flush=True)


def write_profanity_account(folder: pathlib.Path, account: Account) -> None:
    """An account of the terminal client profanity, in a folder of its own."""
    file = folder / "profanity" / "profanity" / "accounts"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = {
        "enabled": "true",
        "jid": account.bare,
        "password": account.password,
        "server": "127.0.0.1",
        "port": account.port,
        "tls.policy": "trust",
        "muc.service": SERVICE,
        "muc.nick": account.user,
    }
    file.write_text(f"[{account.user}]\n" + "".join(f"{k}={v}\n" for k, v in lines.items()))


def invite(demo: Demo, account: Account) -> None:
    """How to join."""
    home = demo.folder / "profanity"
    print(
        f"""
-- now you: join with any XMPP client on this machine

  account   {account.bare}
  password  {account.password}
  server    127.0.0.1, port {account.port} (STARTTLS)
  room      {ROOM}

  The certificate is self-signed: accept it when the client asks, or trust
  {demo.folder / "certificate.pem"}

  In a terminal, with profanity (apt-get install profanity-light):

    XDG_CONFIG_HOME={home} XDG_DATA_HOME={home} profanity -a {account.user}
    /join {ROOM}

  coven     http://127.0.0.1:{demo.coven.config.http_port}/readyz
  data      {demo.folder}

Ctrl-C stops everything.""",
        flush=True,
    )


@contextlib.contextmanager
def data_folder(chosen: pathlib.Path | None) -> Iterator[pathlib.Path]:
    """The folder that was asked for, or a new one that is removed at the end."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.resolve()
        return
    made = pathlib.Path(tempfile.mkdtemp(prefix="coven-demo."))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


async def run(folder: pathlib.Path, stay: bool) -> None:
    """The whole demo. Ctrl-C and SIGTERM cancel it, so that it stops what it started."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    demo = Demo(folder)
    print(f"data and logs: {folder}\nstarting Prosody and coven on loopback", flush=True)
    try:
        await demo.start()
        alice, bob = await demo.person("alice"), await demo.person("bob")
        await converse(alice, bob)
        await meet_newcomer(demo, alice)
        await survive(demo, bob)
        if stay:
            account = await demo.prosody.account("you", PASSWORD)
            write_profanity_account(folder, account)
            invite(demo, account)
            await greet(alice, {o.nick for o in demo.people})
    finally:
        print("\nstopping coven and Prosody", flush=True)
        await demo.stop()


def main() -> int:
    """Parses the arguments, runs the demo, ends quietly on Ctrl-C."""
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("--exit", action="store_true")
    parser.add_argument("--data", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        with data_folder(arguments.data) as folder:
            asyncio.run(run(folder, stay=not arguments.exit))
    except asyncio.CancelledError:
        return 130 if arguments.exit else 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
