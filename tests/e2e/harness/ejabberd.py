"""ejabberd, as Debian 12 has it (23.01), without Erlang distribution: no node name, no cookie, no epmd."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pathlib
import subprocess
import urllib.request
from typing import Any

from .client import Account
from .process import Process, free_ports, listens
from .server import ServerOptions, XmppServer


@dataclasses.dataclass
class EjabberdOptions(ServerOptions):
    """What only ejabberd has."""

    #: `per-domain`: a listener for each domain. `shared`: one listener with `global_routes: false`.
    #: `shared-global-routes`: ejabberd's default, which spreads two domains of a listener over both streams (wrong).
    listeners: str = "per-domain"
    #: `domain_balancing` for each domain, as (type, component_number).
    balancing: tuple[str, int] | None = None


class Ejabberd(XmppServer):
    """One ejabberd process. Accounts are made through its HTTP API on loopback."""

    name = "ejabberd"
    program = "ejabberdctl"
    options: EjabberdOptions

    def __init__(self, folder: pathlib.Path, options: EjabberdOptions | None = None) -> None:
        super().__init__(folder, options or EjabberdOptions())
        folder.mkdir(parents=True, exist_ok=True)
        self._c2s, self._http, *ports = free_ports(2 + len(self.options.components))
        domains = [c.domain for c in self.options.components]
        shared = self.options.listeners != "per-domain"
        self._components = {d: ports[0] if shared else p for d, p in zip(domains, ports, strict=True)}

    @property
    def c2s_port(self) -> int:
        return self._c2s

    def component_port(self, domain: str) -> int:
        return self._components[domain]

    async def start(self) -> None:
        config = self.folder / "ejabberd.yml"
        # YAML is a superset of JSON.
        config.write_text(json.dumps(self._config(), indent=1))
        env = {
            "HOME": str(self.folder),
            "ERL_LIBS": _library_folder(),
            "ERL_CRASH_DUMP_BYTES": "0",
            "EJABBERD_CONFIG_PATH": str(config),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
        }
        # Idle schedulers sleep at once: the machine is shared with what is tested.
        quiet = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]
        mnesia = ["-mnesia", "dir", f'"{self.folder}/db"']
        self.process = Process(
            "ejabberd",
            ["erl", "+K", "true", *quiet, *mnesia, "-noinput", "-s", "ejabberd"],
            log=self.folder / "erl.log",
            cwd=self.folder,
            env=env,
        )
        ports = [self._c2s, self._http, *self._components.values()]
        await self.process.wait_until(lambda: all(map(listens, ports)), 120.0)

    async def _register(self, account: Account) -> None:
        await self.api("register", user=account.user, host=account.host, password=account.password)

    async def api(self, command: str, **arguments: Any) -> Any:
        """Runs a command of ejabberd's HTTP API, such as `kick_session`; returns its answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._http}/api/{command}", data=json.dumps(arguments).encode(), method="POST"
        )
        request.add_header("Content-Type", "application/json")

        def call() -> Any:
            with urllib.request.urlopen(request, timeout=60.0) as answer:
                return json.load(answer)

        return await asyncio.to_thread(call)

    def _config(self) -> dict[str, Any]:
        c2s = {"port": self._c2s, "ip": "127.0.0.1", "module": "ejabberd_c2s", "access": "all", "shaper": "none"}
        http = {
            "port": self._http,
            "ip": "127.0.0.1",
            "module": "ejabberd_http",
            "request_handlers": {"/api": "mod_http_api"},
        }
        modules: dict[str, Any] = {"mod_disco": {}, "mod_roster": {}, "mod_ping": {}, "mod_carboncopy": {}}
        if self.options.mix_pam:
            modules |= {"mod_mix_pam": {}, "mod_caps": {}, "mod_pubsub": {"plugins": ["pep"]}}
        return {
            "loglevel": "warning",
            "log_rotate_count": 0,
            "hosts": [self.options.host],
            "listen": [c2s, http, *self._component_listeners()],
            "auth_method": "internal",
            "api_permissions": {"tests": {"who": {"ip": "127.0.0.1/8"}, "what": "*"}},
            "registration_timeout": "infinity",
            **self._balancing(),
            "modules": modules,
        }

    def _component_listeners(self) -> list[dict[str, Any]]:
        by_port: dict[int, dict[str, Any]] = {}
        for c in self.options.components:
            by_port.setdefault(self._components[c.domain], {})[c.domain] = {"password": c.secret}
        return [
            {
                "port": port,
                "ip": "127.0.0.1",
                "module": "ejabberd_service",
                "access": "all",
                "shaper": "none",
                "global_routes": self.options.listeners == "shared-global-routes",
                "hosts": hosts,
            }
            for port, hosts in by_port.items()
        ]

    def _balancing(self) -> dict[str, Any]:
        if self.options.balancing is None:
            return {}
        kind, number = self.options.balancing
        entry = {"type": kind, "component_number": number}
        return {"domain_balancing": {c.domain: entry for c in self.options.components}}


def _library_folder() -> str:
    """Where Debian keeps ejabberd's Erlang code."""
    files = subprocess.run(["dpkg", "-L", "ejabberd"], capture_output=True, text=True, check=True).stdout
    app = next(line for line in files.splitlines() if line.endswith("/ebin/ejabberd.app"))
    return str(pathlib.Path(app).parents[2])
