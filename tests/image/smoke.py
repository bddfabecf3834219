"""The smoke story in containers: docker/compose.yaml as it is, two people in a room, a node that is killed while they talk.

Needs a Docker engine, docker-compose, and the images of `scripts/test --only image`, which runs it.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
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
NODES, FRONTS = {"node-1": 8181, "node-2": 8182}, {"front-1": 8191, "front-2": 8192}


def run(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def compose(*arguments: str, check: bool = True) -> str:
    file = ROOT / "docker" / "compose.yaml"
    return run("docker-compose", "--project-name", PROJECT, "--file", str(file), *arguments, check=check)


def has_roles() -> bool:
    """Whether this version has nodes and front-ends; until then one process stands for all four, on the same Redis."""
    said = run("docker", "run", "--rm", os.environ["COVEN_IMAGE"], "serve", "--role", "node", "--config", "/none", check=False)
    return "not in this version" not in said and "invalid value" not in said


def all_in_one() -> None:
    """One process instead of two nodes and two front-ends."""
    config = ROOT / "docker" / "compose" / "coven.toml"
    run(
        "docker", "run", "--detach", "--name", f"{PROJECT}_all", "--network", f"{PROJECT}_default", "--read-only",
        "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--publish", "127.0.0.1:8191:8088",
        "--env", "COVEN_STORE__URL=redis://redis:6379/0", "--env", "COVEN_UPSTREAM__0__SECRET=for trying out only",
        "--volume", f"{config}:/etc/coven/coven.toml:ro", os.environ["COVEN_IMAGE"],
    )  # fmt: skip


def until_ready(ports: list[int], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    for port in ports:
        said = ""
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=3):
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


async def story(kill: list[str]) -> None:
    alice = Occupant(await log_in("alice"), ROOM, "Alice")
    bob = Occupant(await log_in("bob"), ROOM, "Bob")
    await alice.create()
    await bob.join()
    said = []
    for n in range(3 + 5 * len(kill)):
        if n >= 3 and (n - 3) % 5 == 0:
            run(*kill[(n - 3) // 5].split())
        body = f"message {n}"
        await alice.say(body)
        await bob.hears(body, timeout=30)
        said.append(body)
    assert (await bob.self_ping()).type == "result"
    results = await read_whole_archive(bob.client, ROOM)
    kept = [r.text("mam:result/forward:forwarded/client:message/client:body") for r in results]
    assert [k for k in kept if k] == said, kept
    print(f"smoke: {len(said)} messages in order, {len(kill)} containers killed meanwhile")


def main() -> int:
    roles = has_roles()
    os.environ["XMPP_PORT"] = str(free_ports(1)[0])
    try:
        compose("build", "prosody")
        if roles:
            compose("up", "--detach", "--no-build")
            until_ready([*NODES.values(), *FRONTS.values()])
            asyncio.run(story([f"docker kill --signal KILL {PROJECT}_node-1_1"]))
        else:
            compose("up", "--detach", "--no-build", "redis", "prosody")
            all_in_one()
            until_ready([8191])
            asyncio.run(story([]))
            print("smoke: one process on Redis; nodes and front-ends are not in this version")
    except BaseException:
        print(compose("logs", "--tail=40", check=False))
        print(run("docker", "logs", f"{PROJECT}_all", check=False))
        raise
    finally:
        run("docker", "rm", "--force", f"{PROJECT}_all", check=False)
        compose("down", "--volumes", "--timeout", "20", check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
