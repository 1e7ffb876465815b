"""Smaller and faster packages: int8, fp16, pruning, distillation."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.measure import run
from benchmarks.page import CONFIGS, table, verdict

TEACHER_EPOCHS, RECOVERY_EPOCHS, STUDENT_EPOCHS = "2", "2", "5"


def encoder_variants() -> str:
    """The transformer encoder that the aims of int8 are stated on."""
    by_batch = {size: run("encoder_variants", size, "20").answer for size in ("8", "1")}
    found = by_batch["8"]
    faster = found["fp32"]["ms"] / found["int8"]["ms"]
    smaller = found["int8"]["bytes"] / found["fp32"]["bytes"]
    rows = [
        f"{kind}|{values['bytes'] / 1e6:.1f} MB|{values['ms']:.1f} ms|{by_batch['1'][kind]['ms']:.1f} ms|"
        f"{values['apart']:.1e}"
        for kind, values in found.items()
    ]
    return (
        "Transformer encoder of 4 layers, width 256, 128 tokens, random weights; one thread, asked in turns, medians; "
        "the last column is the largest difference of an answer, in units of the largest.\n\n"
        + table("|size|batch of 8|batch of 1|answers apart", *rows)
        + "\n\n"
        + table(
            "int8 against fp32|measured|aim|",
            f"times as fast, batch of 8|{faster:.2f}|1.7|{verdict(faster >= 1.7)}",
            f"of the size|{smaller:.2f}|.33|{verdict(smaller <= 1 / 3)}",
        )
    )


def trained_variants() -> str:
    """Gates and students on a trained model."""
    found = run(
        "trained_variants", str(CONFIGS / "forecasting"), TEACHER_EPOCHS, RECOVERY_EPOCHS, STUDENT_EPOCHS
    ).answer
    rows = [_row(kind, found[kind]) for kind in ("int8", "fp16", "pruned")]
    taught, alone = found["taught_mse"], found["alone_mse"]
    return (
        f"Phase transformer of width 128 on ETTh1, H = 96, {TEACHER_EPOCHS} epochs (test MSE "
        f"{found['teacher_mse']:.4f}). Accuracy gate: upper end of the 95 % interval of the test error at most 1 % above "
        f"the parent's; pruned: half of the features and heads, {RECOVERY_EPOCHS} epochs of recovery.\n\n"
        + table("|size|batch of 1|batch of 8|test error|gates", *rows)
        + f"\n\nA phase transformer of width 16 after {STUDENT_EPOCHS} epochs, one seed: test MSE {alone:.4f} alone, "
        f"{taught:.4f} with the wide one as its teacher."
    )


def _row(kind: str, change: Mapping[str, Any]) -> str:
    if "refused" in change:
        return f"{kind}|||||refused: {change['refused']}"
    sizes, times, accuracy = change["model_bytes"], change["latency_p50_ms"], change["accuracy"]
    ratio = {size: times["before"][size] / times["after"][size] for size in ("1", "8")}
    return (
        f"{kind}|{sizes['before'] / 1e6:.2f} to {sizes['after'] / 1e6:.2f} MB|"
        f"{times['before']['1']:.2f} to {times['after']['1']:.2f} ms ({ratio['1']:.2f}x)|"
        f"{times['before']['8']:.2f} to {times['after']['8']:.2f} ms ({ratio['8']:.2f}x)|"
        f"{accuracy['worse']:+.2%} ({accuracy['low']:+.2%} to {accuracy['high']:+.2%})|passed"
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "encoder_variants": encoder_variants,
    "trained_variants": trained_variants,
}
