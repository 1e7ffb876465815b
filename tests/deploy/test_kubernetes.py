"""Manifests for Kubernetes: they build, fit its schemas, and hold what a restricted namespace asks for."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_app.__main__ import main
from tests.deploy.shipped import KUBERNETES, check, documents, module, tool
from tests.packages import small_package

BUILT = ["overlays/small", "overlays/production", "promotion", "monitor", "retraining"]
LISTED = ("resources", "components")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Manifests of each kustomization, as a file."""
    kubectl = tool("kubectl")
    folder = tmp_path_factory.mktemp("built")
    files = {}
    for name in BUILT:
        files[name] = folder / f"{Path(name).name}.yaml"
        files[name].write_text(check(kubectl, "kustomize", KUBERNETES / name))
    return files


def pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Specifications of all pods of some manifests."""
    found = [manifest["spec"]["template"] for manifest in manifests if manifest["kind"] == "Deployment"]
    jobs = [manifest["spec"]["jobTemplate"] for manifest in manifests if manifest["kind"] == "CronJob"]
    found += [job["spec"]["template"] for job in jobs]
    return [template["spec"] for template in found]


def test_manifests_fit_the_schemas_of_kubernetes(built) -> None:
    check(*module("kubernetes_validate", "kubernetes-validate"), "--strict", "--quiet", *built.values())


@pytest.mark.parametrize("name", BUILT)
def test_pods_fit_a_restricted_namespace_and_write_only_to_volumes(built, name) -> None:
    manifests = documents(built[name].read_text())
    assert pods(manifests)
    for pod in pods(manifests):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert not container["image"].endswith((":latest", "lightning-app"))
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            places = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
            assert places == {"/data", "/cache", "/tmp"}
            for variable in container.get("env", ()):
                assert "value" not in variable or "password" not in variable["name"].lower()


def test_patches_arrive(built) -> None:
    small = {manifest["kind"]: manifest for manifest in documents(built["overlays/small"].read_text())}
    assert small["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    data = next(each for each in small["Deployment"]["spec"]["template"]["spec"]["volumes"] if each["name"] == "data")
    claim = small["PersistentVolumeClaim"]["metadata"]["name"]
    assert data == {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    assert "sqlite:////data" in small["ConfigMap"]["data"]["serve.yaml"]
    production = {manifest["kind"]: manifest for manifest in documents(built["overlays/production"].read_text())}
    deployment = production["Deployment"]["spec"]
    assert "replicas" not in deployment, "the autoscaler and the manifest would set it in turn"
    assert len(deployment["template"]["spec"]["topologySpreadConstraints"]) == 2
    assert production["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "lightning-app"
    config = next(each for each in deployment["template"]["spec"]["volumes"] if each["name"] == "config")
    assert config["configMap"]["name"] == production["ConfigMap"]["metadata"]["name"] != "lightning-app"


def test_selectors_find_the_pods_of_the_server(built) -> None:
    manifests = {manifest["kind"]: manifest for manifest in documents(built["overlays/production"].read_text())}
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    spec = {kind: manifest.get("spec", {}) for kind, manifest in manifests.items()}
    selectors = [
        spec["Service"]["selector"],
        spec["Deployment"]["selector"]["matchLabels"],
        spec["PodDisruptionBudget"]["selector"]["matchLabels"],
        spec["NetworkPolicy"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels for selector in selectors)
    for name in ("promotion", "retraining"):
        (job,) = [each for each in documents(built[name].read_text()) if each["kind"] == "CronJob"]
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        labels = job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"].items()
        assert not selectors[0].items() <= labels, "a job would get requests"
    monitor = {manifest["kind"]: manifest for manifest in documents(built["monitor"].read_text())}
    labels = monitor["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert monitor["Service"]["spec"]["selector"].items() <= labels
    assert not selectors[0].items() <= labels, "the monitor would get requests"


def test_kustomizations_list_files_that_exist_and_leave_none_out() -> None:
    """Also where kubectl is missing: every manifest belongs to a kustomization, but for KServe's and the adapter's."""
    listed = set()
    for file in KUBERNETES.rglob("kustomization.yaml"):
        content = yaml.safe_load(file.read_text())
        names = [name for key in LISTED for name in content.get(key, ())]
        names += [patch["path"] for patch in content.get("patches", ())]
        names += [name for made in content.get("configMapGenerator", ()) for name in made["files"]]
        for name in names:
            assert (file.parent / name).exists(), f"{file}: {name}"
            listed.add((file.parent / name).resolve())
        for patch in content.get("patches", ()):
            changed = yaml.safe_load((file.parent / patch["path"]).read_text())
            base = yaml.safe_load((KUBERNETES / "base/deployment.yaml").read_text())
            assert [changed[key] for key in ("apiVersion", "kind")] == [base[key] for key in ("apiVersion", "kind")]
            assert changed["metadata"]["name"] == base["metadata"]["name"]
    files = {file.resolve() for file in KUBERNETES.rglob("*.yaml") if file.name != "kustomization.yaml"}
    assert {file.name for file in files - listed} == {
        "adapter_rules.yaml",
        "cluster_serving_runtime.yaml",
        "inference_service.yaml",
    }


def test_runtime_of_kserve_starts_the_package_that_kserve_mounts(tmp_path, capsys) -> None:
    runtime = yaml.safe_load((KUBERNETES / "kserve/cluster_serving_runtime.yaml").read_text())
    service = yaml.safe_load((KUBERNETES / "kserve/inference_service.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    formats = [{key: each[key] for key in ("name", "version")} for each in runtime["spec"]["supportedModelFormats"]]
    assert model["modelFormat"] in formats
    (container,) = runtime["spec"]["containers"]
    port = container["ports"][0]["containerPort"]
    assert f"--port={port}" in container["args"]
    assert all(container[probe]["httpGet"]["port"] == port for probe in ("readinessProbe", "livenessProbe"))
    package = small_package(tmp_path / "models", name="small")
    words = [word.replace("/mnt/models", str(package)).replace("{{.Name}}", "price") for word in container["args"]]
    assert main([*words, "--check"]) == 0
    assert "every model was loaded and verified; price " in capsys.readouterr().out
