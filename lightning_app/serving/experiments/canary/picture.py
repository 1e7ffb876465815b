"""Picture of a canary: its share of the requests, the evidence against it, and its rewards, over time."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Recorded = tuple[float, str, Mapping[str, Any]]
"""Time in seconds since 1970, kind, and facts of an event."""
_ENDS = {"promote": "#2a7f3f", "roll_back": "#b3261e", "keep": "#7a6a00"}
_WORDS = {"promote": "promoted", "roll_back": "rolled back", "keep": "expired"}
_MOST = 4.0
"""Powers of ten of e-values that are drawn."""


def canary_picture(events: Sequence[Recorded], *, title: str) -> "Figure":
    """Draws a canary from its events.

    Args:
        events: Events of the experiment, oldest first: `look`, `step`, `verdict`; others are left out.
        title: Above the picture.

    Raises:
        ValueError: There is no look among the events.
    """
    from matplotlib.figure import Figure

    looks = [
        (time, facts) for time, kind, facts in events if kind in ("look", "step", "verdict") and "findings" in facts
    ]
    if not looks:
        raise ValueError("canary: no look is recorded yet, there is nothing to draw")
    begin = min(time for time, _, _ in events)
    unit, seconds = ("min", 60.0) if looks[-1][0] - begin < 3 * 3600 else ("h", 3600.0)
    times = [(time - begin) / seconds for time, _ in looks]
    has_reward = any(facts.get("reward") for _, facts in looks)
    figure = Figure(figsize=(8, 7.2 if has_reward else 5), layout="constrained")
    axes = figure.subplots(
        3 if has_reward else 2, 1, sharex=True, height_ratios=[1, 1.6, 1.4][: 3 if has_reward else 2]
    )
    _draw_share(axes[0], times, looks)
    _draw_e_values(axes[1], times, looks)
    if has_reward:
        _draw_reward(axes[2], times, looks)
    verdicts = [(time, facts) for time, kind, facts in events if kind == "verdict"]
    for time, facts in verdicts[-1:]:
        colour = _ENDS[facts["action"]]
        for place in axes:
            place.axvline((time - begin) / seconds, color=colour, linewidth=1.2)
        axes[0].annotate(
            _WORDS[facts["action"]],
            ((time - begin) / seconds, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            color=colour,
            weight="bold",
        )
    axes[-1].set_xlabel(f"{unit} since the canary began")
    figure.suptitle(title, fontsize=11)
    return figure


def _draw_share(axes: "Axes", times: Sequence[float], looks: Sequence[tuple[float, Mapping[str, Any]]]) -> None:
    # The share of a look holds from then on; that of the verdict is what follows it.
    axes.step(times, [100 * facts["share"] for _, facts in looks], where="post", color="#1f5fa8")
    seen, of = looks[-1][1]["challenger"], looks[-1][1]["requests"]
    axes.set_ylabel("share, %")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_yticks([0, 1, 5, 25, 100], ["0", "1", "5", "25", "100"])
    axes.set_title(f"the challenger saw {seen:,} of {of:,} requests", fontsize=9, loc="left")


def _draw_e_values(axes: "Axes", times: Sequence[float], looks: Sequence[tuple[float, Mapping[str, Any]]]) -> None:
    for name in dict.fromkeys(name for _, facts in looks for name in facts["findings"]):
        found = [facts["findings"].get(name, {}) for _, facts in looks]
        values = [_decades(each.get("log_e"), each.get("needed")) for each in found]
        axes.plot(times, values, label=f"worse: {name}", linewidth=1.2)
    rewards = [facts.get("reward") or {} for _, facts in looks]
    kept = [_decades(each.get("kept_log_e"), each.get("needed")) for each in rewards]
    if not all(math.isnan(value) for value in kept):
        axes.plot(times, kept, label="reward is kept", linewidth=1.2, linestyle="--", color="black")
    axes.axhline(0, color="black", linewidth=0.8, linestyle=":")
    axes.set_ylabel("log10 of e-value\n/ the needed one")
    axes.set_title("evidence; at the dotted line it is enough", fontsize=9, loc="left")
    axes.legend(fontsize=8, loc="lower left", ncols=2)


def _draw_reward(axes: "Axes", times: Sequence[float], looks: Sequence[tuple[float, Mapping[str, Any]]]) -> None:
    known = [
        (time, facts["reward"])
        for time, (_, facts) in zip(times, looks, strict=True)
        if facts.get("reward") and None not in (facts["reward"]["low"], facts["reward"]["high"])
    ]
    axes.axhline(0, color="black", linewidth=0.8)
    tolerated = next((facts["reward"]["tolerated"] for _, facts in looks if facts.get("reward")), 0.0)
    axes.axhline(100 * tolerated, color="black", linewidth=0.8, linestyle=":")
    axes.set_ylabel("difference of the\nmean reward, %")
    if not known:
        axes.set_title("no rewards yet", fontsize=9, loc="left")
        return
    place = [time for time, _ in known]
    low, middle, high = ([100 * reward[name] for _, reward in known] for name in ("low", "relative", "high"))
    axes.fill_between(place, low, high, color="#1f5fa8", alpha=0.2, linewidth=0)
    axes.plot(place, middle, color="#1f5fa8", linewidth=1.2)
    most = 2 * max(abs(middle[-1]), abs(100 * tolerated), 2.0, (high[-1] - low[-1]) / 2)
    axes.set_ylim(-most, most)
    axes.set_title("confidence sequence; dotted: the tolerated loss", fontsize=9, loc="left")


def _decades(log_e: float | None, needed: float | None) -> float:
    if log_e is None or needed is None:
        return math.nan
    return max(-_MOST, min(_MOST, (log_e - needed) / math.log(10)))
