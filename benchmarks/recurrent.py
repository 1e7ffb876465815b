"""The recurrent family: delta rule, language models, associative recall, puzzles, trajectories."""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Cost, alternate, median, run
from benchmarks.page import compare, config, table, verdict
from datamodules.sources import data_root

PEER = ROOT / ".peer" / "fla"
SEEDS = ("0", "1", "2")


def peer_folder() -> str:
    """flash-linear-attention's PyTorch forms, put into a folder of their own at first use."""
    if not (PEER / ".installed").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(PEER)]
        subprocess.run([*pip, "fla-core==0.6.0", "einops"], check=True)
        (PEER / ".installed").touch()
    return str(PEER)


def delta_rule() -> str:
    """Chunkwise against step by step, and against flash-linear-attention's PyTorch form."""
    rows: list[dict[str, Any]] = run("delta_rule", peer_folder()).answer["rows"]
    aims = {"B8 H4 T512 d64": 6.0, "B2 H4 T2048 d64": 15.0}
    lines = []
    for row in rows:
        aim, peer_aim = aims[row["size"]], 1.5 if row["gated"] else 1.0
        ms = {name: 1e3 * seconds for name, seconds in row["cpu_s"].items()}
        ours = min(value for name, value in ms.items() if name.startswith("chunkwise"))
        peer = min(value for name, value in ms.items() if name.startswith("peer ") and name != "peer recurrent")
        lines.append(
            f"{row['size']}{', gated' if row['gated'] else ''}|{ms['recurrent']:.0f}|{ours:.0f}|"
            f"{row['over_recurrent']:.1f}x|{aim:.0f}x: {verdict(row['over_recurrent'] >= aim)}|{peer:.0f}|"
            f"{row['over_peer']:.2f}x|{peer_aim}x: {verdict(row['over_peer'] >= peer_aim)}|"
            f"{row['over_peer_recurrent']:.1f}x"
        )
    return (
        "Forward and backward, CPU milliseconds, one thread, medians of alternating runs; chunkwise forms at the "
        "faster of chunk 32 and 64. The peer is the plain PyTorch form in fla-core 0.6.0. The aims of the ratio were set "
        "against a recurrent form that indexes each step, whose every gradient is full-size; ours does not.\n\n"
    ) + table(
        "size|recurrent|chunkwise|ratio|aim|peer, chunkwise|peer / ours|aim|peer, recurrent / ours",
        *lines,
    )


def shakespeare() -> str:
    """Characters of tiny-shakespeare, with and without the carried state."""
    costs = [run("carry_worth", config("recurrent/shakespeare_lstm"), "--seed_everything", seed) for seed in SEEDS]
    loss, seconds = median(costs, "carried"), statistics.median(cost.cpu_seconds for cost in costs)
    losses = ", ".join(f"{cost.answer['carried']:.4f}" for cost in costs)
    return (
        f"LSTM of {costs[0].answer['parameters']:,} parameters, seeds {', '.join(SEEDS)}; nats per character on the "
        "last 10 % of the text, which also picked the checkpoint. CPU seconds are those of the whole process.\n\n"
    ) + table(
        "|aim|measured|",
        f"state carried|1.50|{loss:.4f} (median of {losses})|{verdict(loss <= 1.5)}",
        f"the same weights, state reset every 64 characters|about .12 worse|{median(costs, 'reset'):.4f}, "
        f"{median(costs, 'reset') - loss:.4f} worse|",
        f"CPU seconds|120|{seconds:.0f}|{verdict(seconds <= 120)}",
    )


def words() -> str:
    """Tokens per CPU second of a word-level LSTM, beside a plain loop of the same sizes."""
    with tempfile.TemporaryDirectory() as folder:
        text = str(Path(folder) / "zipf.txt")
        run("zipf_text", text, "200000", "9998")
        ours = (
            "ours", config("recurrent/words_zaremba"), "--data.text=TextFiles", f"--data.text.train={text}",
            f"--data.text.val={text}", "--trainer.limit_val_batches=0", "--trainer.max_epochs=1",
            "--model.scheduler=null", "--data.chunk_size=35", "--model.encoder.dropout=0.2",
            "--model.input_dropout=0.2", "--model.dropout=0.2",
        )  # fmt: skip
        peer, single, half = alternate(
            3, ("word_lstm_peer", text, "290"), (*ours, "--trainer.precision=32-true"), (*ours, "--trainer.precision=bf16-mixed")
        )  # fmt: skip
    rates = [median(costs, "tokens_per_cpu_s") for costs in (peer, single, half)]
    return (
        "2 layers of 200, vocabulary of 10,000, 20 lanes of 35 tokens, SGD and clipping on both sides, 300 steps after "
        "10 of warm-up, ours with the two checkpoints of an epoch, run in turn, medians of 3. The peer is a plain loop written after pytorch/examples' word_language_model.\n\n"
    ) + table(
        "|tokens / CPU s|ratio|aim|",
        f"plain loop, float32|{rates[0]:,.0f}|||",
        f"ours, float32|{rates[1]:,.0f}|{rates[1] / rates[0]:.2f}x the plain loop|1.0x|{verdict(rates[1] >= rates[0])}",
        f"ours, bfloat16|{rates[2]:,.0f}|{rates[2] / rates[1]:.2f}x float32|2x|{verdict(rates[2] >= 2 * rates[1])}",
    )


# Train tokens and vocabulary of texts that are written like the Penn Treebank, which is neither bundled nor shared.
TEXTS = {"reviews": ("reviews", "190000", "3000"), "plays": ("plays", "190000", "3000")}
_SPLITS = (("train", "train"), ("val", "valid"), ("test", "test"))


def _config_on(folder: str, name: str, *options: str) -> Callable[[], Cost]:
    """A fit and test of a shipped config on the files of a folder, to be run."""
    files = (f"--data.text.{ours}={folder}/{theirs}.txt" for ours, theirs in _SPLITS)
    chosen = ("--seeds", "0", "--", "--data.text=TextFiles", *files, *options)
    return lambda: run("compare", config(f"recurrent/{name}"), *chosen)


def _loop_on(folder: str, kind: str, epochs: str) -> Callable[[], Cost]:
    return lambda: run("word_lstm_loop", folder, kind, epochs, "0")


def words_one_epoch() -> str:
    """Perplexity of words after one epoch, beside a plain loop of equal tokens."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folders = [str(Path(place) / name) for name in TEXTS]
        sizes = []
        for folder, arguments in zip(folders, TEXTS.values(), strict=True):
            Path(folder).mkdir()
            sizes.append(run("penn_like_text", folder, *arguments).answer["tokens"]["train"])
        plain = [_loop_on(folder, "constant", "1") for folder in folders]
        shipped = [_config_on(folder, "words_lstm", "--trainer.max_epochs=1") for folder in folders]
        found = [job() for job in (*plain, *shipped)]
    for place_of, (name, size) in enumerate(zip(TEXTS, sizes, strict=True)):
        loop, (row,) = found[place_of].answer, found[place_of + len(TEXTS)].answer["rows"]
        ours = row["metrics"]
        ratio = ours["test/perplexity"] / loop["test"]
        rows.append(
            f"{name}, {size:,} tokens|{loop['valid'][-1]:.1f}|{loop['test']:.1f}|{ours['val/perplexity']:.1f}|"
            f"{ours['test/perplexity']:.1f}|{ratio:.2f}x|1.0x|{verdict(ratio <= 1)}"
        )
    return (
        "Two layers of 200, 20 lanes, the shipped `words_lstm` with `--trainer.max_epochs 1`, seed 0, beside one epoch of "
        "the loop of pytorch/examples (chunks of 35, dropout .2, rate 20, clipping at .25, weights as torch draws them). "
        "The texts are clothing reviews and Shakespeare's plays, written like the Penn Treebank with a vocabulary of "
        "3,000; they are not the Penn Treebank, and their figures cannot be compared with its.\n\n"
    ) + table("|plain, validation|plain, test|ours, validation|ours, test|ours / plain, test|aim|", *rows)


def words_full() -> str:
    """Perplexity of words after 13 epochs, beside the small model of Zaremba et al. in a plain loop and as a config."""
    with tempfile.TemporaryDirectory() as folder:
        size = run("penn_like_text", folder, "reviews", "45000", "2000").answer["tokens"]["train"]
        jobs = [_config_on(folder, name) for name in ("words_zaremba", "words_lstm")]
        loop, *configs = [job() for job in (_loop_on(folder, "zaremba", "13"), *jobs)]
    plain = loop.answer
    found = [f"plain loop, after the last epoch|{plain['valid'][-1]:.1f}|{plain['test']:.1f}||"]
    for name, cost in zip(("words_zaremba", "words_lstm"), configs, strict=True):
        metrics = cost.answer["rows"][0]["metrics"]
        ratio = metrics["test/perplexity"] / plain["test"]
        aim = f"1.0x: {verdict(ratio <= 1)}" if name == "words_lstm" else ""
        found.append(f"`{name}`|{metrics['val/perplexity']:.1f}|{metrics['test/perplexity']:.1f}|{ratio:.2f}x|{aim}")
    return (
        f"{size:,} tokens of clothing reviews written like the Penn Treebank, vocabulary of 2,000, 13 epochs, two layers of "
        "200, 20 lanes of 20 tokens, seed 0. The plain loop is the small model of Zaremba, Sutskever & Vinyals (2014), "
        "which has 114.5 on the test text of the Penn Treebank; this text is another and a twentieth as long, and its "
        "figures cannot be compared with that one.\n\n"
    ) + table("|validation|test|ours / plain, test|aim", *found)


def recall() -> str:
    """Associative recall, plain and with rewritten keys."""
    lstm = ("--model.encoder=LSTMEncoder", "--model.encoder.input_size=64", "--model.encoder.hidden_size=64",
            "--model.encoder.num_layers=2")  # fmt: skip
    additive = ("--model.encoder.subtract_stored=false",)
    rewritten = ("--data.rewritten=true", "--data.num_pairs=6")
    rows = []
    for name, options in (
        ("delta", ()), ("additive", additive), ("LSTM", lstm), ("delta, rewritten", rewritten),
        ("additive, rewritten", (*additive, *rewritten)),
    ):  # fmt: skip
        (row,) = compare(config("recurrent/mqar_delta"), "--seeds", *SEEDS, "--", *options)
        accuracy, spread = row["metrics"]["test/accuracy"], row["spread"]["test/accuracy"]
        reached = verdict(accuracy >= 0.99) if name.startswith("delta") else ""
        rows.append(
            f"{name}|{row['parameters']:,}|{accuracy:.4f} ± {spread:.4f}|{row['cpu_seconds']:.0f}|"
            f"{'0.99' if name.startswith('delta') else ''}|{reached}"
        )
    return (
        "64 tokens, vocabulary of 256, 8 pairs, or 6 that are each bound twice; the same training sequences for all, "
        f"test on 1,000 others, seeds {', '.join(SEEDS)}. Chance is 1 in 128.\n\n"
    ) + table("|parameters|test accuracy|fit, CPU s|aim|", *rows)


def sudoku() -> str:
    """Puzzles by recursion, beside one pass of a larger network."""
    rows = []
    for name, aim, budget in (("sudoku6_trm", 0.98, 200), ("sudoku6_direct", None, None), ("sudoku4_trm", 1.0, 40)):
        (row,) = compare(config(f"recurrent/{name}"), "--seeds", *SEEDS)
        accuracy, spread = row["metrics"]["test/exact_accuracy"], row["spread"]["test/exact_accuracy"]
        steps = [row["metrics"].get(f"test/exact_accuracy_step_{step}") for step in (1, 2, 3)]
        shown = " / ".join(f"{value:.3f}" for value in steps if value is not None)
        reached = "" if aim is None else verdict(accuracy >= aim and row["cpu_seconds"] <= budget)
        rows.append(
            f"{name}|{row['parameters']:,}|{accuracy:.4f} ± {spread:.4f}|{shown}|{row['cpu_seconds']:.0f}|"
            f"{'' if aim is None else f'{aim} in {budget} CPU s'}|{reached}"
        )
    return (f"Test puzzles that no training puzzle equals up to relabelling, seeds {', '.join(SEEDS)}.\n\n") + table(
        "|parameters|exact accuracy|after 1 / 2 / 3 supervision steps|fit, CPU s|aim|", *rows
    )


def trajectories() -> str:
    """63 trading days ahead, beside the classical forecast at the same origins."""
    root = data_root(None)
    file = ("--data.panel=PanelFile", "--data.panel.ticker_column=")
    jobs: list[tuple[str, list[str], float | None]] = [
        ("S&P 500, NASDAQ, WTI", [], None),
        ("VIX", [*file, f"--data.panel.path={root}/market/vix-daily.csv", "--data.panel.value_column=CLOSE",
                 "--data.panel.time_column=DATE", "--trainer.max_epochs=20"], 0.1748),
        ("Brent", [*file, f"--data.panel.path={root}/market/brent-daily.csv", "--data.panel.value_column=Price",
                   "--data.panel.time_column=Date"], None),
    ]  # fmt: skip
    rows = []
    for encoder in ("market_lstm63", "market_trm63"):
        for name, options, aim in jobs:
            found: list[Cost] = [
                run("trajectory", config(f"recurrent/{encoder}"), "--seed_everything", seed, *options) for seed in SEEDS
            ]
            wql, classical = median(found, "wql"), found[0].answer["classical"]
            middle = sorted(found, key=lambda cost: cost.answer["ratio"])[1].answer
            reached = wql <= aim if aim else all(cost.answer["ratio"] <= 1.005 for cost in found)
            rows.append(
                f"{name}, {encoder.split('_')[1][:-2]}|{wql:.5f}|{classical:.5f}|{middle['ratio']:.3f} "
                f"({middle['low']:.3f} to {middle['high']:.3f})|{'yes' if middle['high'] < 1 else 'no'}|"
                f"{statistics.median(cost.cpu_seconds for cost in found):.0f}|"
                f"{f'WQL {aim}' if aim else 'each ratio at most 1.005'}|{verdict(reached)}"
            )
    return (
        "WQL on levels, horizon 63, origins every 21 days in the last 20 %, fitted once on the first 68 % with 12 % for "
        f"selection; median of seeds {', '.join(SEEDS)}, with the 95 % block-bootstrap interval of the ratio to the "
        "classical forecast (empirical quantiles by volatility). Skill is claimed only where the interval excludes 1.\n\n"
    ) + table("|model|classical|ratio|skill|CPU s|aim|", *rows)


SECTIONS: dict[str, Callable[[], str]] = {
    "delta_rule": delta_rule,
    "shakespeare": shakespeare,
    "words": words,
    "words_one_epoch": words_one_epoch,
    "words_full": words_full,
    "recall": recall,
    "sudoku": sudoku,
    "trajectories": trajectories,
}
