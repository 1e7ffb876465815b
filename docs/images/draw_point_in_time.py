"""Draws `point_in_time.png`: which events a feature may see at time t. Run it in this folder after a change."""

import matplotlib.pyplot as plt

EVENTS = {"A": (1.0, 1.0), "B": (3.0, 3.0), "C": (5.2, 5.2), "D": (6.1, 8.6), "E": (8.0, 8.0), "F": (9.2, 9.2)}
"""Name -> event time and time at which the row became available."""
T, WINDOW = 8.0, 5.5
BOX = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9}
SEEN, BLIND, BAND = "#1f6f8b", "#b0413e", "#dcebef"


def main() -> None:
    """Writes the picture."""
    figure, axes = plt.subplots(figsize=(9, 3.4), dpi=130)
    axes.axvspan(T - WINDOW, T, color=BAND, zorder=0)
    axes.axvline(T, color="black", linewidth=1.2)
    axes.text(T, 3.03, "t", ha="center", va="bottom", fontsize=12)
    axes.text(T - WINDOW / 2, 2.62, "window [t - window, t)", ha="center", va="bottom", fontsize=9)
    for name, (event, available) in EVENTS.items():
        visible = event < T and available <= T
        inside = visible and event >= T - WINDOW
        color = SEEN if visible else BLIND
        axes.plot(event, 1, "o", color=color, markersize=9, fillstyle="full" if inside or not visible else "none")
        axes.text(event, 1.32, name, ha="center", fontsize=10, color=color, bbox=BOX if name == "E" else None)
        if available > event:
            axes.annotate(
                "", (available, 2), (event, 1.08), arrowprops={"arrowstyle": "->", "color": color, "linewidth": 1.2}
            )
            axes.plot(available, 2, "s", color=color, markersize=7)
            axes.text(available + 0.12, 2, "D arrives after t", va="center", fontsize=9, color=color)
    notes = {
        "A": "before\nthe window",
        "B": "counted",
        "C": "counted",
        "D": "not yet\navailable",
        "E": "at t: not\nbefore it",
        "F": "future",
    }
    for name, note in notes.items():
        axes.text(EVENTS[name][0], 0.72, note, ha="center", va="top", fontsize=8.5, bbox=BOX if name == "E" else None)
    axes.set_yticks([1, 2], ["event time", "available"])
    axes.set_xlim(0.2, 10.9)
    axes.set_ylim(-0.05, 3)
    axes.set_xticks([])
    axes.set_xlabel("time")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.tight_layout()
    figure.savefig("point_in_time.png")


if __name__ == "__main__":
    main()
