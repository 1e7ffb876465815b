"""Packages of tabular models that answer rows with keys, their history from an online store or from further tables."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.contracts import Contract
from features.definitions import Definitions
from features.pipeline import AskedRows, FeaturePipeline
from features.store import OnlineStore, StoreError, materialize, open_store
from lightning_app.__main__ import main
from lightning_app.packaging import BadRowsError, Package, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.raw_kinds.features_input import FeaturesInput
from lightning_app.packaging.runtime.raw_kinds.features_spec import raw_input_spec
from tests.families import TrainedFamily

SOON = datetime(2024, 5, 2, 6, 30)
"""After the last event, 2024-04-29: some events have left the window of a week."""
ASKED = pl.DataFrame(
    {
        "shop": ["a", "c", "never seen", "c"],
        "price": [1.5, None, 2.0, 2.5],
        "stock": [60.0, 70.0, 80.0, 55.5],
        "weather": ["sun", "rain", "hail", None],
    }
)


@pytest.fixture
def shops(family: Callable[[str], TrainedFamily]) -> TrainedFamily:
    return family("tabular")


@pytest.fixture
def package(shops: TrainedFamily) -> Package:
    return Package.load(shops.package)


@pytest.fixture
def log(shops: TrainedFamily) -> pl.DataFrame:
    return pl.read_csv(shops.folder / "shops.csv")


@pytest.fixture
def store(package: Package, log: pl.DataFrame, tmp_path: Path) -> OnlineStore:
    store = open_store(tmp_path / "features.db")
    list(materialize(pipeline_of(package).definitions, store, tables={"sales": log}))
    return store


@pytest.fixture
def apart(shops: TrainedFamily, package: Package, tmp_path: Path) -> Path:
    """The same package, but rows are asked about beside the log, which is a table of its own."""
    folder = tmp_path / "apart"
    shutil.copytree(shops.package, folder)
    pipeline = msgspec.structs.replace(pipeline_of(package), rows=AskedRows(time="date"))
    content = pipeline.to_json()
    (folder / "features.json").write_bytes(content)
    manifest = Manifest.from_json((folder / "manifest.json").read_bytes())
    assert manifest.files is not None
    entry = replace(manifest.files["features.json"], sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    files = {**manifest.files, "features.json": entry}
    changed = replace(manifest, files=files, raw_input=raw_input_spec(pipeline))
    (folder / "manifest.json").write_bytes(changed.to_json())
    return folder


def pipeline_of(package: Package) -> FeaturePipeline:
    raw_input = package.predictor.raw_input
    assert isinstance(raw_input, FeaturesInput)
    return raw_input.pipeline


def from_log(package: Package, log: pl.DataFrame, asked: pl.DataFrame, at: datetime) -> pl.Series:
    """Answers to rows at a time, as the raw log of events with these rows at its end gives them."""
    rows = asked.with_columns(date=pl.lit(at.isoformat(sep=" ")))
    whole = pl.concat([log.with_columns(pl.col("date") + " 00:00:00"), rows], how="diagonal")
    return package.predict(whole)["prediction"].tail(len(asked))


@pytest.mark.filterwarnings("ignore:.*does not know")
@pytest.mark.parametrize("at", [SOON, datetime(2024, 4, 30), datetime(2024, 7, 1)], ids=["soon", "at once", "expired"])
def test_ids_are_answered_from_a_store_as_from_the_log_of_events(
    at: datetime, package: Package, log: pl.DataFrame, store: OnlineStore
) -> None:
    answer = package.with_store(store).predict(ASKED, at=at)
    assert answer.columns == ["row", "shop", "time", "prediction"]
    assert answer["shop"].to_list() == ASKED["shop"].to_list()
    assert answer["time"].to_list() == [at] * len(ASKED)
    assert answer["prediction"].to_list() == pytest.approx(from_log(package, log, ASKED, at).to_list(), rel=1e-5)


def test_score_answers_ids_from_a_store_at_a_time_or_at_that_of_each_row(
    shops: TrainedFamily, package: Package, log: pl.DataFrame, store: OnlineStore, capsys: pytest.CaptureFixture[str]
) -> None:
    ASKED.with_columns(manager=pl.lit("kim")).write_csv("ids.csv")
    words = ["--store", store.url, "--output", "scored.parquet"]
    assert main(["score", str(shops.package), "ids.csv", *words, "--at", SOON.isoformat()]) == 0
    said = capsys.readouterr().out
    assert "not read: manager" in said
    assert "store: view 'past': 1 rows are of entities that it does not know: as one never seen" in said
    scored = pl.read_parquet("scored.parquet")["prediction"].to_list()
    assert scored == pytest.approx(from_log(package, log, ASKED, SOON).to_list(), rel=1e-5)
    ASKED.with_columns(date=pl.Series([SOON.isoformat(), "2024-07-01", SOON.isoformat(), None])).write_csv("timed.csv")
    assert main(["score", str(shops.package), "timed.csv", *words, "--overwrite", "--max-rejected", "1"]) == 0
    timed = pl.read_parquet("scored.parquet")["prediction"].to_list()
    late = from_log(package, log, ASKED, datetime(2024, 7, 1)).to_list()
    assert timed == pytest.approx([scored[0], late[1], scored[2]], rel=1e-5)
    assert pl.read_parquet("scored.rejected.parquet")["reason"].to_list() == ["the row has no time"]


@pytest.mark.filterwarnings("ignore:.*does not know")
def test_rows_without_a_time_are_asked_about_now(package: Package, store: OnlineStore) -> None:
    with pytest.warns(UserWarning, match="rows: 4 rows have no time: asked about now"):
        answer = package.with_store(store).predict(ASKED.to_dict(as_series=False))
    now = datetime.now(UTC).replace(tzinfo=None)
    assert abs((answer["time"][0].astype(datetime) - now).total_seconds()) < 60
    with pytest.warns(UserWarning, match="'date' that is not read: all are asked about 2024-05-02"):
        package.with_store(store).predict(ASKED.with_columns(date=pl.lit("2024-06-01")), at=SOON)


@pytest.mark.parametrize("at", [SOON, None])
def test_a_few_rows_are_answered_as_a_table_of_many(
    package: Package, store: OnlineStore, at: datetime | None, recwarn: pytest.WarningsRecorder
) -> None:
    joined = package.with_store(store)
    rows = ASKED if at else ASKED.with_columns(date=pl.Series(["2024-05-02", "2024-05-02T06:30", "2024-05-09", None]))
    rows = rows if at else rows.head(3)
    expected = joined.predict(pl.concat([rows] * 100), at=at).head(len(rows))
    recwarn.clear()
    assert_frame_equal(joined.predict(rows, at=at), expected)
    assert [str(one.message) for one in recwarn][-1].endswith(
        "1 rows are of entities that it does not know: as one never seen"
    )
    assert joined.read_records(rows.to_dicts(), at=at) is not None
    columns = rows.to_dict(as_series=False)
    for name, values in joined.predict(columns, at=at).items():
        assert values.tolist() == expected[name].to_numpy().tolist(), name
    with pytest.raises(RequestError, match="before"):
        joined.predict(rows.head(1).to_dict(as_series=False), at=datetime(2024, 1, 2))
    with pytest.raises(BadRowsError, match="stock: 'much' is no number"):
        joined.predict({"shop": ["a"], "price": [1.0], "stock": ["much"], "weather": ["sun"]}, at=SOON)


def test_the_package_says_what_a_store_spares_its_users(
    shops: TrainedFamily, package: Package, store: OnlineStore
) -> None:
    assert package.manifest.raw_input is not None
    assert package.manifest.raw_input.stored_views == ("past",)
    assert "The history (views `past`) can come from an online store" in (shops.package / "MODEL_CARD.md").read_text()
    stored = package.with_store(store).manifest.raw_input
    assert stored is not None
    needed = {column.name: column.required for column in stored.columns}
    assert needed == {"shop": True, "date": False, "price": True, "stock": True, "weather": True}


@pytest.mark.parametrize(
    ("change", "at", "message"),
    [
        (lambda rows: rows.drop("shop"), SOON, "shop: no such column .key."),
        (lambda rows: rows.drop("price").with_columns(prize=1.0), SOON, "price: no such column.*'prize' is near"),
        (lambda rows: rows.with_columns(shop=1.5), SOON, "'shop' is Float64; its type is declared as str"),
        (lambda rows: rows, datetime(2024, 4, 1), "is before 2024-04-2.*when the last event"),
        (lambda rows: rows, datetime(2024, 5, 2, tzinfo=UTC), "with a zone, the times of view 'past' .* without one"),
        (lambda rows: rows, [SOON, SOON], "at: 2 times given"),
        (lambda rows: rows, "soon", "at: 'soon' given, a time in ISO 8601 is needed"),
    ],
)
def test_rows_that_a_store_cannot_answer_are_refused(
    change: Callable[[pl.DataFrame], pl.DataFrame], at: object, message: str, package: Package, store: OnlineStore
) -> None:
    with pytest.raises(RequestError, match=message):
        package.with_store(store).predict(change(ASKED), at=at)


def test_stores_that_do_not_hold_the_history_are_refused(
    shops: TrainedFamily, package: Package, log: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = open_store(tmp_path / "other.db")
    with pytest.raises(RequestError, match="view 'past' .* was never written"):
        package.with_store(empty).predict(ASKED, at=SOON)
    text = (shops.package / "features.yaml").read_text()
    assert "window: 7d" in text
    (tmp_path / "changed.yaml").write_text(text.replace("window: 7d", "window: 8d"))
    list(materialize(Definitions.load(tmp_path / "changed.yaml"), empty, tables={"sales": log}, namespace="mine"))
    with pytest.raises(RequestError, match="is of other definitions"):
        package.with_store(empty, namespace="mine").predict(ASKED, at=SOON)
    ASKED.write_csv("ids.csv")
    (tmp_path / "text.db").write_text("This is no store, but a text that is long enough to have pages of its own.")
    for words, message in [
        (["--store", "sqlite:///text.db"], "store: sqlite:///text.db"),
        (["--store", "mongo://here"], "is no address of a store"),
        (["--namespace", "mine"], "namespace: 'mine' given without --store"),
        (["--store", "other.db", "--namespace", "nobody"], "namespace 'nobody', was never written"),
        (["--store", "other.db", "--table", "sales=ids.csv"], "beside a store, which holds the whole history"),
    ]:
        assert main(["score", str(shops.package), "ids.csv", *words, "--output", "scored.parquet"]) != 0
        assert message in " ".join(capsys.readouterr().err.split())


def test_a_store_that_is_down_is_no_fault_of_the_request(package: Package) -> None:
    redis = pytest.importorskip("redis", reason="this store needs the extra redis")
    assert redis
    with pytest.raises(StoreError, match="localhost:1"):
        package.with_store(open_store("redis://:secret@localhost:1/0", timeout=0.5)).predict(ASKED, at=SOON)


def test_views_that_are_not_for_stores_are_refused(package: Package, store: OnlineStore) -> None:
    pipeline = pipeline_of(package)
    past = msgspec.structs.replace(pipeline.definitions.views["past"], online=False)
    views = {**pipeline.definitions.views, "past": past}
    offline = msgspec.structs.replace(pipeline, definitions=msgspec.structs.replace(pipeline.definitions, views=views))
    assert raw_input_spec(offline).stored_views == ()
    with pytest.raises(RequestError, match="view 'past' says online: false"):
        FeaturesInput(offline).with_store(store)
    days = msgspec.structs.replace(pipeline, features=("day.given_price",), rows=AskedRows())
    with pytest.raises(RequestError, match="the features have no history"):
        FeaturesInput(days).with_store(store)


@pytest.mark.filterwarnings("ignore:.*does not know")
def test_rows_from_a_store_keep_the_rules_that_concern_a_row_by_itself(package: Package, store: OnlineStore) -> None:
    rules = [{"kind": "row_count", "min": 500}, {"kind": "unique", "columns": ["shop"]}]
    prices = {"kind": "range", "column": "price", "max": 2.2, "severity": "quarantine"}
    columns = {"shop": {"type": "str"}, "sold": {"type": "float"}, "date": {"type": "datetime"}}
    contract = Contract.from_data({"key": ["shop", "date"], "columns": columns, "rules": [*rules, prices]})
    kept = Package(path=package.path, digest=package.digest, predictor=package.predictor, contract=contract.to_json())
    with pytest.raises(BadRowsError, match="row 3: .*price"):
        kept.with_store(store).predict(ASKED, at=SOON)
    assert len(kept.with_store(store).predict(ASKED.head(3), at=SOON)) == 3


def test_further_sources_are_tables_of_score(
    apart: Path, package: Package, log: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ASKED.with_columns(date=pl.lit(SOON.isoformat()))
    rows.write_csv("rows.csv")
    log.write_csv("sales.csv")
    score = ["score", str(apart), "rows.csv", "--output", "scored.parquet"]
    assert main([*score, "--table", "sales=sales.csv"]) == 0
    expected = from_log(package, log, ASKED, SOON).to_list()
    assert pl.read_parquet("scored.parquet")["prediction"].to_list() == pytest.approx(expected, rel=1e-5)
    in_python = Package.load(apart).with_tables({"sales": log}).predict(rows)
    assert_frame_equal(in_python.select("prediction"), pl.read_parquet("scored.parquet").select("prediction"))
    for words, message in [
        ([], "the features read the source 'sales', and it is not given"),
        (["--table", "sails=sales.csv"], "no further source 'sails'; did you mean 'sales'?"),
        (["--table", "sales"], "'sales' given, SOURCE=FILE is needed"),
        (["--table", "sales=a.csv", "--table", "sales=b.csv"], "'sales' given twice"),
        (["--table", "sales=none.csv"], "none.csv does not exist"),
        (["--table", "sales=rows.csv"], "'sold'"),
    ]:
        assert main([*score, *words, "--overwrite"]) != 0
        assert message in " ".join(capsys.readouterr().err.split())
    with pytest.raises(RequestError, match="'sales' given, but the request itself is the table of this source"):
        package.with_tables({"sales": log})


def test_packages_read_stores_without_torch(shops: TrainedFamily, store: OnlineStore) -> None:
    code = (
        "import sys, polars as pl; from datetime import datetime; from features.store import open_store\n"
        "from lightning_app.packaging import Package\n"
        "rows = pl.DataFrame({'shop': ['a'], 'price': [1.5], 'stock': [60.0], 'weather': ['sun']})\n"
        "package = Package.load(sys.argv[1]).with_store(open_store(sys.argv[2]))\n"
        "assert len(package.predict(rows, at=datetime(2024, 5, 2))) == 1\n"
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(shops.package), store.url], check=True)
