"""The chart with the real helm: strict lint, rendering for every kind of store, what must be refused, and the rendered
configuration read by the real coven. Needs HELM and COVEN_BIN; run by `scripts/test --only chart`.

Python's own unittest and Debian's python3-yaml: nothing to install besides.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "helm" / "coven"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
REFUSED = sorted((CHART / "ci" / "refused").glob("*.yaml"))
HELM = os.environ.get("HELM", "helm")
COVEN = os.environ.get("COVEN_BIN", "coven")

#: What this version of coven refuses as `not in this version`, by values file; empty as soon as it has the cluster.
LATER = {
    "redis": "not in this version",
    "sentinel": "not in this version",
    "cluster": "not in this version",
}

#: What the Secret of the examples holds.
SECRETS = {
    "sqlite": {},
    "redis": {},
    "sentinel": {"COVEN_STORE__URL": "redis+sentinel://:s3cret@sentinel-0:26379,sentinel-1:26379/main"},
    "cluster": {},
}

Object = dict[str, Any]


#: helm without a cluster has to be told what it would find; the oldest that the chart is for.
KUBERNETES = "v1.30.0"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments, "--kube-version", KUBERNETES], capture_output=True, text=True, check=False, timeout=300)


def render(values: pathlib.Path, *arguments: str) -> list[Object]:
    done = helm("template", "r", str(CHART), "--namespace", "chat", "--values", str(values), *arguments)
    if done.returncode != 0:
        raise AssertionError(f"{values.name}: {done.stderr}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def named(objects: list[Object], kind: str, name: str) -> Object:
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)} of {[(o['kind'], o['metadata']['name']) for o in objects]}"
    return found[0]


def workloads(objects: list[Object]) -> list[Object]:
    return [o for o in objects if o["kind"] in ("StatefulSet", "Deployment")]


def story(values: pathlib.Path) -> str:
    return values.name.removesuffix("-values.yaml")


class Accepted(unittest.TestCase):
    def each(self) -> Any:
        for values in VALUES:
            with self.subTest(story(values)):
                yield values

    def test_there_are_values_for_every_kind_of_store(self) -> None:
        self.assertEqual({story(values) for values in VALUES}, {"sqlite", "redis", "sentinel", "cluster"})

    def test_lint_is_strict_and_content(self) -> None:
        for values in self.each():
            done = helm("lint", "--strict", str(CHART), "--values", str(values))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_no_two_objects_have_one_name(self) -> None:
        for values in self.each():
            names = [(o["kind"], o["metadata"]["name"]) for o in render(values)]
            self.assertEqual(len(names), len(set(names)), names)

    def test_names_are_those_that_operators_rely_on(self) -> None:
        objects = render(CHART / "ci" / "redis-values.yaml")
        named(objects, "StatefulSet", "r-coven-node")
        named(objects, "Deployment", "r-coven-front")
        named(render(CHART / "ci" / "sqlite-values.yaml"), "StatefulSet", "r-coven")

    def test_selectors_find_their_own_pods_only(self) -> None:
        for values in self.each():
            objects = render(values)
            pods = {w["metadata"]["name"]: w["spec"]["template"]["metadata"]["labels"] for w in workloads(objects)}
            for workload in workloads(objects):
                wanted = workload["spec"]["selector"]["matchLabels"].items()
                found = [name for name, labels in pods.items() if wanted <= labels.items()]
                self.assertEqual(found, [workload["metadata"]["name"]])
            for o in objects:
                if o["kind"] in ("PodDisruptionBudget", "NetworkPolicy"):
                    key = "selector" if o["kind"] == "PodDisruptionBudget" else "podSelector"
                    wanted = o["spec"][key]["matchLabels"].items()
                    self.assertEqual(sum(wanted <= labels.items() for labels in pods.values()), 1, o["metadata"]["name"])

    def test_pods_fit_the_restricted_standard(self) -> None:
        for values in self.each():
            for workload in workloads(render(values)):
                spec = workload["spec"]["template"]["spec"]
                (container,) = spec["containers"]
                self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                self.assertEqual(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
                self.assertFalse(spec["automountServiceAccountToken"])
                own = container["securityContext"]
                self.assertTrue(own["readOnlyRootFilesystem"])
                self.assertFalse(own["allowPrivilegeEscalation"])
                self.assertEqual(own["capabilities"]["drop"], ["ALL"])

    def test_probes_mean_what_they_should(self) -> None:
        for values in self.each():
            for workload in workloads(render(values)):
                (container,) = workload["spec"]["template"]["spec"]["containers"]
                # Liveness never asks for what is outside: an outage there would restart everything.
                self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/livez")
                self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/readyz")
                startup = container["startupProbe"]
                self.assertEqual(startup["httpGet"]["path"], "/livez")
                self.assertGreaterEqual(startup["periodSeconds"] * startup["failureThreshold"], 300)

    def test_the_grace_period_has_room_for_the_hook_and_the_drain(self) -> None:
        source = (ROOT / "crates/coven/src/run.rs").read_text()
        (drain,) = re.findall(r"MAX_DRAIN: Duration = Duration::from_secs\((\d+)\)", source)
        for values in self.each():
            for workload in workloads(render(values)):
                spec = workload["spec"]["template"]["spec"]
                hook = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
                self.assertGreater(spec["terminationGracePeriodSeconds"], hook + int(drain))

    def test_only_one_process_has_a_volume(self) -> None:
        for values in self.each():
            for workload in workloads(render(values)):
                claims = workload["spec"].get("volumeClaimTemplates", [])
                self.assertEqual(len(claims), 1 if story(values) == "sqlite" else 0)

    def test_autoscaling_leaves_the_number_to_the_autoscaler(self) -> None:
        objects = render(CHART / "ci" / "cluster-values.yaml")
        front = named(objects, "Deployment", "r-coven-front")
        self.assertNotIn("replicas", front["spec"])
        scaler = named(objects, "HorizontalPodAutoscaler", "r-coven-front")["spec"]
        self.assertEqual((scaler["minReplicas"], scaler["maxReplicas"]), (2, 6))
        self.assertEqual(scaler["scaleTargetRef"]["name"], "r-coven-front")
        self.assertEqual(scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 30)

    def test_each_role_has_a_certificate_of_its_own(self) -> None:
        objects = render(CHART / "ci" / "redis-values.yaml")
        for role in ("node", "front"):
            secret = named(objects, "Secret", f"r-coven-{role}-tls")
            with tempfile.NamedTemporaryFile() as file, tempfile.NamedTemporaryFile() as ca:
                file.write(base64.b64decode(secret["data"]["tls.crt"]))
                ca.write(base64.b64decode(secret["data"]["ca.crt"]))
                file.flush(), ca.flush()
                shown = subprocess.run(
                    ["openssl", "x509", "-noout", "-ext", "subjectAltName,extendedKeyUsage", "-in", file.name],
                    capture_output=True, text=True, check=True,
                ).stdout  # fmt: skip
                subprocess.run(["openssl", "verify", "-CAfile", ca.name, file.name], capture_output=True, check=True)
            self.assertRegex(shown, rf"DNS:{role}\.coven\s")
            self.assertIn("TLS Web Client Authentication", shown)
            self.assertIn("TLS Web Server Authentication", shown)

    def test_a_digest_goes_before_a_tag(self) -> None:
        for workload in workloads(render(CHART / "ci" / "cluster-values.yaml")):
            image = workload["spec"]["template"]["spec"]["containers"][0]["image"]
            self.assertRegex(image, r"^registry\.example\.org/chat/coven@sha256:[0-9a-f]{64}$")

    def test_a_change_of_the_configuration_rolls_the_pods(self) -> None:
        def sums(*arguments: str) -> list[str]:
            objects = workloads(render(CHART / "ci" / "redis-values.yaml", *arguments))
            return [w["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for w in objects]

        before, after = sums(), sums("--set", "config.log.format=json")
        self.assertEqual(sums(), before)
        self.assertFalse(set(before) & set(after))


class Configuration(unittest.TestCase):
    def test_coven_reads_what_the_chart_renders(self) -> None:
        for values in VALUES:
            for o in render(values):
                if o["kind"] == "ConfigMap" and "coven.toml" in o["data"]:
                    with self.subTest(o["metadata"]["name"], values=story(values)):
                        self.check(story(values), o)

    def check(self, story: str, config: Object) -> None:
        toml = config["data"]["coven.toml"]
        secrets = {f"COVEN_UPSTREAM__{i}__SECRET": "s" for i in range(toml.count("[[upstream]]"))}
        environment = os.environ | secrets | SECRETS[story]
        if config["metadata"]["name"].endswith("-node"):
            environment["COVEN_CLUSTER__ADVERTISE"] = "10.0.0.7:7400"
        with tempfile.TemporaryDirectory() as folder:
            for name in ("ca.crt", "tls.crt", "tls.key"):
                toml = toml.replace(f"/etc/coven/tls/{name}", str(ROOT / "LICENSE"))
            file = pathlib.Path(folder, "coven.toml")
            file.write_text(toml)
            done = subprocess.run(
                [COVEN, "check-config", "--config", str(file)],
                capture_output=True, text=True, env=environment, check=False, timeout=120,
            )  # fmt: skip
        said = done.stdout + done.stderr
        if story in LATER:
            # Goes red when the version has it, so that this exception goes.
            self.assertEqual(done.returncode, 2, said)
            self.assertIn(LATER[story], said)
        else:
            self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), said + toml)

    def test_schema_and_configuration_know_the_same_keys(self) -> None:
        """Every key of the reference is in the schema, but for those that are the chart's own or secret."""
        schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]
        schema = {name: part.get("items", part)["properties"] for name, part in schema.items()}
        own = {"http": set(), "cluster": set(), "upstream": {"secret"}}
        section = None
        for line in (ROOT / "docs/configuration.md").read_text().splitlines():
            if heading := re.match(r"## `\[+(\w+)\]+`", line):
                section = heading[1]
            elif line.startswith("## "):
                section = None
            elif section in schema and "ot in this version" not in line and (row := re.match(r"\| ((`[a-z-]+`(, )?)+) \|", line)):
                for key in re.findall(r"`([a-z-]+)`", row[1]):
                    if key not in own.get(section, set()) | set(schema[section].get("defaults", {}).get("properties", {})):
                        self.assertIn(key, schema[section], f"[{section}]")


class Refused(unittest.TestCase):
    def test_wrong_values_are_refused_and_the_reason_is_said(self) -> None:
        self.assertGreater(len(REFUSED), 10)
        for values in REFUSED:
            with self.subTest(values.stem):
                how, reason = values.read_text().splitlines()[0].removeprefix("# ").split(": ", 1)
                # What a template refuses, helm lint does not see.
                acts = [["template", "r", str(CHART)]]
                if how == "refused":
                    acts.append(["lint", "--strict", str(CHART)])
                for act in acts:
                    done = helm(*act, "--values", str(values))
                    self.assertNotEqual(done.returncode, 0, act[0])
                    self.assertIn(reason, done.stdout + done.stderr, act[0])


class Dashboard(unittest.TestCase):
    def test_every_panel_asks_for_metrics_that_there_are(self) -> None:
        documented = set(re.findall(r"^\| `(coven_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
        dashboard = json.loads((CHART / "dashboards/coven.json").read_text())
        expressions = [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])]
        self.assertGreater(len(expressions), 10)
        for expression in expressions:
            for metric in re.findall(r"coven_\w+", expression):
                base = re.sub(r"_(bucket|sum|count)$", "", metric)
                self.assertTrue({metric, base} & documented, metric)

    def test_the_dashboard_comes_in_a_config_map(self) -> None:
        objects = render(CHART / "ci" / "cluster-values.yaml")
        board = named(objects, "ConfigMap", "r-coven-dashboard")
        self.assertEqual(json.loads(board["data"]["coven.json"])["uid"], "coven")
        self.assertEqual(board["metadata"]["labels"]["grafana_dashboard"], "1")


if __name__ == "__main__":
    unittest.main()
