"""Feast repositories: what `feast apply` has written becomes definitions that our engine runs, to the same values."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.batch import training_table
from features.definitions import Definitions
from features.store import ViewReader, materialize, open_store
from lightning_app.__main__ import main

REPO = """
from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float64, Int64, String, UnixTimestamp

customer = Entity(name="customer", join_keys=["customer_id"], description="Who buys")
shop = Entity(name="shop", join_keys=["shop_id"])
orders = FileSource(
    name="orders",
    path="data/orders.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
    field_mapping={"amt": "amount"},
)
customer_stats = FeatureView(
    name="customer_stats",
    entities=[customer],
    ttl=timedelta(days=7),
    schema=[
        Field(name="amount", dtype=Float64, description="Last amount"),
        Field(name="num_orders", dtype=Int64),
        Field(name="tags", dtype=Array(String)),
    ],
    source=orders,
    owner="team",
)
visits = FeatureView(
    name="visits",
    entities=[customer, shop],
    ttl=timedelta(0),
    schema=[Field(name="seen", dtype=UnixTimestamp)],
    source=orders,
    online=False,
)


@on_demand_feature_view(
    sources=[customer_stats, RequestSource(name="request", schema=[Field(name="x", dtype=Int64)])],
    schema=[Field(name="y", dtype=Float64)],
)
def product(inputs):
    inputs["y"] = inputs["amount"] * inputs["x"]
    return inputs[["y"]]
"""
STORE = """
project: shop
provider: local
registry: data/registry.db
online_store: {type: sqlite, path: data/online.db}
offline_store: {type: duckdb}
entity_key_serialization_version: 3
"""


def test_without_feast_the_extra_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        import feast  # noqa: F401
    except ModuleNotFoundError:
        (tmp_path / "feature_store.yaml").write_text(STORE)
        assert main(["features", "import-feast", str(tmp_path)]) == 2
        assert "pip install 'lightning-r2p[feast]'" in capsys.readouterr().err
    assert main(["features", "import-feast", str(tmp_path / "absent")]) == 2
    assert "is no Feast repository: it has no feature_store.yaml" in capsys.readouterr().err


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose rows were created within the hour after their event time."""
    pytest.importorskip("feast", reason="the extra feast is not installed")
    folder = tmp_path_factory.mktemp("feast") / "repo"
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(STORE)
    (folder / "shop.py").write_text(REPO)
    rng, rows = np.random.default_rng(0), 2_000
    start = datetime(2024, 1, 1, tzinfo=UTC)
    seconds = rng.choice(60 * 86_400, rows, replace=False)
    events = [start + timedelta(seconds=int(second)) for second in seconds]
    pl.DataFrame(
        {
            "customer_id": rng.integers(0, 50, rows),
            "shop_id": [f"s{number}" for number in rng.integers(0, 3, rows)],
            "event_timestamp": events,
            "created": events,
            "amt": rng.normal(size=rows),
            "num_orders": rng.integers(0, 9, rows),
            "seen": [event - timedelta(days=1) for event in events],
            "tags": [["a"]] * rows,
        }
    ).write_parquet(folder / "data" / "orders.parquet")
    apply = [sys.executable, "-c", "from feast.cli.cli import cli; cli()", "apply"]
    subprocess.run(apply, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def definitions(repo: Path) -> Definitions:
    assert main(["features", "import-feast", str(repo), "--output", str(repo.parent / "features.yaml")]) == 0
    return Definitions.load(repo.parent / "features.yaml")


def test_views_entities_and_sources_are_read(definitions: Definitions) -> None:
    assert definitions.select() == ("customer_stats.amount", "customer_stats.num_orders", "visits.seen")
    view = definitions.views["customer_stats"]
    assert (view.entity, view.ttl, view.owner, view.online) == ("customer", "7d", "team", True)
    assert (definitions.views["visits"].ttl, definitions.views["visits"].online) == (None, False)
    assert definitions.entities["customer"].keys == {"customer_id": "int"}
    assert definitions.entities["customer_shop"].keys == {"customer_id": "int", "shop_id": "str"}
    source = definitions.sources["orders_of_customer"]
    assert (source.path, source.time, source.available) == ("repo/data/orders.parquet", "event_timestamp", "created")
    assert source.event_id == ("customer_id", "event_timestamp")
    assert {name: column.type for name, column in source.columns.items()} == {"amt": "float", "num_orders": "int"}


def test_what_cannot_be_read_is_said(repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["features", "import-feast", str(repo), "--output", str(tmp_path / "features.yaml")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "left out: on-demand feature view product: Python code" in said.err
    assert "left out: field customer_stats.tags: values of type STRING_LIST" in said.err
    assert "3 features in 2 views, 2 entities, 2 sources; 2 left out" in said.out
    assert main(words) == 2
    assert "features.yaml exists; name another --output or give --overwrite" in capsys.readouterr().err


def test_our_training_table_has_the_values_of_feast(
    repo: Path, definitions: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feast import FeatureStore

    monkeypatch.chdir(repo)  # DuckDB looks for relative paths there

    rng, rows = np.random.default_rng(1), 500
    start = datetime(2024, 1, 1, tzinfo=UTC)
    asked = pl.DataFrame(
        {
            "row": np.arange(rows),
            "customer_id": rng.integers(0, 60, rows),  # some are in no row
            "shop_id": [f"s{number}" for number in rng.integers(0, 3, rows)],
            "event_timestamp": [start + timedelta(seconds=float(s) + 0.5) for s in rng.integers(0, 90 * 86_400, rows)],
        }
    )
    ours = training_table(definitions, asked, at="event_timestamp", root=repo.parent)
    names = ["customer_stats:amount", "customer_stats:num_orders", "visits:seen"]
    answer = FeatureStore(repo_path=str(repo)).get_historical_features(asked.to_pandas(), features=names).to_arrow()
    theirs = pl.DataFrame(answer).sort("row")
    assert len(theirs) == len(ours) == rows
    assert 0.1 < ours["amount"].null_count() / rows < 0.9
    for name in ("amount", "num_orders", "seen"):
        other = theirs[name].cast(ours[name].dtype)
        assert ours[name].equals(other.rename(name)), name


def test_an_imported_view_is_served_from_an_online_store_as_in_training(
    repo: Path, definitions: Definitions, tmp_path: Path
) -> None:
    at = datetime(2024, 3, 3, tzinfo=UTC)
    store = open_store(tmp_path / "online.db")
    (done,) = materialize(definitions, store, root=repo.parent)
    assert (done.view, done.entities) == ("customer_stats", 50)
    customers = list(range(60))
    served = ViewReader(definitions, store, "customer_stats").read([(customer,) for customer in customers], at=at)
    rows = pl.DataFrame({"customer_id": customers, "time": [at] * 60})
    trained = training_table(definitions, rows, features=["customer_stats"], root=repo.parent)
    assert served.values == [list(row) for row in trained.select("amount", "num_orders").rows()]
    assert 0 < trained["amount"].null_count() < 60
