"""Pools of members: series, and the shipped configs fitted to each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks.page import config
from datamodules.sources import data_root

Member = tuple[str, str, tuple[str, ...]]
"""Name, config and its options."""

POOLS = (
    "etth1_96", "etth1_192", "etth1_336", "etth1_720", "exchange_96", "bike_24", "price_48", "co2_52", "vix_21", "wti_21",
    "sp500_21",
)  # fmt: skip
_LONGER_PHASE = ("--trainer.max_epochs=6", "--model.optimizer.lr=0.003")


@dataclass(frozen=True)
class Pool:
    """Members fitted to one series.

    Attributes:
        title: Series and horizon.
        horizon: Forecast rows.
        data: Options that name the series; none for that of the config.
        members: What is fitted.
    """

    title: str
    horizon: int
    data: tuple[str, ...]
    members: tuple[Member, ...]

    def words(self, member: Member) -> list[str]:
        """Arguments of `fit` for a member."""
        _, base, options = member
        return ["-c", config(f"forecasting/{base}"), *self.data, f"--data.horizon={self.horizon}", *options]


def _etth1(horizon: int) -> Pool:
    """Rate and epochs of the phase transformer at longer horizons were set on validation."""
    phase = _LONGER_PHASE if horizon > 96 else ()
    members: list[Member] = [
        ("ridge_336", "etth1_ridge", ("--data.look_back=336",)),
        ("ridge_504", "etth1_ridge", ("--data.look_back=504",)),
        ("ridge_separate", "etth1_ridge", ("--data.look_back=504", "--model.per_channel=true")),
        ("linear_720", "etth1_linear", ()),
        ("linear_separate", "etth1_linear_separate", ()),
        ("phase_504", "etth1_phase", phase),
        ("nbeats", "etth1_nbeats", ()),
        ("nbeats_seed_1", "etth1_nbeats", ("--seed_everything=1",)),
        ("tide", "etth1_tide", ()),
    ]
    return Pool(f"ETTh1 {horizon}", horizon, (), tuple(members))


def _small(
    title: str, *series: str, look_back: int, horizon: int, knots: Sequence[int], blocks: int = 3, period: int | None
) -> Pool:
    window = (f"--data.look_back={look_back}", "--data.batch_size=128", "--data.eval_batch_size=256")
    hidden = ("--trainer.max_epochs=5", "--model.network.hidden_size=64")
    members: list[Member] = [
        ("repeat_last", "sp500_naive", ()),
        ("ridge_mean", "etth1_ridge", ()),
        ("ridge_last", "etth1_ridge", ("--model.network.norm.mode=last",)),
        ("linear", "etth1_linear", ("--trainer.max_epochs=5",)),
        ("linear_last", "etth1_linear", ("--trainer.max_epochs=5", "--model.network.norm.mode=last")),
        ("nhits", "etth1_nhits", (*hidden, f"--model.network.knot_spacings={list(knots)}")),
        ("mlp", "etth1_mlp", (*hidden, f"--model.network.num_blocks={blocks}", "--model.network.dropout=0.5")),
    ]
    if period is not None:
        members.append(
            ("phase", "etth1_phase", ("--trainer.max_epochs=5", f"--model.network.period={period}")),
        )
    return Pool(title, horizon, (*series, *window), tuple(members))


def _table(path: str, time_column: str, *channels: str) -> tuple[str, ...]:
    return (
        "--data.series=TableFile",
        f"--data.series.path={path}",
        f"--data.series.time_column={time_column}",
        f"--data.series.channels=[{','.join(channels)}]",
    )


def electricity_table(folder: str | Path) -> str:
    """Path of the half-hours of Elec2 with a time column, which the published file lacks."""
    target = Path(folder) / "electricity.csv"
    if not target.exists():
        frame = pl.read_csv(data_root(None) / "electricity" / "electricity.csv")
        start = pl.datetime(1996, 5, 7)
        time = pl.datetime_range(start, start + pl.duration(minutes=30 * (len(frame) - 1)), "30m", eager=False)
        frame.select(time.alias("time"), "nswprice").write_csv(target)
    return str(target)


def pools(folder: str | Path) -> dict[str, Pool]:
    """All pools by name, those of `POOLS`.

    Args:
        folder: Where a table that has to be written goes.
    """
    hours = ("--data.series.time_format=%Y-%m-%d %H", "--data.series.frequency=1h", "--data.missing=fill")
    daily = {"look_back": 252, "horizon": 21, "knots": (7, 3, 1), "period": None}
    return {
        **{f"etth1_{horizon}": _etth1(horizon) for horizon in (96, 192, 336, 720)},
        "exchange_96": _small(
            "exchange rates 96", "--data.series=ExchangeRate",
            look_back=96, horizon=96, knots=(24, 8, 1), period=None,
        ),
        "bike_24": _small(
            "bike sharing 24", *_table("bike_sharing/hour.csv", "[dteday,hr]", "cnt"), *hours,
            look_back=336, horizon=24, knots=(12, 4, 1), period=24,
        ),
        "price_48": _small(
            "electricity price 48", *_table(electricity_table(folder), "time", "nswprice"), "--data.series.frequency=30m",
            look_back=336, horizon=48, knots=(12, 4, 1), period=None,
        ),
        "co2_52": _small(
            "CO2 52", "--data.series=WeeklyCO2", "--data.missing=fill",
            look_back=312, horizon=52, knots=(13, 4, 1), blocks=4, period=52,
        ),
        "vix_21": _small("VIX 21", *_table("market/vix-daily.csv", "DATE", "CLOSE"), **daily),
        "wti_21": _small("WTI 21", "--data.series=DailyMarket", "--data.series.symbol=wti", **daily),
        "sp500_21": _small("S&P 500 21", "--data.series=DailyMarket", "--data.series.symbol=sp500", **daily),
    }  # fmt: skip
