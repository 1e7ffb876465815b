"""Everything in deploy/ and .github/ is checked by the tool of its kind; a tool that is not here skips by its name."""

from tests.deploy.shipped import DEPLOY, ROOT, check, module, tool

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
SCRIPTS = [*sorted(DEPLOY.rglob("*.sh")), ROOT / ".ci/run"]


def test_dockerfile_passes_hadolint() -> None:
    check(tool("hadolint"), "--failure-threshold", "info", DEPLOY / "Dockerfile")


def test_shell_scripts_pass_shellcheck() -> None:
    check(tool("shellcheck"), *SCRIPTS)


def test_yaml_passes_yamllint() -> None:
    check(*module("yamllint", "yamllint"), "--strict", "deploy", ".github")


def test_workflows_fit_the_schema_of_github() -> None:
    command = module("check_jsonschema", "check-jsonschema")
    check(*command, "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)


def test_workflows_pass_actionlint() -> None:
    check(tool("actionlint"), *WORKFLOWS)


def test_workflows_pass_zizmor() -> None:
    check(tool("zizmor"), "--offline", "--no-progress", *WORKFLOWS)


def test_compose_fits_its_schema() -> None:
    command = module("check_jsonschema", "check-jsonschema")
    check(*command, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_alerts_pass_promtool_and_its_unit_tests() -> None:
    promtool = tool("promtool")
    check(promtool, "check", "rules", DEPLOY / "prometheus/rules.yaml", DEPLOY / "prometheus/monitoring_rules.yaml")
    check(promtool, "check", "config", "--syntax-only", DEPLOY / "prometheus/prometheus.yaml")
    check(promtool, "test", "rules", DEPLOY / "prometheus/rules_test.yaml")


def test_units_pass_systemd_analyze(tmp_path) -> None:
    """Their program is not installed here: any that exists takes its place."""
    analyze = tool("systemd-analyze")
    units = [tmp_path / file.name for file in (DEPLOY / "systemd").iterdir()]
    for unit in units:
        text = (DEPLOY / "systemd" / unit.name).read_text()
        unit.write_text(text.replace("/opt/lightning-app/bin/lightning-app", "/bin/true"))
    services = [unit for unit in units if unit.suffix == ".service"]
    assert len(services) == 3
    check(analyze, "verify", "--man=no", *units)
    check(analyze, "security", "--offline=true", "--threshold=20", *services)
