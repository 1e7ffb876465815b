"""Networks by name beside neuralforecast's on ETTh1-96 at equal CPU seconds, a section for each."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.forecasting import peer_python
from benchmarks.measure import run
from benchmarks.page import config, table, verdict


@dataclass(frozen=True)
class Pair:
    """A network of ours and theirs.

    Attributes:
        name: Its name.
        peer: Name for `named_networks_peer`.
        windows: Windows of one channel in a step of theirs.
        stride: Rows from one test window to the next, on both sides.
        ours: Our config.
        note: What else differs.
    """

    name: str
    peer: str
    windows: int
    stride: int
    ours: str
    note: str = ""


PAIRS = (
    Pair("N-BEATS", "nbeats", 896, 1, "etth1_nbeats"),
    Pair("N-HiTS", "nhits", 896, 1, "etth1_nhits"),
    Pair("TiDE", "tide", 896, 1, "etth1_tide"),
    Pair("iTransformer", "itransformer", 224, 1, "etth1_itransformer"),
    Pair("TFT", "tft", 112, 24, "etth1_tft", " Our config knows the hour of the day, theirs does not."),
    Pair("DeepAR", "deepar", 224, 24, "etth1_deepar", " Our config has lags of 1, 24 and 48 rows, theirs of 1."),
)


def beside_neuralforecast(pair: Pair) -> str:
    """Fits ours, then theirs for as many CPU seconds, and compares them."""
    ours = run("named_network", config(f"forecasting/{pair.ours}"), str(pair.stride)).answer
    python = peer_python().removeprefix("python=")
    words = (str(number) for number in (ours["cpu_s"], pair.windows, pair.stride))
    theirs = run("named_networks_peer", pair.peer, *words, python=python).answer
    error, cost = ours["test_mse"] / theirs["test_mse"], ours["cpu_s"] / theirs["cpu_s"]
    tested = "every test window" if pair.stride == 1 else f"every {pair.stride}th test window"
    bought = (
        f"the {theirs['steps']:,} steps of its default, for less CPU than ours"
        if theirs["steps"] == theirs["default_steps"]
        else f"as many steps as the CPU seconds of ours buy it, {theirs['steps']:,} of the {theirs['default_steps']:,} of its "
        "default: the errors are those of equal cost, and with more steps it costs more and may err less"
    )
    return (
        f"{pair.name} on ETTh1, H = 96, L = {theirs['look_back']}, one seed, 2021; errors of {tested} in standard units. Ours is "
        f"`{pair.ours}` as shipped, its validation included in the CPU seconds of the fit. Theirs has the defaults of "
        f"neuralforecast 3.3.0 but for the look-back, {pair.windows} windows of one channel in a step, is not validated, and "
        f"takes {bought}. CPU seconds vary with the load of the machine, so that costs are equal but roughly.{pair.note}\n\n"
    ) + table(
        "|ours|neuralforecast|ratio|aim|",
        f"MSE|{ours['test_mse']:.4f}|{theirs['test_mse']:.4f}|{error:.3f}x|1.02x|{verdict(error <= 1.02)}",
        f"MAE|{ours['test_mae']:.4f}|{theirs['test_mae']:.4f}|{ours['test_mae'] / theirs['test_mae']:.3f}x||",
        f"fit, CPU seconds|{ours['cpu_s']:.0f}|{theirs['cpu_s']:.0f}|{cost:.2f}x|1.0x ± 5 %|{verdict(cost <= 1.05)}",
        f"steps|{ours['steps']:,}|{theirs['steps']:,}|||",
        f"windows of one channel|{ours['windows']:,}|{theirs['windows']:,}|||",
        f"parameters|{ours['parameters']:,}|{theirs['parameters']:,}|||",
    )


def _section(pair: Pair) -> Callable[[], str]:
    def measure() -> str:
        return beside_neuralforecast(pair)

    measure.__doc__ = f"{pair.name} beside neuralforecast's on ETTh1-96: error and CPU seconds of the fit."
    return measure


SECTIONS: dict[str, Callable[[], str]] = {f"named_{pair.peer}": _section(pair) for pair in PAIRS}
