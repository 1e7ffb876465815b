import json
from pathlib import Path

import pytest

from lightning_app.__main__ import main


def test_verify_replays_every_event(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "verify", str(features_file), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["holds"]
    assert answer["events"] == {"customer": 5}
    assert {check["name"] for check in answer["checks"]} >= {"customer.spent_90d", "customer.recency"}
    assert main(["features", "verify", str(features_file), "--rows", "2"]) == 0
    assert "online equals batch" in capsys.readouterr().out


def test_a_wrong_number_of_rows_is_said(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "verify", str(features_file), "--rows", "0"]) == 2
    assert "rows: 0 given, at least 1 is needed" in capsys.readouterr().err


def test_verify_of_no_events_proves_nothing(features_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features_file.with_name("orders.csv").write_text("customer,time,amount,country\n,2024-01-01,1.0,UK\n")
    assert main(["features", "verify", str(features_file)]) == 2
    assert "nothing can be compared: no source has an event with a key and a time" in capsys.readouterr().err
