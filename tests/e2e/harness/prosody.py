"""Prosody, as Debian 12 has it (0.12)."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from .client import Account
from .process import Process, free_ports, listens
from .server import ServerOptions, XmppServer
from .stanza import Stanza

_ROOT = pathlib.Path(__file__).resolve().parents[3]


@dataclasses.dataclass
class ProsodyOptions(ServerOptions):
    """What only Prosody has."""

    #: `kick_old` or `kick_new`: who wins when a second stream claims a component's domain. None: Prosody's default.
    component_conflict_resolve: str | None = "kick_old"
    #: (certificate, key): clients may then use STARTTLS. Without them there is no encryption.
    certificate: tuple[pathlib.Path, pathlib.Path] | None = None
    c2s_port: int | None = None
    component_port: int | None = None
    #: Further lines of the configuration's global part.
    extra: str = ""


class Prosody(XmppServer):
    """One Prosody process. Accounts are files, so they can be made before and while it runs."""

    name = "prosody"
    program = "prosody"
    options: ProsodyOptions

    def __init__(self, folder: pathlib.Path, options: ProsodyOptions | None = None) -> None:
        super().__init__(folder, options or ProsodyOptions())
        folder.mkdir(parents=True, exist_ok=True)
        free = free_ports(2)
        self._c2s = self.options.c2s_port or free[0]
        self._components = self.options.component_port or free[1]

    @property
    def c2s_port(self) -> int:
        return self._c2s

    def component_port(self, domain: str) -> int:
        return self._components

    async def start(self) -> None:
        config = self.folder / "prosody.cfg.lua"
        config.write_text(self._config())
        (self.folder / "data").mkdir(exist_ok=True)
        self.process = Process(
            "prosody", ["prosody", "-F", "--config", config], log=self.folder / "prosody.log", cwd=self.folder
        )
        await self.process.wait_until(lambda: listens(self._c2s) and listens(self._components), 60.0)

    @staticmethod
    def says_nobody_is_attached(stanza: Stanza) -> bool:
        """Whether an error is Prosody's own: it bounces what is for a component that is not connected."""
        text = stanza.text("client:error/stanzas:text")
        return stanza.error == ("remote-server-timeout", "wait") and text == "Component unavailable"

    async def _register(self, account: Account) -> None:
        file = self.folder / "data" / _escape(account.host) / "accounts" / f"{_escape(account.user)}.dat"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'return {{ ["password"] = {_lua(account.password)}; }};\n')

    def _config(self) -> str:
        modules = ["roster", "saslauth", "disco", "ping", "carbons", "pep", "posix"]
        modules += ["tls"] if self.options.certificate else []
        modules += ["mix_pam"] if self.options.mix_pam else []
        lines = [
            "-- Written by the test harness.",
            f"run_as_root = {_lua(os.geteuid() == 0)}",
            f"pidfile = {_lua(str(self.folder / 'prosody.pid'))}",
            f"data_path = {_lua(str(self.folder / 'data'))}",
            f"plugin_paths = {{ {_lua(str(_ROOT / 'contrib' / 'prosody'))} }}",
            'log = { { levels = { min = "info" }, to = "console" } }',
            'storage = "internal"',
            'authentication = "internal_plain"',
            'interfaces = { "127.0.0.1" }',
            f"c2s_ports = {{ {self._c2s} }}",
            f"component_ports = {{ {self._components} }}",
            "c2s_require_encryption = false",
            "allow_unencrypted_plain_auth = true",
            f"modules_enabled = {{ {', '.join(map(_lua, modules))} }}",
            'modules_disabled = { "s2s", "s2s_auth_certs", "offline" }',
            *self._conflict_line(),
            self.options.extra,
            f"VirtualHost {_lua(self.options.host)}",
            *self._tls_lines(),
        ]
        for component in self.options.components:
            lines += [f"Component {_lua(component.domain)}", f"component_secret = {_lua(component.secret)}"]
        return "\n".join(lines) + "\n"

    def _conflict_line(self) -> list[str]:
        resolve = self.options.component_conflict_resolve
        return [f"component_conflict_resolve = {_lua(resolve)}"] if resolve else []

    def _tls_lines(self) -> list[str]:
        if self.options.certificate is None:
            return []
        certificate, key = self.options.certificate
        return [f"ssl = {{ certificate = {_lua(str(certificate))}; key = {_lua(str(key))} }}"]


def _lua(value: str | bool) -> str:
    """A Lua literal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _escape(name: str) -> str:
    """How Prosody's file store writes a name: every byte but letters and digits as %xx."""
    return "".join(c if c.isascii() and c.isalnum() else "".join(f"%{b:02x}" for b in c.encode()) for c in name)
