"""The chart on a real Kubernetes: people talk while pods are deleted, drained, rolled forwards and back.

Run by scripts/test-kubernetes, which says what it needs. XMPP server and Redis run outside of the cluster, on an address
that pods reach. Prints what it measured, one line each; exit code 1 with all faults if anything was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from conversation import Conversation, now
from harness.process import Process, free_ports
from harness.prosody import Prosody, ProsodyOptions
from harness.history import Crash
from harness.server import Component

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "helm" / "coven"
NAMESPACE = "coven-test"
RELEASE = "r"
ROOM = "kubernetes@chat.localhost"
#: A pod is pulled up, or a roll-out is through, within this (s).
PATIENCE = 240


def run(*arguments: str, check: bool = True, text: str | None = None) -> str:
    """Runs a command; its output."""
    done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE + 60)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def kubectl(*arguments: str, check: bool = True, text: str | None = None) -> str:
    return run("kubectl", "--namespace", NAMESPACE, *arguments, check=check, text=text)


def helm(*arguments: str, check: bool = True) -> str:
    return run("helm", "--namespace", NAMESPACE, *arguments, check=check)


async def apart(act: Any, *arguments: Any, **more: Any) -> Any:
    """A command that takes its time, while people talk."""
    return await asyncio.to_thread(act, *arguments, **more)


class Test:
    """One release of the chart, and what is outside of the cluster."""

    def __init__(self, options: argparse.Namespace, folder: pathlib.Path) -> None:
        self.options, self.folder = options, folder
        self.faults: list[str] = []
        self.redis: Process | None = None
        self.server: Any = None
        self.values = folder / "values.yaml"

    def say(self, line: str) -> None:
        print(line, flush=True)

    async def outside(self) -> None:
        """Prosody and Redis, on the address that pods reach."""
        host = self.options.host
        component = Component("chat.localhost", secrets.token_hex(8))
        extra = f'component_interfaces = {{ "127.0.0.1", "{host}" }}'
        self.server = Prosody(self.folder / "prosody", ProsodyOptions(components=[component], extra=extra))
        await self.server.start()
        environment = {"COVEN_UPSTREAM__0__SECRET": component.secret}
        if self.options.mode == "cluster":
            environment["COVEN_STORE__URL"] = await self._redis(host)
        kubectl("create", "namespace", NAMESPACE, check=False)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "coven-secrets"}, "stringData": environment}
        kubectl("apply", "-f", "-", text=json.dumps(secret))
        if self.options.mode == "cluster":
            token = {"token": secrets.token_hex(16)}
            admin = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "coven-admin"}, "stringData": token}
            kubectl("apply", "-f", "-", text=json.dumps(admin))

    async def _redis(self, host: str) -> str:
        (port,), password = free_ports(1), secrets.token_hex(16)
        folder = self.folder / "redis"
        folder.mkdir()
        self.redis = Process(
            "redis",
            ["redis-server", "--bind", host, "127.0.0.1", "--port", str(port), "--requirepass", password, "--dir", str(folder),
             "--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", ""],
            log=self.folder / "redis.log", cwd=folder,
        )  # fmt: skip
        return f"redis://:{password}@{host}:{port}/0"

    def volume(self) -> dict[str, Any]:
        """For `single`: a folder of the machine that the nodes are on, or what the cluster gives by default."""
        if self.options.folder is None:
            return {"enabled": True, "size": "1Gi"}
        folder = pathlib.Path(self.options.folder)
        folder.mkdir(parents=True, exist_ok=True)
        # A folder of a machine is nobody's but its owner's, whatever the pod's group is.
        os.chown(folder, 65532, 65532)
        size, name = {"storage": "1Gi"}, "coven-test"
        spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": name, "resources": {"requests": size}}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
        place = {"hostPath": {"path": str(folder)}, "capacity": size, "accessModes": ["ReadWriteOnce"]}
        volume = {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {**place, "persistentVolumeReclaimPolicy": "Retain", "storageClassName": ""},
        }  # fmt: skip
        run("kubectl", "apply", "-f", "-", text=json.dumps(volume))
        kubectl("apply", "-f", "-", text=json.dumps(claim))
        return {"enabled": True, "existingClaim": name}

    def write_values(self) -> None:
        host = self.options.host
        port = self.server.component_port("chat.localhost")
        values: dict[str, Any] = {
            "mode": self.options.mode,
            "image": {"repository": self.options.image, "tag": "1", "pullPolicy": "Never"},
            "existingSecret": "coven-secrets",
            "config": {
                "domain": [{"name": "chat.localhost"}],
                "upstream": [{"address": f"{host}:{port}", "domains": ["chat.localhost"], "hosts": ["localhost"]}],
                "limits": {"enabled": False},
            },
            "single": {"persistence": self.volume()} if self.options.mode == "single" else {},
            "node": {"replicas": 3, "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
            "front": {"replicas": 2, "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
            "metrics": {"dashboard": {"enabled": True}},
            "admin": {"existingSecret": "coven-admin" if self.options.mode == "cluster" else ""},
        }
        self.values.write_text(json.dumps(values))

    def workloads(self) -> list[str]:
        return {"single": ["statefulset/r-coven"], "cluster": ["statefulset/r-coven-node", "deployment/r-coven-front"]}[
            self.options.mode
        ]

    def rolled_out(self) -> None:
        for workload in self.workloads():
            kubectl("rollout", "status", workload, f"--timeout={PATIENCE}s")

    def install(self) -> None:
        began = time.monotonic()
        helm("install", RELEASE, str(CHART), "--values", str(self.values))
        self.rolled_out()
        self.say(f"helm install: ready after {time.monotonic() - began:.1f} s")

    def upgrade(self, tag: str) -> None:
        helm("upgrade", RELEASE, str(CHART), "--values", str(self.values), "--set-string", f"image.tag={tag}")
        self.rolled_out()

    def rollback(self) -> None:
        helm("rollback", RELEASE, "1")
        self.rolled_out()

    def pods(self, component: str) -> list[Any]:
        found = kubectl("get", "pods", "--selector", f"app.kubernetes.io/component={component}", "--output", "json")
        return list(json.loads(found)["items"])

    @property
    def holder(self) -> str:
        """The component whose pods run channels."""
        return "node" if self.options.mode == "cluster" else "single"

    def delete_by_force(self, component: str) -> None:
        """Deletes the pod that has the room, or the stream."""
        victim = {"node": self.owner, "front": self.holder_of_the_stream}.get(component, lambda: self.names(component)[0])
        kubectl("delete", "pod", victim(), "--grace-period=0", "--force")
        self.rolled_out()

    def names(self, component: str) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods(component)]

    def owner(self) -> str:
        """The pod of the node that owns the room: coven's own administration is asked, in a pod."""
        ask = ["/usr/bin/coven", "admin", "--token-file", "/etc/coven/admin/token", "--json", "where", ROOM]
        answer = json.loads(kubectl("exec", self.names("node")[0], "--", *ask))
        (pod,) = [p for p in self.pods("node") if answer["address"].startswith(p["status"]["podIP"] + ":")]
        return str(pod["metadata"]["name"])

    def holder_of_the_stream(self) -> str:
        """The pod of the front-end that is attached to the server, by its metrics."""
        for pod in self.names("front"):
            page = run("kubectl", "get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8088/proxy/metrics")
            if any(line.startswith("coven_connection_up{") and line.endswith(" 1") for line in page.splitlines()):
                return pod
        raise AssertionError("no front-end is attached")

    def drain(self) -> None:
        """Empties the Kubernetes node that has most of such pods; the PDBs let one go at a time."""
        places = collections.Counter(pod["spec"]["nodeName"] for pod in self.pods(self.holder))
        kubernetes_node = places.most_common(1)[0][0]
        over, fewest = threading.Event(), dict[str, int]()
        watch = threading.Thread(target=self.watch_budgets, args=(over, fewest))
        watch.start()
        try:
            said = run("kubectl", "drain", kubernetes_node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={PATIENCE}s")
            self.rolled_out()
        finally:
            over.set()
            watch.join()
            run("kubectl", "uncordon", kubernetes_node)
        held = said.count("violate the pod's disruption budget")
        left = ", ".join(f"{name}: {healthy}" for name, healthy in sorted(fewest.items()))
        self.say(f"budgets: {held} evictions put off; fewest healthy pods above what is wanted: {left or 'no budgets'}")
        self.faults += [f"the budget {name} did not hold" for name, healthy in fewest.items() if healthy < 0]

    def watch_budgets(self, over: threading.Event, fewest: dict[str, int]) -> None:
        """For each PodDisruptionBudget: by how many the healthy pods were more than wanted, at the least."""
        while not over.wait(0.5):
            for budget in json.loads(kubectl("get", "pdb", "--output", "json"))["items"]:
                name, status = budget["metadata"]["name"], budget["status"]
                above = status["currentHealthy"] - status["desiredHealthy"]
                fewest[name] = min(above, fewest.get(name, above))

    async def fault(self, talk: Conversation, name: str, act: Any, *arguments: Any, excuses: bool) -> None:
        """Something happens while people talk; how long nobody heard anything."""
        begin, streams = now(), self.streams()
        await apart(act, *arguments)
        await talk.goes_on()
        end = now()
        talk.moves.append((begin, end, self.streams() - streams))
        if excuses:
            talk.crashes.append(Crash(begin, (), end, alive=begin, up=end))
        self.say(f"{name}: longest pause {talk.pause(begin, end)} ms, all over after {(end - begin) / 1000:.1f} s")

    def streams(self) -> int:
        """How many streams the server has accepted so far."""
        log = (self.folder / "prosody" / "prosody.log").read_text(errors="replace")
        return log.count("External component successfully authenticated")

    async def story(self) -> None:
        self.install()
        talk = Conversation(self.server, ROOM)
        await talk.begin()
        await talk.goes_on()
        # Where a front-end goes, what was in its stream's buffers is excused; a node alone has no excuse.
        alone = self.options.mode == "single"
        await self.fault(talk, f"a {self.holder} pod deleted by force", self.delete_by_force, self.holder, excuses=alone)
        if not alone:
            await self.fault(talk, "the front-end with the stream deleted by force", self.delete_by_force, "front", excuses=True)
        await self.fault(talk, "kubectl drain", self.drain, excuses=True)
        await self.fault(talk, "helm upgrade to a second image", self.upgrade, "2", excuses=True)
        await self.fault(talk, "helm rollback", self.rollback, excuses=True)
        faults, counted, messages = await talk.end()
        self.faults += faults
        unknown = sum(len(person.unknown) for person in talk.people)
        self.say(f"conversation: {messages} messages; {unknown} answered that they may have happened; {counted}")

    def wrong_values(self) -> None:
        """Refused by the schema, or stopped with the line that coven prints."""
        for wrong, reason in (
            ("replicaCount=3", "additional properties 'replicaCount' not allowed"),
            ("config.store.url=reddis://x", "/config/store/url"),
            ("front.autoscaling.enabled=true", "a single connection" if self.options.mode == "cluster" else ""),
        ):
            said = helm("upgrade", RELEASE, str(CHART), "--values", str(self.values), "--set", wrong, check=False)
            if reason and reason not in said:
                self.faults.append(f"{wrong} was not refused: {said}")
        kubectl("create", "secret", "generic", "coven-empty", check=False)
        helm("install", "w", str(CHART), "--values", str(self.values), "--set", "existingSecret=coven-empty",
             "--set", "single.persistence.enabled=false")  # fmt: skip
        line, deadline = "", time.monotonic() + 60
        while "secret" not in line and time.monotonic() < deadline:
            time.sleep(1)
            line = kubectl("logs", "--selector", "app.kubernetes.io/instance=w", "--tail=5", check=False)
        if "secret" not in line or "coven:" not in line:
            self.faults.append(f"a missing secret is not said: {line}")
        else:
            self.say(f"missing secret: {line.splitlines()[0]}")
        helm("uninstall", "w", check=False)

    def keep_logs(self) -> None:
        """Whole logs of all pods, also of the container before the present one."""
        folder = self.folder / "pods"
        folder.mkdir(exist_ok=True)
        for pod in json.loads(kubectl("get", "pods", "--output", "json"))["items"]:
            name = pod["metadata"]["name"]
            (folder / f"{name}.log").write_text(kubectl("logs", name, check=False))
            if any(status["restartCount"] for status in pod["status"].get("containerStatuses", [])):
                (folder / f"{name}.before.log").write_text(kubectl("logs", name, "--previous", check=False))

    async def end(self) -> None:
        if self.faults or sys.exc_info()[0]:
            self.say(kubectl("get", "pods", "--output", "wide", check=False))
            self.say(kubectl("get", "events", "--sort-by=.lastTimestamp", check=False)[-4000:])
            self.keep_logs()
        helm("uninstall", RELEASE, "--wait", check=False)
        run("kubectl", "delete", "namespace", NAMESPACE, "--timeout=60s", check=False)
        if self.options.folder:
            run("kubectl", "delete", "persistentvolume", "coven-test", "--timeout=60s", check=False)
        if self.server:
            await self.server.stop()
        if self.redis:
            await self.redis.terminate()


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["single", "cluster"], default="cluster")
    parser.add_argument("--host", required=True)
    parser.add_argument("--folder")
    parser.add_argument("--image", default="coven-test")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="coven-kubernetes-test."))
    test = Test(options, folder)
    try:
        await test.outside()
        test.write_values()
        await test.story()
        await apart(test.wrong_values)
    finally:
        await test.end()
    for fault in test.faults:
        print(f"FAULT: {fault}", flush=True)
    if test.faults:
        print(f"logs: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(asyncio.run(main()))
