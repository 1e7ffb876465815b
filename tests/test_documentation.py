"""Every command and every example of the pages that users read is run."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import VERBS, main
from lightning_app.packaging import Package
from tests.conftest import CONFIGS, needs_etth1
from tests.registries import place_registry

ROOT = CONFIGS.parent
README = (ROOT / "README.md").read_text()
PAGES = {"README.md": 8, "docs/recurrent.md": 3, "docs/graph.md": 6}
EXTENDING = (ROOT / "docs" / "extending.md").read_text()
EXTENDING_FILES = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", EXTENDING, re.DOTALL)
FEATURES = (ROOT / "docs" / "features.md").read_text()
FEATURES_FILES = dict(re.findall(r"```(?:csv|yaml)\n# (\S+)\n(.*?)```", FEATURES, re.DOTALL))
TABULAR = (ROOT / "docs" / "tabular.md").read_text()
TABULAR_FILES = re.findall(r"```yaml\n# (\S+)\n(.*?)```", TABULAR, re.DOTALL)
TABULAR_TABLE = re.findall(r"```python\n(.*?)```", TABULAR, re.DOTALL)[0]
FEW = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "4"]
COMMAND = re.compile(r"^(?:\$ |    )?(lightning-app [a-z].+)$", re.MULTILINE)
"""A command in a block of code, with a prompt, indented, or alone on its line."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder: nothing of ours is in it, and folders of his own are called as ours are."""
    for name in ("models", "callbacks", "datamodules", "sweeps"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    return tmp_path


def run_line(line: str) -> None:
    program, verb, *words = shlex.split(line)
    assert program.endswith("lightning-app")
    assert main([verb, *words, *short_of(verb, words)]) == 0, line


def short_of(verb: str, words: list[str]) -> list[str]:
    """What makes a command of a page cheap; it is documented, as all that a page says."""
    if verb == "fit" and not {"--print_config", "--model.network.help"} & set(words):
        return FEW
    if verb in ("sweep", "compare"):
        return ["--", *FEW]
    return []


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow) if page == "docs/recurrent.md" else page for page in PAGES]
)
def test_the_commands_and_the_notebook_of_a_page_run_in_their_order(page: str, project: Path) -> None:
    text = (ROOT / page).read_text()
    lines = COMMAND.findall(text)
    assert len(lines) == PAGES[page]
    for line in lines:
        if "--splits" not in line:  # ten folds: below
            run_line(line)
    (notebook,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(notebook, page, "exec"), {})


@pytest.mark.slow
def test_what_make_demo_runs_runs(project: Path) -> None:
    for line in make("demo"):
        if "lightning-app" in line:
            run_line(line)
    assert len(list(Path("runs/compare").glob("*/table.md"))) == 2


@pytest.mark.parametrize(
    "target", ["demo", "test", "test-fast", "test-slow", "test-slow-share", "test-today", "lint", "bench", "help"]
)
def test_make_has_the_targets_that_users_are_told_of(target: str) -> None:
    assert make(target)


def make(target: str) -> list[str]:
    """The lines that a target would run."""
    return subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_table_of_verbs_is_complete() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", README, re.MULTILINE) == list(VERBS)


def test_pages_and_pictures_that_are_linked_exist() -> None:
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links {target}"


def write_files_of_extending() -> None:
    """The files that `extending.md` shows, each by the name in its first line."""
    for name, content in EXTENDING_FILES:
        Path(name).write_text(content)


def in_process_of_its_own(line: str) -> None:
    """Runs a command as the installed script does: the working folder is not on the path."""
    Path("bin").mkdir(exist_ok=True)
    Path("bin/lightning-app").write_text("import sys\nfrom lightning_app.__main__ import main\nsys.exit(main())\n")
    script = str(Path("bin/lightning-app").resolve())
    words = shlex.split(line)[1:]
    command = [sys.executable, script, *words, *short_of(words[0], words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LIGHTNING_APP_CACHE": str(Path("cache").resolve())}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"{line}\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}"


@pytest.mark.slow
def test_a_network_of_ones_own_trains_from_one_file(project: Path) -> None:
    write_files_of_extending()
    (line,) = (line for line in COMMAND.findall(EXTENDING) if "drift" in line)
    in_process_of_its_own(line)


def test_a_family_of_ones_own_goes_from_a_fit_to_scores_without_an_edit_of_ours(
    project: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("LIGHTNING_APP_CACHE", str(project / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    place_registry(project, request.config)
    write_files_of_extending()
    lines = [line for line in COMMAND.findall(EXTENDING) if "wear" in line]
    assert [line.split()[1] for line in lines] == [
        "fit", "test", "predict", "export", "package", "register", "score",
    ]  # fmt: skip
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line
    (run,) = Path("runs/wear").iterdir()
    tested = json.loads((run / "metrics.json").read_text())
    manifest = Package.load("wear").manifest
    assert (manifest.family, manifest.task) == ("reliability", "remaining_life")
    assert manifest.metrics["values"]["test/mae"] == pytest.approx(tested["test/mae"], rel=1e-5)
    predicted, scored = pl.read_parquet(run / "predictions.parquet"), pl.read_parquet("scored.parquet")
    assert scored["model_version"].unique().to_list() == ["wear@1"]
    assert scored["hours"].to_list() == pytest.approx(predicted["hours"].to_list(), rel=1e-5)
    assert scored["target"].to_list() != pytest.approx(predicted["hours"].to_list(), rel=1e-5)
    errors = pl.read_parquet("wear/evaluation.parquet")["error"]
    assert errors.to_list() == pytest.approx((scored["hours"] - scored["target"]).abs().to_list(), abs=1e-5)
    assert "pipeline_tag: tabular-regression" in Path("wear/MODEL_CARD.md").read_text()


def test_the_worked_example_of_features_gives_what_its_page_shows(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in FEATURES_FILES.items():
        Path(name).write_text(content)
    for line in COMMAND.findall(FEATURES):
        run_line(line)
    printed = capsys.readouterr().out
    (shown,) = re.findall(r"```text\n(feature .*?)\n\n", FEATURES, re.DOTALL)
    assert shown in printed
    cells = re.findall(r"^\| (\w+) \| ([\d :-]+) \| (\d*) ?\| ([\d.]*) ?\| `?(\w*)`? ?\|$", FEATURES, re.MULTILINE)
    table = pl.read_parquet("table.parquet")
    assert len(cells) == table.height == 5
    for row, (customer, time, orders, spend, reason) in zip(table.iter_rows(named=True), cells, strict=True):
        assert (row["customer"], row["time"]) == (customer, time)
        assert row["orders"] == (int(orders) if orders else None)
        assert row["spend_60d"] == (float(spend) if spend else None)
        assert row["spend_60d__reason"] == (reason or "present")
    notebook = "".join(re.findall(r"```python\n(.*?)```", FEATURES, re.DOTALL))
    exec(compile(notebook, "docs/features.md", "exec"), {})


@dataclass(frozen=True)
class Page:
    """How a page's commands are run.

    Attributes:
        words: What stands for a user's own names and for numbers that take hours.
        before: Commands that a command needs before it, by the beginning of its line.
        files: Files of the user that the commands read.
        code: Python that writes further files.
    """

    words: dict[str, str] = field(default_factory=dict)
    before: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    code: str = ""


OWN_RUN = "lightning-app fit -c forecasting/co2_phase --model.network drift.Drift --run.name own"
LINEAR = "lightning-app fit -c forecasting/etth1_linear --run.name "
SALES = """day,shop,units,loaded_at
2024-01-01,a,3,2024-01-02
2024-01-02,a,4,2024-01-03
2024-01-03,b,5,2024-01-05
2024-01-04,b,2,2024-01-05
"""
DATA = (ROOT / "docs" / "data.md").read_text()
RIDES = {
    "rides.csv": re.findall(r"```csv\n(.*?)```", DATA, re.DOTALL)[0],
    "rides.yaml": re.findall(r"```yaml\n(key: .*?)```", DATA, re.DOTALL)[0],
}
SERVED_PACKAGE = """
from pathlib import Path
from tests.lightning_app.serving.security.test_exposure import certificate
from tests.packages import small_package
from tests.signing_keys import signing_keys
small_package(Path("price"), name="price")
certificate(Path())
Path(signing_keys(Path(), "private")[1]).rename("public.pem")
"""
EXPERIMENTS = """
from pathlib import Path
from tests.lightning_app.serving.experiments.analysis.journals import write_experiments
from tests.packages import small_package
small_package(Path("price"), name="price")
write_experiments("journal.db")
"""
MONITOR_CHECK = "--monitor monitor.yaml --check"
EVERY_PAGE = {
    "README.md": Page(),
    "docs/auto.md": Page(
        words={"--run.budget 120": "--run.budget 4"},
        code="from tests.conftest import waves\nwaves().write_csv('my.csv')",
    ),
    "docs/command-line.md": Page(
        words={"runs/own/...": "runs/own/<run>", "my_networks": "drift", "--splits 10": "--splits 2"}
        | {"lr 0.002": "lr 0.002 --trainer.accelerator cpu --trainer.devices 2"},
        before={"lightning-app test --ckpt_path runs/own": [OWN_RUN]},
    ),
    "docs/data.md": Page(
        files=RIDES | {"sales.csv": SALES, "new.csv": SALES.replace(",5,", ",6.5,") + "2024-01-05,c,1,2024-01-06\n"}
    ),
    "docs/deploy.md": Page(code="from pathlib import Path\nPath('deploy/secrets').mkdir(parents=True)"),
    "docs/experiments.md": Page(
        words={
            "prices@7 --to challenger": "price@1 --to challenger --force first",
            "canary:prices@7:1700000000": "price-1",
        },
        before={"lightning-app promote prices@7": ["lightning-app register price"]},
        code=EXPERIMENTS,
    ),
    "docs/extending.md": Page(),
    "docs/features.md": Page(files=FEATURES_FILES),
    "docs/forecasting.md": Page(
        words={
            "a/best.ckpt": "runs/a/<run>/checkpoints/best.ckpt",
            "b/best.ckpt": "runs/b/<run>/checkpoints/best.ckpt",
        },
        before={"lightning-app fit -c configs/forecasting/etth1_ensemble": [LINEAR + "a", LINEAR + "b"]},
    ),
    "docs/graph.md": Page(words={"--splits 10": "--splits 2"}),
    "docs/journal.md": Page(
        code="from tests.lightning_app.serving.journal.records import write_example\nwrite_example('journal.db')"
    ),
    "docs/monitoring.md": Page(
        words={
            "monitor serve --config monitor.yaml": "monitor serve --help",
            "--monitor monitor.yaml": MONITOR_CHECK,
            "package/ labelled.parquet --outcome churned": "price price/reference.parquet --outcome target",
            "--model bikes --until 2026-05-01 --with-outcomes --output first.parquet": "--help",
            "monitor reference package/ first.parquet": "monitor reference --help",
        },
        files={
            "monitor.yaml": (
                "journal: sqlite:///journal.db\n"
                "alerts: [{name: drift, metric: monitor_drifted_windows, above: 2}]\nsinks: [{kind: log, name: log}]\n"
            ),
            "serve.yaml": "models: [{model: price}]\n",
        },
        code=EXPERIMENTS,
    ),
    "docs/production.md": Page(
        words={
            "--optimize int8": "--optimize int8 --max-worse inf --allow-slower",
            "--optimize fp16": "--optimize fp16 --max-worse inf --allow-slower",
            "windows.parquet": "package/reference.parquet",
        },
        before={
            "lightning-app rollback": [
                "lightning-app register small --name co2",
                "lightning-app promote co2@2 --to champion --force another",
            ]
        },
    ),
    "docs/recurrent.md": Page(),
    "docs/serving.md": Page(
        words={"lightning-app serve price@champion": "lightning-app serve price@champion --check"},
        before={
            "lightning-app serve price@champion --host": [
                "lightning-app register price",
                "lightning-app promote price@1 --to champion --force first",
            ]
        },
        code=SERVED_PACKAGE,
    ),
    "docs/streams.md": Page(
        words={
            ' price@champion --from "kafka://broker:9092/orders?group=pricing" \\': " --help",
            ' price@champion --from "redis://localhost:6379/orders?group=pricing" \\': " --help",
            "price@champion": "price",
            "orders.pricing": "orders",
            "--number 17     # or --all": "--number 1",
        },
        files={"rows.jsonl": '{"length": 1.5, "width": 2}\n{"length": "long"}\n{"width": "wide"}\n'},
        code="from tests.packages import Path, small_package\nsmall_package(Path('price'), name='price')",
    ),
    "docs/tabular.md": Page(
        words={
            "$LIGHTNING_APP_DATA": os.environ.get("LIGHTNING_APP_DATA", "data"),
            "linear.yaml mlp.yaml --folds 5 --output cv -- --trainer.max_epochs 20": (
                "wine.yaml --folds 2 --output cv -- --trainer.max_epochs 1"
            ),
        },
        files=dict(TABULAR_FILES),
        code=TABULAR_TABLE,
    ),
    "docs/text.md": Page(
        words={
            "text/sst2_minilm": "texts.yaml",
            "new_sentences.csv": "reviews.csv",
            "text/clothing_fusion text/clothing_text text/clothing_table text/clothing_all_text --seeds 0 1 2": (
                "texts.yaml --seeds 0 1"
            ),
        },
        code="from tests.lightning_app.text.small_texts import Path, write_texts\nwrite_texts(Path())",
    ),
    "docs/retraining.md": Page(
        # What a tick and a replay do takes a served model with outcomes: tests/lightning_app/retraining.
        words={
            "retrain tick --policy retrain.yaml": "retrain tick --help",
            "simulate --policy retrain.yaml": "simulate --help --policy retrain.yaml",
        },
        files={
            "retrain.yaml": (
                "{model: price, data: {outcome: target}, training: {config: tabular/bike_sharing}, "
                "registry: 'sqlite:///mlflow.db'}\n"
            )
        },
        before={
            "lightning-app retrain trigger": [
                "lightning-app register price --registry sqlite:///mlflow.db",
                "lightning-app promote price@1 --to champion --force first --registry sqlite:///mlflow.db",
            ]
        },
        code=EXPERIMENTS,
    ),
    "docs/sweeps.md": Page(words={"--trials 30": "--trials 2"}),
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@needs_etth1
@pytest.mark.parametrize("page", EVERY_PAGE)
def test_every_command_of_a_page_runs_as_a_process_from_a_users_folder(page: str, project: Path) -> None:
    write_files_of_extending()
    how = EVERY_PAGE[page]
    for name, content in how.files.items():
        Path(name).write_text(content)
    exec(compile(how.code, page, "exec"), {})
    for line in COMMAND.findall((ROOT / page).read_text()):
        for beginning, commands in how.before.items():
            for command in commands if line.startswith(beginning) else ():
                in_process_of_its_own(command)
        for word, other in how.words.items():
            line = line.replace(word, other)
        in_process_of_its_own(with_newest_run(line))


def with_newest_run(line: str) -> str:
    """The command with the newest run in place of `runs/<name>/<run>`."""
    return re.sub(r"(runs/\w+)/<run>", lambda name: str(sorted(Path(name[1]).glob("*"))[-1]), line)


def test_no_page_with_commands_is_left_out() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert {str(page.relative_to(ROOT)) for page in pages if COMMAND.search(page.read_text())} == set(EVERY_PAGE)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_of_notebooks_runs(project: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "notebook.md").read_text(), re.DOTALL)
    Path("notebook.py").write_text("\n".join(blocks))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "notebook.py"], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-3000:]


def test_the_worked_example_of_tables_runs(project: Path) -> None:
    example = TABULAR.partition("## Worked example")[2].partition("## Rows")[0]
    exec(compile(TABULAR_TABLE, "tabular.md", "exec"), {})
    for name, content in TABULAR_FILES:
        Path(name).write_text(content)
    lines = COMMAND.findall(example)
    assert len(lines) == 4
    for line in lines:
        run_line(line)
    assert len(pl.read_parquet("scored.parquet")) == 178
