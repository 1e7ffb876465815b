"""Configurations that are shipped with the manifests are those of a server, and agree with what runs them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from features.definitions.duration import seconds
from lightning_app.__main__ import main
from lightning_app.monitoring.alerts.rules import check_alerts
from lightning_app.monitoring.config.monitor_config import read_monitor_config
from lightning_app.retraining.config.policy import read_policy
from lightning_app.serving.config.serve_config import ServeConfig, read_config
from tests.deploy.shipped import DEPLOY, KUBERNETES, ROOT
from tests.packages import small_package
from tests.registries import place_registry

CONFIGURATIONS = {
    "compose": DEPLOY / "compose/serve.yaml",
    "base": KUBERNETES / "base/serve.yaml",
    "small": KUBERNETES / "overlays/small/serve.yaml",
}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
END_SECONDS = 5.0
"""That a supervisor gives its workers beyond `limits.drain_seconds`."""


@pytest.fixture(scope="module")
def configs() -> dict[str, ServeConfig]:
    return {name: read_config(path) for name, path in CONFIGURATIONS.items()}


def test_every_configuration_asks_for_keys_and_writes_only_to_volumes(configs) -> None:
    for name, config in configs.items():
        assert config.keys is not None, name
        assert config.host == "0.0.0.0", name
        assert config.workers is not None, f"{name}: one per core of the node"
        url = config.journal.url or ""
        assert url.startswith("sqlite:////data/") or config.journal.password_file is not None, name
        if config.journal.on_failure == "spill":
            assert (config.journal.spill or "").startswith("/data/"), name


def test_containers_are_killed_only_after_the_server_has_drained(configs) -> None:
    grace = re.fullmatch(r"(\d+)s", COMPOSE["services"]["server"]["stop_grace_period"])
    assert grace is not None
    assert int(grace[1]) > configs["compose"].limits.drain_seconds + END_SECONDS
    pod = yaml.safe_load((KUBERNETES / "base/deployment.yaml").read_text())["spec"]["template"]["spec"]
    before = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    for name in ("base", "small"):
        assert pod["terminationGracePeriodSeconds"] > before + configs[name].limits.drain_seconds + END_SECONDS
    unit = (DEPLOY / "systemd/lightning-app.service").read_text()
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > ServeConfig(models=configs["base"].models).limits.drain_seconds + END_SECONDS


def test_compose_mounts_the_files_that_its_configuration_names(configs) -> None:
    server, config = COMPOSE["services"]["server"], configs["compose"]
    places = [volume.split(":")[1] for volume in server["volumes"]]
    secrets = [f"/run/secrets/{name}" for name in server["secrets"]]
    assert config.keys in secrets
    assert config.journal.password_file in secrets
    assert "/etc/lightning-app/serve.yaml" in places
    assert any(config.models[0].model.startswith(f"{place}/") for place in places)
    assert set(server["secrets"]) <= set(COMPOSE["secrets"])
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            is_made = source == "./packages"
            assert is_made or (DEPLOY / source).exists() or source in COMPOSE["volumes"], volume


def test_every_service_of_compose_has_limits_a_health_check_and_no_new_privileges() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for name, service in COMPOSE["services"].items():
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert "healthcheck" in service or (name == "server" and "HEALTHCHECK" in dockerfile), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert ":latest" not in service["image"] or name in ("server", "monitor")


def test_the_monitor_finds_its_files_and_its_policy_waits_for_the_training() -> None:
    monitor = COMPOSE["services"]["monitor"]
    config = read_monitor_config(DEPLOY / "compose/monitor.yaml", password=False)
    assert config.journal_password_file in [f"/run/secrets/{name}" for name in monitor["secrets"]]
    assert all(package.startswith("/packages/") for package in config.packages)
    assert f"--keys=/run/secrets/{monitor['secrets'][0]}" in monitor["command"]
    assert "--config=/etc/lightning-app/monitor.yaml" in monitor["command"]
    (port,) = monitor["ports"]
    (scraped,) = [
        job["static_configs"][0]["targets"]
        for job in yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())["scrape_configs"]
        if job["job_name"] == "lightning-app-monitor"
    ]
    assert scraped == [f"monitor:{port.rpartition(':')[2]}"]

    pod = read_monitor_config(KUBERNETES / "monitor/monitor.yaml", password=False)
    for settings in (config, pod):
        check_alerts(settings.alerts, settings.sinks)
    policy = read_policy(KUBERNETES / "retraining/retrain.yaml")
    assert policy.training.executor.wait, "the training would end with the pod of the tick"
    job = yaml.safe_load((KUBERNETES / "retraining/cron_job.yaml").read_text())["spec"]["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] > seconds(policy.training.deadline)
    assert policy.folder.startswith("/data/")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_promotions_of_the_cluster_and_of_github_are_commands_of_ours(tmp_path, monkeypatch, request, capsys) -> None:
    """Both move the alias of a registry; the gates are those of the command."""
    pytest.importorskip("mlflow", reason="needs the extra `registry`")
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{place_registry(tmp_path, request.config)}"
    for seed in (0, 1):
        package = small_package(tmp_path / f"price-{seed}", name="price", seed=seed)
        assert main(["register", str(package), "--name", "price", "--registry", url]) == 0
    assert main(["promote", "price@1", "--to", "challenger", "--registry", url]) == 0
    job = yaml.safe_load((KUBERNETES / "promotion/cron_job.yaml").read_text())["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    *words, registry = container["args"]
    assert registry.startswith("--registry=http")
    capsys.readouterr()
    assert main([*words, f"--registry={url}"]) == 0
    assert "promoted: price@1 is champion" in capsys.readouterr().out

    workflow = yaml.safe_load((ROOT / ".github/workflows/promote.yaml").read_text())
    script = workflow["jobs"]["promote"]["steps"][-1]["run"].replace(
        "lightning-app", f"{sys.executable} -m lightning_app"
    )
    variables = {"MODEL": "price@2", "TO": "challenger", "REASON": "a 'test'", "GATES": "", "ACTOR": "somebody"}
    variables |= {"MLFLOW_TRACKING_URI": url, "GITHUB_STEP_SUMMARY": "summary.md", "PYTHONPATH": str(ROOT)}
    subprocess.run(["bash", "-e", "-c", script], env={**os.environ, **variables}, check=True, capture_output=True)
    assert "promoted: price@2 is challenger" in Path("summary.md").read_text()
    failed = subprocess.run(
        ["bash", "-e", "-c", script],
        env={**os.environ, **variables, "MODEL": "price@9"},
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 2, failed.stderr


def test_everything_that_the_image_copies_is_in_its_context() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    names = {name.rstrip("/") for line in copied for name in line.split()}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert names == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in names)


def test_secrets_are_made_once_and_are_closed_to_others(tmp_path: Path) -> None:
    script = shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    words = f"{sys.executable} -m lightning_app"
    environment = {**os.environ, "LIGHTNING_APP": words, "PYTHONPATH": str(ROOT)}

    def run() -> dict[str, str]:
        subprocess.run([script], env=environment, check=True, capture_output=True)
        return {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}

    made = run()
    assert set(made) == {file["file"].removeprefix("./secrets/") for file in COMPOSE["secrets"].values()}
    assert made["metrics_key"].startswith("prometheus.")
    assert made["metrics_key"].strip() not in made["keys.yaml"]
    assert all((tmp_path / "secrets" / name).stat().st_mode & 0o777 == 0o640 for name in made)
    assert (tmp_path / ".env").read_text() == f"SECRETS_GROUP={os.getgid()}\n"
    assert run() == made
