"""The smoke story in containers: docker/compose.yaml as it is, two people in a room; a node and a front-end are killed
while they talk.

Needs a Docker engine, docker-compose, and the images of `scripts/test --only image`, which runs it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

from harness.client import Account, Client
from harness.muc import Occupant, read_whole_archive
from harness.process import free_ports

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = "coven-smoke"
ROOM = "smoke@chat.localhost"
#: Each message has a number of its own.
NUMBERS = itertools.count()
NODES, FRONTS = {"node-1": 8181, "node-2": 8182}, {"front-1": 8191, "front-2": 8192}


def run(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=600)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def compose(*arguments: str, check: bool = True) -> str:
    """docker-compose of either generation: in the second it may be a plugin."""
    tool = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    file = ROOT / "docker" / "compose.yaml"
    return run(*tool, "--project-name", PROJECT, "--file", str(file), *arguments, check=check)


def until_ready(ports: list[int], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    for port in ports:
        said = ""
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=15):
                    break
            except urllib.error.HTTPError as error:
                said = error.read().decode()
            except OSError as error:
                said = str(error)
            if time.monotonic() > deadline:
                raise AssertionError(f"port {port} is not ready within {seconds} s: {said}")
            time.sleep(0.2)


async def log_in(user: str) -> Client:
    register = ["prosodyctl", "--config", "/etc/prosody/prosody.cfg.lua", "register", user, "localhost", "secret"]
    compose("exec", "-T", "prosody", *register)
    return await Client.connect(Account(user, "localhost", "secret", int(os.environ["XMPP_PORT"])), "smoke")


async def story() -> None:
    """Two people talk; the first node is killed, and later the first front-end."""
    alice = Occupant(await log_in("alice"), ROOM, "Alice")
    bob = Occupant(await log_in("bob"), ROOM, "Bob")
    await alice.create()
    await bob.join()
    said: list[str] = []
    for victim in (None, "node-1", "front-1"):
        if victim:
            compose("kill", "-s", "KILL", victim)
        await talk(alice, bob, said)
        print(f"smoke: {len(said)} messages" + (f", {victim} killed" if victim else ""), flush=True)
    assert (await bob.self_ping()).type == "result"
    assert (await alice.self_ping()).type == "result"
    results = await read_whole_archive(bob.client, ROOM)
    kept = [r.text("mam:result/forward:forwarded/client:message/client:body") for r in results]
    kept = [k for k in kept if k]
    assert len(kept) == len(set(kept)), kept
    # What timed out may have come in later.
    assert [k for k in kept if k in said] == said, (said, kept)


async def talk(alice: Occupant, bob: Occupant, said: list[str]) -> None:
    """Five messages that the other hears. What comes back as an error, or does not come back, is said anew."""
    deadline = time.monotonic() + 240
    told = 0
    while told < 5:
        body = f"message {next(NUMBERS)}"
        await alice.say(body)
        try:
            await bob.hears(body, timeout=5)
        except (TimeoutError, AssertionError):
            if time.monotonic() > deadline:
                raise
            continue
        said.append(body)
        told += 1


def main() -> int:
    os.environ["XMPP_PORT"] = str(free_ports(1)[0])
    # The builder that every engine has.
    os.environ["DOCKER_BUILDKIT"] = os.environ["COMPOSE_DOCKER_CLI_BUILD"] = "0"
    try:
        compose("build", "prosody")
        compose("up", "--detach", "--no-build")
        until_ready([*NODES.values(), *FRONTS.values()])
        asyncio.run(story())
    except BaseException:
        print(compose("logs", "--tail=40", check=False))
        raise
    finally:
        compose("down", "--volumes", "--timeout", "20", check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
