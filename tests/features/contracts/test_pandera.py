"""pandera schemas are accepted as they are, and see the data of lazy tables too."""

import sys
from pathlib import Path

import polars as pl
import pytest

from features.contracts import Contract, PanderaContract, load_contract
from lightning_app.__main__ import main

pandera = pytest.importorskip("pandera.polars", reason="schemas of pandera need the extra pandera")
TABLE = pl.DataFrame({"load": [1.0, -1.0, 5.0, -3.0], "zone": ["a", "b", "c", None]})


def schema() -> object:
    return pandera.DataFrameSchema(
        {
            "load": pandera.Column(float, pandera.Check.ge(0)),
            "zone": pandera.Column(str, pandera.Check.isin(["a", "b"]), nullable=True),
        }
    )


@pytest.mark.parametrize("lazy", [False, True])
def test_a_schema_object_finds_bad_rows_of_lazy_tables_too(lazy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = PanderaContract(schema())
    verdict = contract.check(TABLE.lazy() if lazy else TABLE)
    assert not verdict.passed
    assert [(one.rule, one.num_rows, one.row, one.example) for one in verdict.broken()] == [
        ("greater_than_or_equal_to(0)(load)", 2, 1, {"load": "-1.0"}),
        ("isin(['a', 'b'])(zone)", 1, 2, {"zone": "c"}),
    ]
    good, bad, _ = contract.split(TABLE)
    assert good["load"].to_list() == [1.0]
    assert bad["row"].to_list() == [1, 2, 3]
    assert contract.check(good.lazy() if lazy else good).passed


def test_a_schema_is_found_by_its_import_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("load_schemas.py").write_text(
        "import pandera.polars as pa\n\n\nclass Loads(pa.DataFrameModel):\n    load: float = pa.Field(ge=0)\n"
    )
    TABLE.write_csv("loads.csv")
    try:
        assert main(["data", "check", "loads.csv", "--contract", "load_schemas:Loads"]) == 1
        line = "error: greater_than_or_equal_to(0)(load): 2 rows without it; first: row 1 (line 3): load = '-1.0'"
        assert line in capsys.readouterr().out.splitlines()
        assert main(["data", "check", "loads.csv", "--contract", "load_schemas:Load"]) == 2
        assert "'load_schemas:Load' cannot be imported" in capsys.readouterr().err
    finally:
        sys.modules.pop("load_schemas", None)


def test_what_is_no_schema_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="builtins.dict given, a DataFrameSchema or DataFrameModel"):
        load_contract({})
    contract = Contract.from_data({"rules": [{"kind": "row_count"}]})
    assert load_contract(contract) is contract
    monkeypatch.setitem(sys.modules, "pandera.polars", None)
    with pytest.raises(ValueError, match=r"pandera is not installed: pip install 'lightning-r2p\[pandera\]'"):
        load_contract("load_schemas:Loads")


def test_a_missing_column_is_named() -> None:
    (broken,) = PanderaContract(schema()).check(TABLE.drop("zone")).broken()[:1]
    assert broken.describe() == "column_in_dataframe(table): not so: zone"
