"""The server that the tests of mod_mix_pam run on, and everybody who is connected to it.

Owns how Prosody is set up here. Does not own starting and stopping it: `harness.prosody`. Fixtures: conftest.py.
"""

from __future__ import annotations

import asyncio
import dataclasses

from harness.client import DEADLINE
from harness.prosody import Prosody, ProsodyOptions
from harness.server import Component as ComponentOptions
from harness.stanza import MIX
from pam_people import MixService, Person

HOST = "shakespeare.example"
DOMAINS = ("mix.example", "evil.example")
MODULES = ("blocklist", "mam", "offline", "smacks", "admin_shell", "mix_pam")
#: Longer than a busy machine takes to answer: only the tests of time-outs, on servers of their own, have it shorter.
TIMEOUT = 60
MAX_CHANNELS = 30


def options(extra: str = "", timeout: int = TIMEOUT, max_channels: int = MAX_CHANNELS) -> ProsodyOptions:
    """Prosody with the module, and with the modules that it must get on with. An option may be set only once."""
    names = ", ".join(f'"{m}"' for m in MODULES)
    lines = [
        f"mix_pam_request_timeout = {timeout}",
        f"mix_pam_max_channels = {max_channels}",
        extra,
        f'VirtualHost "{HOST}"',
        f"modules_enabled = {{ {names} }}",
    ]
    return ProsodyOptions(host=HOST, components=tuple(ComponentOptions(d) for d in DOMAINS), extra="\n".join(lines))


@dataclasses.dataclass
class World:
    """One Prosody, and everybody who is connected to it."""

    server: Prosody
    open: list[Person | MixService]

    async def person(self, user: str, resource: str = "one", *, mix: bool = True, answers: bool = True) -> Person:
        """A client without presence. User names are used once per run: `fresh`."""
        features = ("urn:xmpp:ping", MIX) if mix else ("urn:xmpp:ping",)
        person = await Person.come(await self.server.account(user), resource, features, answers=answers)
        self.open.append(person)
        return person

    async def online(self, user: str, resource: str = "one", *, mix: bool = True) -> Person:
        """A client that has read its roster and is available."""
        person = await self.person(user, resource, mix=mix)
        await person.roster()
        await person.appear()
        return person

    def fresh(self, stem: str = "hecate") -> str:
        """A user name that this server has not seen."""
        return self.server.fresh_name(stem)

    async def service(self, domain: str = DOMAINS[0]) -> MixService:
        """The MIX service of this domain; an older connection of it is replaced."""
        service = await MixService.connect(self.server.component_port(domain), domain, self.server.secret(domain))
        assert isinstance(service, MixService)
        self.open.append(service)
        return service

    async def shell(self, command: str) -> str:
        """Runs a command of Prosody's admin shell, such as `module:reload("mix_pam", "host")`."""
        config = self.server.folder / "prosody.cfg.lua"
        process = await asyncio.create_subprocess_exec(
            "prosodyctl", "--config", config, "shell", command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(DEADLINE):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    def log(self) -> str:
        """What Prosody has logged."""
        return (self.server.folder / "prosody.log").read_text(errors="replace")

    async def end(self) -> None:
        for stream in reversed(self.open):
            await stream.close()
        self.open.clear()
