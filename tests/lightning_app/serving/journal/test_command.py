import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.serving.journal.record import Outcome, Prediction
from lightning_app.serving.journal.redaction import Redaction
from lightning_app.serving.journal.spill import SpillFile
from lightning_app.serving.journal.stores import open_store
from tests.lightning_app.serving.journal.records import empty_database, outcome, prediction
from tests.postgres import needs_postgres

URL = "sqlite:///journal.db"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


def journal(predictions: Sequence[Prediction], outcomes: Sequence[Outcome] = (), *, url: str = URL) -> None:
    store = open_store(url)
    store.write(predictions)
    store.feedback(outcomes)
    store.close()


def answered(request: Any, answer: Any, request_id: str | None = None, **fields: Any) -> Prediction:
    """A prediction with JSON bodies."""
    content = msgspec.json.encode({"model": "churn", "version": 3, "request_id": "x", "notes": [], **answer})
    return prediction(request_id, body=msgspec.json.encode(request), answer=content, time=NOON, **fields)


def exported(*options: str) -> pl.DataFrame:
    assert main(["journal", "export", URL, "--output", "rows.parquet", *options]) == 0
    return pl.read_parquet("rows.parquet")


def arrow(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_ipc_stream(file)
    return file.getvalue()


def parquet(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file)
    return file.getvalue()


def test_requests_of_several_rows_become_rows_with_their_outcomes(capsys: pytest.CaptureFixture[str]) -> None:
    journal(
        [
            answered(
                {"records": [{"age": 41, "city": "Bern"}, {"age": 28}]},
                {"predictions": [{"label": "stays", "p": 0.9}, {"label": "leaves", "p": 0.7}]},
                "a", num_rows=2, entity="customer-7",
            ),
            answered({"columns": {"age": [30.5], "vip": [True]}}, {"predictions": {"label": ["stays"], "p": [1]}}, "b"),
        ],
        [outcome("a", b'"leaves"', row=1), outcome("b", None, reward=0.5), outcome("a", b"1", row=9), outcome("z")],
    )  # fmt: skip
    rows = exported()
    assert rows.columns == [
        "request_id", "row", "time", "model", "version", "digest", "arm", "probability", "entity", "latency_ms",
        "experiment", "degraded", "age", "city", "vip", "prediction.label", "prediction.p", "outcome", "reward",
        "outcome_time",
    ]  # fmt: skip
    assert rows["outcome_time"].is_null().to_list() == [True, False, False]
    assert rows.schema["outcome_time"] == pl.Datetime("us", "UTC")
    assert rows.select("request_id", "row", "age", "city", "vip", "prediction.p", "outcome", "reward").rows() == [
        ("a", 0, 41.0, "Bern", None, 0.9, None, None),
        ("a", 1, 28.0, None, None, 0.7, "leaves", None),
        ("b", 0, 30.5, None, True, 1.0, None, 0.5),
    ]
    assert rows["time"].unique().to_list() == [datetime(2026, 5, 1, 12, tzinfo=UTC)]
    assert rows["entity"].to_list()[0] == "customer-7"
    assert "1 outcomes of rows that the answer does not have" in capsys.readouterr().err
    with_outcomes = exported("--with-outcomes", "--outcome-as", "churned")
    assert with_outcomes.select("request_id", "row", "churned").rows() == [("a", 1, "leaves"), ("b", 0, None)]
    assert "left out: 1 rows without an outcome" in capsys.readouterr().err


def test_types_of_tables_are_kept_beside_json() -> None:
    table = pl.DataFrame(
        {"age": [41, 28], "when": [datetime(2026, 1, 1), None], "x": [[1.5, 2.5], [3.5, 4.5]]},
        schema={"age": pl.Int16, "when": pl.Datetime("us"), "x": pl.List(pl.Float32)},
    )
    answer = pl.DataFrame({"label": ["stays", "leaves"]}, schema={"label": pl.Categorical})
    tables = {
        "content_type": ARROW, "body": arrow(table), "answer_type": PARQUET, "answer": parquet(answer), "num_rows": 2,
    }  # fmt: skip
    json_answer = msgspec.json.encode({"predictions": [{"label": "a"}, {"label": "b"}]})
    journal(
        [
            prediction("a", **tables),
            prediction("p", content_type=PARQUET, body=parquet(table), answer=json_answer, num_rows=2),
        ]
    )
    rows = exported()
    assert rows.schema["age"] == pl.Int16
    assert rows.schema["when"] == pl.Datetime("us")
    assert rows.schema["x"] == pl.List(pl.Float32)
    assert rows["prediction.label"].to_list() == ["stays", "leaves", "a", "b"]
    assert rows["x"].to_list()[:2] == [[1.5, 2.5], [3.5, 4.5]]
    journal([answered({"records": [{"age": 2.5, "x": [1.0]}]}, {"predictions": [{"label": "c"}]})])
    rows = exported()
    assert rows["age"].to_list() == [41.0, 28.0, 41.0, 28.0, 2.5]
    assert rows["x"].to_list()[-1] == [1.0]


def test_one_answer_to_many_rows_stays_one_row_of_lists(capsys: pytest.CaptureFixture[str]) -> None:
    history = {"records": [{"date": f"2026-01-0{day}", "load": float(day)} for day in range(1, 4)]}
    forecast = [{"time": f"2026-01-0{day}", "channel": "load", "forecast": float(day)} for day in range(4, 7)]
    journal(
        [
            answered(history, {"predictions": forecast}, "as-many", num_rows=3),
            answered(history, {"predictions": forecast[:2]}, "fewer", num_rows=3),
            answered(history, {"predictions": forecast}, "first-step", num_rows=3),
        ],
        [
            outcome("as-many", b"[4.5, 5.5, 6.5]"), outcome("fewer", b"4", row=0), outcome("fewer", b"5", row=1),
            outcome("first-step", b"4", row=0),
        ],
    )  # fmt: skip
    rows = exported()
    assert rows["load"].to_list() == [[1.0, 2.0, 3.0]] * 3
    assert rows["prediction.forecast"].to_list() == [[4.0, 5.0, 6.0], [4.0, 5.0], [4.0, 5.0, 6.0]]
    assert rows["outcome"].to_list() == [[4.5, 5.5, 6.5], [4.0, 5.0], [4.0, None, None]]
    assert rows["outcome_time"].null_count() == 0
    assert "3 requests with one answer to many rows" in capsys.readouterr().err


def test_several_tables_and_inputs_from_a_store_are_kept() -> None:
    request = {"tables": {"rows": {"records": [{"id": 7}]}, "orders": {"columns": {"id": [7, 7], "price": [1, 2]}}}}
    features = arrow(pl.DataFrame({"spend": [12.5]}))
    journal(
        [
            answered(request, {"predictions": [{"label": "stays"}]}),
            answered({"records": [{"id": 8}]}, {"predictions": [{"label": "leaves"}]}, features=features),
        ]
    )
    rows = exported()
    assert rows["orders.price"].to_list() == [[1, 2], None]
    assert rows["id"].to_list() == [None, 8]
    assert rows["input.spend"].to_list() == [None, 12.5]
    assert rows["prediction.label"].to_list() == [["stays"], ["leaves"]]


def test_columns_of_requests_keep_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    journal([answered({"records": [{"time": "2026-01-01", "zip": "8001"}]}, {"predictions": [{"time": "2026-01-01"}]})])
    journal([answered({"records": [{"time": "2026-01-01", "zip": 8002}]}, {"predictions": [{"y": 1}]})])
    rows = exported()
    assert rows["time"].to_list() == ["2026-01-01"] * 2
    assert rows["journal.time"].to_list() == [datetime(2026, 5, 1, 12, tzinfo=UTC)] * 2
    assert rows["zip"].to_list() == ["8001", "8002"]
    said = capsys.readouterr().err
    assert "journal.time" in said
    assert "zip: values of several types, written as text" in said


def test_tensors_of_the_inference_protocol_are_rows() -> None:
    request = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}]}
    answer = msgspec.json.encode({"outputs": [{"name": "y", "shape": [2], "datatype": "INT64", "data": [5, 6]}]})
    journal([prediction(body=msgspec.json.encode(request), answer=answer, num_rows=2)])
    assert exported().select("x", "prediction.y").rows() == [([1.0, 2.0], 5), ([3.0, 4.0], 6)]


def test_what_cannot_be_exported_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    journal([prediction(content_type="text/csv", body=b"\x00\x01"), prediction("good")])
    assert exported()["request_id"].to_list() == ["good"]
    assert "left out: 1 predictions: bodies of text/csv" in capsys.readouterr().err
    assert main(["journal", "export", URL, "--output", "none.parquet", "--model", "other"]) == 2
    assert "holds no such predictions" in capsys.readouterr().err
    assert sorted(path.name for path in Path().glob("*.parquet")) == ["rows.parquet"]


def test_an_export_of_many_parts_selects_by_version_and_time() -> None:
    journal(
        [
            prediction(f"{hour}", time=NOON + 3600 * hour, body=b'{"records":[{"x":1}]}' + b" " * 2**22)
            for hour in range(6)
        ]
    )
    journal([prediction("new", version=4, time=NOON)])
    assert exported()["request_id"].to_list() == [*"012345", "new"]
    window = ("--since", "2026-05-01T13:00:00", "--until", "2026-05-01T17:00:00+02:00")
    assert exported("--model", "churn", "--version", "3", *window)["request_id"].to_list() == ["1", "2"]


def test_dropped_and_hashed_columns_appear_nowhere(tmp_path: Path) -> None:
    rows = [{"email": "ann@example.org", "name": "Ann Secret", "age": 41}]
    table = pl.DataFrame(rows).with_columns(pl.lit([1.5]).alias("x"))
    store = open_store(URL)
    redaction = Redaction(dropped=["name"], hashed=["email"], salt=store.salt())
    tensor = {"inputs": [{"name": "email", "shape": [1], "datatype": "BYTES", "data": ["ann@example.org"]}]}
    given = [
        answered({"records": rows}, {"predictions": [{"name": "Ann Secret", "y": 1}], "notes": ["Ann Secret?"]},
                 entity="ann@example.org"),
        answered({"columns": {name: [value] for name, value in rows[0].items()}}, {"predictions": {"y": [1]}},
                 entity="Ann Secret"),
        answered({"tables": {"rows": {"records": rows}}}, {"predictions": [{"y": 1}]}),
        answered(tensor, {"predictions": [{"y": 1}]}),
        *(
            prediction(content_type=kind, body=write(table), answer_type=kind, answer=write(table), features=arrow(table))  # noqa: E501
            for kind, write in ((ARROW, arrow), (PARQUET, parquet))
        ),
        prediction(content_type="application/octet-stream", body=b"..ann@example.org.."),
    ]  # fmt: skip
    redacted, unreadable = zip(*(redaction.apply(one) for one in given), strict=True)
    assert unreadable == (0, 0, 0, 0, 0, 0, 1)
    assert [one.is_redacted for one in redacted] == [True, False, False, False, True, True, False]
    store.write(redacted)
    store.close()
    spill = SpillFile(tmp_path / "spill", durable=False)
    spill.append(redacted)
    spill.close()
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"age" in held
    assert not [secret for secret in (b"ann@example", b"Ann Secret") if secret in held]
    digest = redaction.hash_of("ann@example.org")
    exported_rows = exported()
    assert digest is not None
    assert set(exported_rows["entity"].to_list()[:2]) == {digest, None}
    flat = [value[0] if isinstance(value, list) else value for value in exported_rows["email"].to_list()]
    assert set(flat) == {digest}
    assert "name" not in exported_rows.columns
    untouched = answered({"records": [{"age": 41}]}, {"predictions": [{"y": 1}]})
    assert redaction.apply(untouched) == (untouched, 0)
    assert redaction.hash_of(5) == redaction.hash_of(5.0) == redaction.hash_of("5")


def test_of_a_body_that_cannot_be_read_nothing_is_kept() -> None:
    redaction = Redaction(dropped=["name"], hashed=[], salt=b"salt")
    deep = b'{"records": [{"ignored": ' + b"[" * 900 + b'"Ann"' + b"]" * 900 + b', "name": "Ann"}]}'
    for content_type, body in (("application/octet-stream", b"Ann"), ("application/json", deep), (ARROW, b"Ann")):
        one, num_unreadable = redaction.apply(prediction(content_type=content_type, body=body, entity="Ann"))
        assert (one.body, one.entity, num_unreadable) == (b"", None, 1)


def test_show_prune_and_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal([prediction(time=NOON), prediction(time=NOON, version=4)], [outcome("unknown")])
    spill = SpillFile(tmp_path / "journal-spill", durable=False)
    spill.append([prediction("spilled", time=NOON), outcome("spilled")])
    spill.close()
    assert main(["journal", "show", URL]) == 0
    shown = capsys.readouterr().out
    assert "2026-05-01" in shown
    assert "outcomes without a prediction: 1" in shown
    assert "spilled: 1 files in journal-spill wait" in shown
    assert main(["journal", "replay", URL]) == 0
    assert "replayed: 2 records of 1 files; 0 were there already" in capsys.readouterr().out
    assert main(["journal", "show", URL, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [day["predictions"] for day in facts["days"]] == [2, 1]
    assert facts["spill_files"] == 0
    assert main(["journal", "prune", URL, "--days", "0"]) == 0
    assert "deleted: 3 predictions and 2 outcomes" in capsys.readouterr().out


@needs_postgres
def test_the_command_reads_postgres(postgres_server: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = empty_database(postgres_server)
    assert main(["journal", "show", url]) == 2
    assert "holds no journal" in capsys.readouterr().err
    journal([answered({"records": [{"age": 41}]}, {"predictions": [{"y": 1}]}, "a")], [outcome("a")], url=url)
    assert main(["journal", "export", url, "--output", "rows.parquet", "--since", "2026-05-01"]) == 0
    assert pl.read_parquet("rows.parquet").select("age", "prediction.y", "outcome").rows() == [(41, 1, 1)]
    assert main(["journal", "show", url]) == 0
    assert "1 predictions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", URL], "--output"),
        (["export", URL, "--output", "x.csv"], "ends in .parquet"),
        (["export", URL, "--output", "no/x.parquet"], "does not exist"),
        (["export", URL, "--output", "x.parquet"], "journal.db does not exist"),
        (["export", URL, "--output", "x.parquet", "--since", "yesterday"], "a time such as"),
        (["show", "journal.db"], "no address of a journal"),
        (["prune", URL], "give --days or --before"),
        (["replay", URL, "--spill", "nowhere"], "does not exist"),
        (["shwo"], "did you mean 'show'"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not Path("journal.db").exists()
