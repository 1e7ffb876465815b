"""Token budgets and the cache of tokens: what padding costs, and what a second start reads."""

import tempfile

from benchmarks.measure import alternate, median, run
from benchmarks.page import table, verdict

_DATA = {"clothing": "women's clothing, title and text", "sst2": "SST-2"}
_BATCHES, _TIMES = "4", 2


def token_buckets() -> str:
    """Training steps of MiniLM-L6 on batches of similar length and on random ones, padded, under one token budget."""
    rows = []
    for name, words in _DATA.items():
        jobs = [("token_buckets", kind, name, _BATCHES) for kind in ("buckets", "random")]
        buckets, random = alternate(_TIMES, *jobs)
        gain = median(buckets, "rows_per_s") / median(random, "rows_per_s")
        cpu = median(random, "cpu_ms_per_row") / median(buckets, "cpu_ms_per_row")
        shares = [f"{100 * median(costs, 'real_share'):.0f} %" for costs in (buckets, random)]
        speeds = [f"{median(costs, 'rows_per_s'):.1f}" for costs in (buckets, random)]
        cells = f"{shares[0]}|{shares[1]}|{speeds[0]}|{speeds[1]}|{gain:.2f}|{cpu:.2f}"
        rows.append(f"{words}|{cells}|1.5: {verdict(gain >= 1.5)}|")
    return (
        f"Forward and backward pass of all-MiniLM-L6-v2 on one thread, at most 2,048 tokens a batch with its padding and "
        f"128 a text. Random batches take rows in random order for as long as they fit. {_BATCHES} batches, an even "
        f"sample of an epoch's by their rows, after a first one; medians of {_TIMES} processes in turn.\n\n"
    ) + table(
        "|tokens that are none of padding, buckets|random|rows/s, buckets|random|ratio|ratio of CPU seconds per row|aim|",
        *rows,
    )


def token_cache() -> str:
    """Tokens of 100,000 texts: made and stored at the first start, read at the second."""
    with tempfile.TemporaryDirectory() as folder:
        first = run("token_cache", folder).answer
        (second,) = alternate(5, ("token_cache", folder))
    wall, cpu = median(second, "tokens_s"), median(second, "tokens_cpu_s")
    fastest = min(float(cost.answer["tokens_s"]) for cost in second)
    rows = [
        f"first start|{first['tokens_s']:.1f}|{first['tokens_cpu_s']:.1f}|",
        f"second start|{wall:.2f} (fastest {fastest:.2f})|{cpu:.2f}|0.5 s: {verdict(wall <= 0.5)}",
    ]
    return (
        f"100,000 texts of {first['characters'] / 1e6:.1f} million characters, {first['tokens'] / 1e6:.1f} million tokens "
        f"of MiniLM, {first['megabytes']:.1f} MB stored. The time from the texts of the table to their tokens: hash, key, "
        "tokenizer, checked and memory-mapped files. Median of 5 second starts in processes of their own.\n\n"
    ) + table("|wall s|CPU s|aim|", *rows)


SECTIONS = {"token_buckets": token_buckets, "token_cache": token_cache}
