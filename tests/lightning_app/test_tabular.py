"""Tabular models through the command line: fit, test, predict, export, score; what is missing, unknown or wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package, PackageError, RequestError
from tests.conftest import only_run
from tests.families import HEAD, SHOP_FEATURES, TABULAR, TrainedFamily, shop_days, write_shops
from tests.lightning_app.cli.test_exact_resume import KILL, kill_and_resume


@pytest.fixture
def shops(family: Callable[[str], TrainedFamily]) -> TrainedFamily:
    return family("tabular")


@pytest.fixture
def package(shops: TrainedFamily) -> Package:
    return Package.load(shops.package)


@pytest.fixture
def table(shops: TrainedFamily) -> pl.DataFrame:
    return pl.read_csv(shops.folder / "shops.csv")


@pytest.fixture
def shop_args(tmp_path: Path) -> Callable[..., list[str]]:
    write_shops(tmp_path)
    config = tmp_path / "shops.yaml"
    config.write_text(HEAD + TABULAR)

    def args(*options: str, verb: str = "fit") -> list[str]:
        return [verb, "-c", str(config), "--run.root", str(tmp_path / "runs"), *options]

    return args


def assert_near(answered: pl.Series, expected: pl.Series) -> None:
    np.testing.assert_allclose(answered.to_numpy(), expected.to_numpy(), rtol=1e-5, atol=1e-5)


def test_raw_rows_are_answered_as_predict_does_by_a_package_and_by_score(
    shops: TrainedFamily, package: Package, table: pl.DataFrame, tmp_path: Path
) -> None:
    assert main(["predict", "--ckpt_path", shops.checkpoint, "--run.root", str(tmp_path)]) == 0
    predicted = pl.read_parquet(next(shops.folder.rglob("predictions.parquet")))
    assert predicted.columns == ["row", "shop", "time", "prediction"]
    assert len(predicted) == len(table)  # rows without a label too
    answer = package.predict(table)
    assert answer.drop("prediction").equals(predicted.drop("prediction"))
    assert_near(answer["prediction"], predicted["prediction"])
    raw_file = str(shops.folder / "shops.csv")
    assert main(["score", str(shops.package), raw_file, "--output", "scored.parquet"]) == 0
    scored = pl.read_parquet("scored.parquet")
    assert scored["shop"].to_list() == table["shop"].to_list()
    assert_near(scored["prediction"], predicted["prediction"])
    assert package.manifest.parity["raw_rows"]["max_relative_error"] < 1e-5


def test_the_package_says_what_its_users_supply(package: Package, shops: TrainedFamily) -> None:
    spec = package.manifest.raw_input
    assert spec is not None
    columns = {column.name: (column.type, column.role, column.unit) for column in spec.columns}
    assert columns == {
        "shop": ("text", "key", None),
        "date": ("timestamp", "time", None),
        "price": ("number", "feature", "euros"),
        "stock": ("number", "feature", "pieces"),
        "weather": ("text", "feature", None),
        "sold": ("number", "history", "pieces"),
    }
    assert "all events before them" in spec.rows_of
    card = (shops.package / "MODEL_CARD.md").read_text()
    assert "| price | number | feature | euros | yes |" in card
    assert (shops.package / "features.yaml").exists()


def test_a_test_does_not_depend_on_the_batch_size(shops: TrainedFamily) -> None:
    before = json.loads((shops.run / "metrics.json").read_text())
    assert main(["test", "--ckpt_path", shops.checkpoint, "--data.eval_batch_size", "7"]) == 0
    after = json.loads((shops.run / "metrics.json").read_text())
    assert after == pytest.approx(before, rel=1e-5)


@pytest.mark.slow
def test_a_killed_fit_resumes_to_the_same_bits(shop_args: Callable[..., list[str]], tmp_path: Path) -> None:
    assert kill_and_resume(shop_args, tmp_path, (), [[7, "train", KILL]]) == [0, -KILL, 0]


def test_missing_numbers_are_seen_by_the_network_or_count_as_the_mean(package: Package, table: pl.DataFrame) -> None:
    """Prices were missing in training, stocks never: only the former has an indicator that was learned."""
    last = pl.int_range(pl.len()) == len(table) - 1

    def answer(**columns: float | None) -> float:
        cells = [pl.when(last).then(pl.lit(value)).otherwise(name).alias(name) for name, value in columns.items()]
        return float(package.predict(table.with_columns(cells))["prediction"][-1])

    train = table.head(int(0.6 * len(table))).drop_nulls("sold")
    mean_stock, mean_price = float(train["stock"].mean()), float(train["price"].mean())  # type: ignore[arg-type]
    assert answer(stock=None) == pytest.approx(answer(stock=mean_stock), abs=1e-3)
    assert abs(answer(price=None) - answer(price=mean_price)) > 1e-3


def test_unknown_categories_are_answered_alike(package: Package, table: pl.DataFrame) -> None:
    hail, fog = (package.predict(table.with_columns(weather=pl.lit(word)))["prediction"] for word in ("hail", "fog"))
    assert hail.is_finite().all()
    assert hail.equals(fog)


def test_a_new_shop_and_events_in_any_order_are_answered(package: Package, table: pl.DataFrame) -> None:
    new = table.with_columns(shop=pl.when(pl.col("shop") == "a").then(pl.lit("new")).otherwise("shop"))
    assert package.predict(new)["prediction"].is_finite().all()
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=0)
    with pytest.warns(UserWarning, match="earlier than the row before"):
        answer = package.predict(shuffled)
    ordered = package.predict(table).sort("time", "shop")
    assert_near(answer.sort("time", "shop")["prediction"], ordered["prediction"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.rename({"price": "prize"}), "price: no such column .feature.*; 'prize' is near"),
        (lambda table: table.drop("date"), "date: no such column .time."),
        (lambda table: table.with_columns(date=pl.lit("soon")), "'date' holds 'soon' in row 1"),
        (lambda table: table.with_columns(weather=pl.lit(1.5)), "weather"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame], message: str, package: Package, table: pl.DataFrame
) -> None:
    with pytest.raises(RequestError, match=message):
        package.predict(change(table))


def test_cells_that_are_no_number_reject_their_row_alone(
    shops: TrainedFamily, table: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    words = table.with_columns(pl.col("price").cast(pl.String))
    row = pl.int_range(pl.len())
    cells = pl.when(row == 3).then(pl.lit("cheap")).when(row == 4).then(pl.lit("inf")).otherwise("price")
    words.with_columns(price=cells).write_csv("bad.csv")
    assert main(["score", str(shops.package), "bad.csv", "--output", "scored.parquet"]) == 0
    assert len(pl.read_parquet("scored.parquet")) == len(table) - 2
    rejected = pl.read_parquet("scored.rejected.parquet")
    assert rejected["row"].to_list() == [3, 4]
    assert "price: 'cheap' is no number" in rejected["reason"][0]
    assert "feature 'given_price' is inf" in rejected["reason"][1]


def test_an_edited_fitted_state_is_refused(shops: TrainedFamily) -> None:
    from features.pipeline import FeaturePipeline

    content = (shops.package / "features.json").read_bytes()
    pipeline = FeaturePipeline.from_json(content)
    assert pipeline.to_json() == content
    with pytest.raises(ValueError, match="it was edited"):
        FeaturePipeline.from_json(content.replace(b"given_price", b"other_price"))
    with pytest.raises(ValueError, match="format 2, this version of lightning-app reads 1"):
        FeaturePipeline.from_json(json.dumps({**json.loads(content), "format": 2}).encode())


def test_other_definitions_than_those_of_the_training_are_refused(
    shop_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shop_args("--trainer.max_epochs", "1")) == 0
    checkpoint = str(only_run(tmp_path / "runs") / "checkpoints/best.ckpt")
    changed = SHOP_FEATURES.replace("window: 7d", "window: 8d")
    (tmp_path / "features.yaml").write_text(changed)
    assert main(["predict", "--ckpt_path", checkpoint]) != 0
    assert "the model was trained on" in capsys.readouterr().err


def test_what_is_left_out_is_said(shops: TrainedFamily) -> None:
    lost = shop_days()["sold"].null_count()
    said = f"rows: {lost} rows have no label: left out of training, validation and test"
    assert said in (shops.package / "MODEL_CARD.md").read_text()


CLASSES = """
seed_everything: 1
trainer: {{max_epochs: 1, limit_train_batches: 5, accelerator: cpu}}
model:
  class_path: models.tabular.TabularModule
  init_args:
    network: {network}
    task: {task}
    optimizer: {{class_path: AdamW, init_args: {{lr: 0.01}}}}
data:
  class_path: datamodules.tabular.FeatureTableDataModule
  init_args:
    definitions: classes.yaml
    rows: people.csv
    csv: {{separator: ";", null_values: ["?"]}}
    label: {label}
    split: {{class_path: datamodules.tabular.GroupSplit, init_args: {{column: person}}}}
    batch_size: 16
"""
CLASS_FEATURES = """
views:
  person:
    request: {age: {type: int, unit: years}, job: {type: str}, note: {type: str}}
    features:
      years: {kind: given, column: age}
      age_group: {kind: bucket, column: age, edges: [30, 50]}
      occupation: {kind: vocabulary, column: job, min_count: 2}
      words: {kind: tfidf, column: note, max_terms: 4}
labels:
  rich: {kind: column, column: rich}
  level: {kind: column, column: level}
"""
TABM = """
      class_path: models.tabular.TabM
      init_args:
        num_members: 4
        hidden_size: 8
        number_embeddings: {class_path: models.tabular.PiecewiseLinearEmbeddings, init_args: {num_bins: 4}}
    scaling: quantile_normal
    category_dropout: 0.1"""
TRANSFORMER = "{class_path: models.tabular.FTTransformer, init_args: {num_layers: 2, hidden_size: 16}}"
LINEAR, PERCEPTRON = "models.tabular.LinearNetwork", "{class_path: models.tabular.MLP, init_args: {residual: true}}"


def write_people() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.integers(18, 70, 200)
    people = pl.DataFrame(
        {
            "person": np.arange(200) // 2,
            "age": ["?" if value % 9 == 0 else f"{value}.0" if value % 7 == 0 else str(value) for value in age],
            "job": rng.choice(["cook", "clerk", "?", "smith"], 200),
            "note": rng.choice(["works at night", "works by day", "rests"], 200),
            "rich": np.where(age + rng.normal(0, 5, 200) > 45, ">50K", "<=50K"),
            "level": rng.integers(1, 4, 200),
        }
    )
    people.write_csv("people.csv", separator=";")
    Path("classes.yaml").write_text(CLASS_FEATURES)
    return people


@pytest.mark.parametrize(
    ("label", "task", "network", "classes"),
    [
        pytest.param(  # former path
            "rich",
            "models.tabular.classification.BinaryClassification",
            PERCEPTRON,
            ["<=50K", ">50K"],
        ),
        pytest.param(
            "level",
            "{class_path: models.tabular.MulticlassClassification, init_args: {loss: FocalLoss}}",
            LINEAR,
            ["1", "2", "3"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "rich", "models.tasks.BinaryClassification", TRANSFORMER, ["<=50K", ">50K"], marks=pytest.mark.slow
        ),
        pytest.param("level", "models.tasks.MulticlassClassification", TABM, ["1", "2", "3"], marks=pytest.mark.slow),
    ],
)
def test_rows_without_a_time_are_classified_from_raw_text(
    label: str, task: str, network: str, classes: list[str]
) -> None:
    people = write_people()
    Path("config.yaml").write_text(CLASSES.format(label=label, task=task, network=network))
    options = ["--data.classes", "[1, 2, 3]"] if label == "level" else []
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs", *options]) == 0
    run = only_run(Path("runs"))
    best = str(run / "checkpoints/best.ckpt")
    assert main(["test", "--ckpt_path", best]) == 0
    assert set(json.loads((run / "metrics.json").read_text())) >= {"test/accuracy", "test/auroc", "test/macro_f1"}
    assert main(["predict", "--ckpt_path", best]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0
    assert main(["score", "package", "people.csv", "--output", "scored.parquet"]) == 0
    predicted, scored = (pl.read_parquet(path) for path in (run / "predictions.parquet", "scored.parquet"))
    assert scored["label"].to_list() == predicted["label"].to_list()
    assert set(scored["label"]) <= set(classes)
    np.testing.assert_allclose(
        scored["probabilities"].to_numpy(), predicted["probabilities"].to_numpy(), rtol=1e-5, atol=1e-6
    )
    package = Package.load("package")
    assert list(package.manifest.labels or ()) == classes
    asked = people.head(5).with_columns(job=pl.lit("pilot"))  # a job that training has not seen
    alone = [package.predict(asked[row]) for row in range(5)]
    together = package.predict(asked)["probabilities"].to_numpy()
    np.testing.assert_allclose(pl.concat(alone)["probabilities"].to_numpy(), together, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("label", "task", "options", "message"),
    [
        ("rich", "models.tabular.Regression", [], "Regression predicts a number, but the label has 2 classes"),
        ("level", "models.tabular.BinaryClassification", [], "predicts 2 classes, but the label is a number"),
        ("rich", "models.tabular.MulticlassClassification", [], "take BinaryClassification"),
        ("rich", "models.tabular.BinaryClassification", ["--data.classes", "['>50K', poor]"], "'<=50K' is not among"),
        ("ritch", "models.tabular.BinaryClassification", [], "did you mean 'rich'?"),
        ("rich", "models.tabular.BinaryClassification", ["--data.features", "[person.yaers]"], "'person.years'?"),
        ("rich", "models.tabular.BinaryClassification", ["--data.split.column", "persn"], "did you mean 'person'?"),
        ("rich", "models.tabular.BinaryClassification", ["--data.csv", "{sepator: ';'}"], "sepator"),
        ("rich", "models.tabular.BinaryClassification", ["--data.rows", "nobody.csv"], "data.rows: 'nobody.csv'"),
    ],
)
def test_configs_that_do_not_fit_the_table_are_refused(
    label: str, task: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_people()
    Path("config.yaml").write_text(CLASSES.format(label=label, task=task, network=LINEAR))
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs", *options]) != 0
    assert message in " ".join(capsys.readouterr().err.split())


LOG = """
seed_everything: 1
trainer: {max_epochs: 1, accelerator: cpu}
model:
  class_path: models.tabular.TabularModule
  init_args:
    network: {class_path: models.tabular.MLP, init_args: {hidden_size: 8}}
    task: models.tabular.Counts
    optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
data:
  class_path: datamodules.tabular.FeatureTableDataModule
  init_args:
    definitions: log.yaml
    entities: purchases
    at: "2024-02-01"
    label: next_month
    split:
      class_path: datamodules.tabular.ListedSplit
      init_args: {column: customer, test: chosen.txt, csv: {separator: whitespace, columns: [customer]}}
    batch_size: 16
"""
LOG_FEATURES = """
entities: {customer: {keys: {customer: int}}}
sources:
  purchases:
    path: purchases.txt
    csv: {separator: whitespace, columns: [customer, date, amount], skip_rows: 1}
    time: date
    time_format: "%Y%m%d"
    until: 2024-03-02 00:00:00
    columns: {amount: {type: float, unit: euros}}
views:
  customer:
    source: purchases
    entity: customer
    features:
      purchases: {kind: aggregate, function: count}
      spent: {kind: aggregate, function: sum, column: amount}
      days_since_last: {kind: time_since}
labels:
  next_month: {kind: future, source: purchases, entity: customer, function: count, window: 30d}
"""


def test_entities_of_a_log_are_asked_at_a_time_and_scored_from_its_raw_text() -> None:
    rng = np.random.default_rng(0)
    days = [f"2024{month:02}{day:02}" for month in (1, 2) for day in range(1, 30)]
    lines = [f" {rng.integers(1, 101):05}  {day}   {rng.uniform(1, 9):.2f}" for day in days for _ in range(9)]
    Path("purchases.txt").write_text("\n".join([" customer  date  amount", *lines]))
    Path("chosen.txt").write_text("\n".join(f"{number:04}" for number in range(1, 21)))
    Path("log.yaml").write_text(LOG_FEATURES)
    Path("config.yaml").write_text(LOG)
    assert main(["fit", "-c", "config.yaml", "--run.root", "runs"]) == 0
    run = only_run(Path("runs"))
    assert main(["test", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    assert main(["predict", "--ckpt_path", str(run / "checkpoints/best.ckpt")]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0
    raw = ["score", "package", "purchases.txt", "--output"]
    assert main([*raw, "scored.parquet", "--at", "2024-02-01"]) == 0
    predicted, scored = (pl.read_parquet(path) for path in (run / "predictions.parquet", "scored.parquet"))
    seen = {int(line.split()[0]) for line in lines if line.split()[1] < "20240201"}
    assert set(scored["customer"]) == set(predicted["customer"]) == seen
    assert_near(scored.sort("customer")["prediction"], predicted.sort("customer")["prediction"])
    assert main([*raw, "later.parquet", "--at", "2024-02-20"]) == 0
    assert len(pl.read_parquet("later.parquet")) > len(scored)
    assert main([*raw, "never.parquet"]) != 0  # at which time?
    assert main(["features", "materialize", "log.yaml", "--store", "sqlite:///log.db"]) == 0
    assert main([*raw, "log.parquet", "--at", "2024-03-05"]) == 0
    expected = pl.read_parquet("log.parquet")
    expected.select("customer").write_csv("ids.csv")
    stored = ["score", "package", "ids.csv", "--store", "sqlite:///log.db", "--at", "2024-03-05"]
    assert main([*stored, "--output", "ids.parquet"]) == 0
    by_id = pl.read_parquet("ids.parquet")
    assert by_id["customer"].to_list() == expected["customer"].to_list()
    assert_near(by_id["prediction"], expected["prediction"])


def test_packages_refuse_a_preparation_of_another_network(shops: TrainedFamily) -> None:
    from dataclasses import replace

    from lightning_app.packaging.runtime.raw_input import load_raw_input

    manifest = Package.load(shops.package).manifest
    specs = tuple(
        replace(spec, shape=("batch", 9), columns=None) if spec.name == "numbers" else spec for spec in manifest.inputs
    )
    with pytest.raises(PackageError, match="the fitted state of another version"):
        load_raw_input(
            replace(manifest, inputs=specs), {"features.json": (shops.package / "features.json").read_bytes()}
        )
