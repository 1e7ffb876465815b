"""Whole commands, from the start of Python to its end: what a user waits for."""

from collections.abc import Callable, Sequence

from benchmarks.graph import CORA
from benchmarks.measure import ROOT, Cost, alternate, median
from benchmarks.page import config, table, verdict


def cold_start() -> str:
    """Commands with their start-up, beside plain scripts."""
    trainer, without, offline = alternate(
        5, _script("trainer_peer"), _fit("forecasting/co2_naive"), _fit("forecasting/co2_naive", wandb="offline")
    )
    peer, short, whole = alternate(
        5, _script("pyg_gcn", "1", CORA), _fit("graph/cora_gcn", "--trainer.max_epochs", "1"), _fit("graph/cora_gcn")
    )
    base, gcn = median(trainer, "cpu_s"), median(peer, "cpu_s")
    ratio = median(without, "cpu_s") / base
    start = median(short, "cpu_s") / median(whole, "cpu_s")
    return "\n".join([
        "Processes as a user starts them, with all that they start themselves, run in turn, medians of 5. The first "
        "three train one epoch of a model without parameters (repeat-last on weekly CO2): a script with a bare Lightning "
        "Trainer, one CSV logger and one ModelCheckpoint, and `lightning-app fit`, which also writes the run folder.",
        "",
        table(
            "|CPU s|wall s|CPU to the script|aim",
            f"Trainer script|{_seconds(trainer)}||",
            f"fit, W&B disabled|{_seconds(without)}|{ratio:.2f}x|0.8x: {verdict(ratio <= 0.8)}",
            f"fit, W&B offline|{_seconds(offline)}|{median(offline, 'cpu_s') / base:.2f}x|",
        ),
        "",
        f"A graph convolution on Cora for 200 epochs, W&B disabled, beside the script of section gcn_speed. {start:.0%} of "
        "the fit is the cost of a fit of one epoch: imports, config, reading the graph, the run folder.",
        "",
        table(
            "|CPU s|wall s|CPU to the script",
            f"PyTorch and PyG script, 200 epochs|{_seconds(peer)}|",
            f"fit, 200 epochs|{_seconds(whole)}|{median(whole, 'cpu_s') / gcn:.2f}x",
            f"fit, 1 epoch|{_seconds(short)}|{median(short, 'cpu_s') / gcn:.2f}x",
        ),
    ])  # fmt: skip


def _script(name: str, *arguments: str) -> tuple[str, ...]:
    return ("command_cost", str(ROOT / "benchmarks" / "programs" / f"{name}.py"), *arguments)


def _fit(name: str, *options: str, wandb: str = "disabled") -> tuple[str, ...]:
    words = ("fit", "-c", config(name), *options, "--run.wandb", wandb, "--run.root", "{folder}")
    return ("command_cost", "-m", "lightning_app", *words)


def _seconds(costs: Sequence[Cost]) -> str:
    return f"{median(costs, 'cpu_s'):.2f}|{median(costs, 'wall_s'):.2f}"


SECTIONS: dict[str, Callable[[], str]] = {"cold_start": cold_start}
