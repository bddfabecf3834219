"""What stories may ask of an XMPP server, whichever it is. `prosody.py` and `ejabberd.py` implement it."""

from __future__ import annotations

import abc
import dataclasses
import itertools
import pathlib
import shutil

from .client import Account, Client
from .process import Process

PASSWORD = "correct horse"
SECRET = "a shared secret"


@dataclasses.dataclass(frozen=True)
class Component:
    """A component that the server lets in: the domain, and whatever only this server needs."""

    domain: str
    secret: str = SECRET


@dataclasses.dataclass
class ServerOptions:
    """How the server is set up. Defaults: users on `localhost`, one component `chat.localhost`."""

    host: str = "localhost"
    components: tuple[Component, ...] = tuple(Component(f"{name}.localhost") for name in ("chat", "mix", "echo"))
    #: The server side of MIX (XEP-0405): Prosody loads `contrib/prosody/mod_mix_pam.lua`, ejabberd its own module.
    mix_pam: bool = False


class XmppServer(abc.ABC):
    """A real server on loopback, with its own folder, configuration and ports."""

    #: `prosody` or `ejabberd`; also the name of the program that must be there.
    name: str
    program: str

    def __init__(self, folder: pathlib.Path, options: ServerOptions) -> None:
        self.folder = folder
        self.options = options
        self.process: Process | None = None
        self._accounts: dict[str, Account] = {}
        self._numbers = itertools.count(1)

    @classmethod
    def missing(cls) -> str | None:
        """Why this server cannot be started here, or None."""
        found = shutil.which(cls.program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        return None if found else f"{cls.program} is not installed (scripts/test installs it)"

    @property
    @abc.abstractmethod
    def c2s_port(self) -> int:
        """Where clients connect."""

    @abc.abstractmethod
    def component_port(self, domain: str) -> int:
        """Where the component of this domain connects."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Starts it, again after `stop` or `kill` with the same ports, accounts and data."""

    @abc.abstractmethod
    async def _register(self, account: Account) -> None:
        """Makes the account exist."""

    async def stop(self) -> None:
        """SIGTERM, and wait for the end. Harmless when it does not run."""
        if self.process is not None:
            await self.process.terminate()
            self.process = None

    async def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            await self.process.kill()
            self.process = None

    def secret(self, domain: str) -> str:
        """The component secret of a domain."""
        return next(c.secret for c in self.options.components if c.domain == domain)

    def fresh_name(self, stem: str) -> str:
        """A user or room name that this server has not seen yet."""
        return f"{stem}{next(self._numbers)}"

    async def account(self, user: str, password: str = PASSWORD) -> Account:
        """The account of this name, made when it does not exist."""
        if user not in self._accounts:
            account = Account(user, self.options.host, password, self.c2s_port)
            await self._register(account)
            self._accounts[user] = account
        return self._accounts[user]

    async def login(self, user: str, resource: str = "one") -> Client:
        """A connected client of this user, without presence."""
        return await Client.connect(await self.account(user), resource)
