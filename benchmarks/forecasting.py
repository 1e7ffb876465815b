"""Forecasting on ETTh1 and exchange rates."""

import subprocess
import sys
from collections.abc import Callable

from benchmarks.measure import ROOT, alternate, median, median_peak, run
from benchmarks.page import compare, config, table, verdict

PEER = ROOT / ".peer"
SEEDS = ("2021", "2022", "2023")


def peer_python() -> str:
    """The peer's interpreter, installed into an environment of its own at first use."""
    if not (PEER / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        pip = [str(PEER / "bin" / "pip"), "install", "--quiet"]
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, "neuralforecast==3.3.0"], check=True)
        (PEER / ".installed").touch()
    return f"python={PEER / 'bin' / 'python'}"


def protocol() -> str:
    """Repeat-last on exchange rates checks splits, scaling, windows and metrics at once."""
    published = {96: (0.0811, 0.1964), 192: (0.1671, 0.2887), 336: (0.3057, 0.3978), 720: (0.8101, 0.6764)}
    rows = []
    for horizon, (mse, mae) in published.items():
        (row,) = compare(config("forecasting/exchange_naive"), "--", "--data.horizon", str(horizon))
        ours = row["metrics"]["test/mse"], row["metrics"]["test/mae"]
        exact = all(f"{found:.4f}" == f"{known:.4f}" for found, known in zip(ours, (mse, mae), strict=True))
        rows.append(f"{horizon}|{mse:.4f} / {mae:.4f}|{ours[0]:.4f} / {ours[1]:.4f}|{verdict(exact)}")
    return "Repeat-last on exchange rates, MSE / MAE.\n\n" + table("horizon|known|measured|exactly", *rows)


def ridge() -> str:
    """Closed-form ridge on ETTh1-96."""
    (row,) = compare(config("forecasting/etth1_ridge"))
    mse, mae, seconds = row["metrics"]["test/mse"], row["metrics"]["test/mae"], row["fit_seconds"]
    return "Reduced-rank ridge on ETTh1, H = 96, L = 720.\n\n" + table(
        "|aim|measured|",
        f"MSE|.3677 within .001|{mse:.4f} (MAE {mae:.4f})|{verdict(abs(mse - 0.3677) <= 0.001)}",
        f"fit, wall seconds|30|{seconds:.1f}|{verdict(seconds < 30)}",
    )


def phase() -> str:
    """Phase transformer on ETTh1-96, three seeds."""
    (row,) = compare(config("forecasting/etth1_phase"), "--seeds", *SEEDS)
    mse, mae, cpu = row["metrics"]["test/mse"], row["metrics"]["test/mae"], row["cpu_seconds"]
    spread = row["spread"]
    return (
        f"Phase transformer ({row['parameters']:,} parameters) on ETTh1, H = 96, L = 504, seeds {', '.join(SEEDS)}: "
        "mean and standard deviation.\n\n"
    ) + table(
        "|aim|measured|",
        f"MSE|.366|{mse:.4f} ± {spread['test/mse']:.4f}|{verdict(mse <= 0.366)}",
        f"MAE|.389|{mae:.4f} ± {spread['test/mae']:.4f}|{verdict(mae <= 0.389)}",
        f"fit, CPU seconds|60|{cpu:.1f}|{verdict(cpu <= 60)}",
    )


def throughput() -> str:
    """Univariate windows trained per CPU second, beside neuralforecast on the same windows."""
    python = peer_python()
    few = ("--trainer.limit_val_batches", "0", "--data.look_back", "336")
    linear, dlinear, ours, patchtst = alternate(
        3,
        ("ours", config("forecasting/etth1_linear"), *few, "--trainer.max_epochs", "4"),
        ("neuralforecast_peer", "dlinear", "60", python),
        ("ours", config("forecasting/etth1_phase"), "--trainer.limit_val_batches", "0", "--trainer.max_epochs", "2"),
        ("neuralforecast_peer", "patchtst", "40", python),
    )
    rates = {name: median(costs, "windows_per_cpu_s") for name, costs in
             (("linear", linear), ("dlinear", dlinear), ("phase", ours), ("patchtst", patchtst))}  # fmt: skip
    linear_ratio, phase_ratio = rates["linear"] / rates["dlinear"], rates["phase"] / rates["patchtst"]
    accuracy = run("neuralforecast_peer", "patchtst", "600", "--test", python=python.removeprefix("python=")).answer
    (row,) = compare(config("forecasting/etth1_phase"))
    lower = row["metrics"]["test/mse"] < accuracy["test_mse"]
    return (
        (
            "Training on the training rows, after 10 steps of warm-up, 896 univariate windows (128 of 7 channels) per step on both sides, "
            "run in turn, medians of 3.\n\n"
        )
        + table(
            "|ours, windows / CPU s|neuralforecast, windows / CPU s|ratio|aim|",
            f"linear (L = 336) against DLinear|{rates['linear']:,.0f}|{rates['dlinear']:,.0f}|{linear_ratio:.1f}x|30x|"
            f"{verdict(linear_ratio >= 30)}",
            f"phase transformer (L = 504) against PatchTST d16 (L = 336)|{rates['phase']:,.0f}|{rates['patchtst']:,.0f}|"
            f"{phase_ratio:.1f}x|8x|{verdict(phase_ratio >= 8)}",
        )
        + (
            f"\n\nTest MSE on ETTh1-96: phase transformer {row['metrics']['test/mse']:.4f}, neuralforecast's PatchTST "
            f"{accuracy['test_mse']:.4f} (MAE {accuracy['test_mae']:.4f}) after 600 steps of the same size: "
            f"{verdict(lower)} (lower)."
        )
    )


def overhead() -> str:
    """Trainer and all callbacks against a plain loop with the same work per step, and memory of both."""
    few = ("--trainer.limit_val_batches", "0", "--trainer.max_epochs", "2")
    fits, loops, whole = alternate(
        5,
        ("ours", config("forecasting/etth1_phase"), *few),
        ("plain_loop", config("forecasting/etth1_phase"), "2"),
        ("ours", config("forecasting/etth1_phase"), "--trainer.max_epochs", "2"),
    )
    ours, plain = median(fits, "cpu_s_per_step") * 1e3, median(loops, "cpu_s_per_step") * 1e3
    memory, plain_memory = median_peak(whole), median_peak(loops)
    return (
        "Phase transformer on ETTh1, same batches, clipping, schedule and averaging on both sides, run in turn, "
        "medians of 5, W&B off. Peak memory is that of a fit with validation against the plain loop with the same imports; "
        "start-up is not in the CPU time.\n\n"
    ) + table(
        "|fit|plain loop|ratio|aim|",
        f"CPU ms per step|{ours:.1f}|{plain:.1f}|{ours / plain:.3f}x|1.10x|{verdict(ours / plain <= 1.10)}",
        f"peak memory, MiB|{memory:.0f}|{plain_memory:.0f}|{memory / plain_memory:.3f}x|900 MiB and 1.1x|"
        f"{verdict(memory <= 900 and memory / plain_memory <= 1.1)}",
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "protocol": protocol,
    "ridge": ridge,
    "phase": phase,
    "throughput": throughput,
    "overhead": overhead,
}
