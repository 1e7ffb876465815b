"""Picture of an explanation: the edges around a node by importance."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_COLORS = 10
_OTHERS = "0.85"
_FITS_INSIDE = 4
"""Maximum length of a name inside a node's circle."""
_SHARES = (1.0, 0.5, 0.1)
"""Importances shown in the legend."""


def draw_explanation(
    edges: np.ndarray,
    importance: np.ndarray,
    hops: np.ndarray,
    *,
    node: int,
    names: np.ndarray,
    predicted: np.ndarray,
    class_names: Sequence[Any],
    title: str,
    path: Path,
    max_edges: int = 40,
) -> None:
    """Draws the node in the centre, its neighbourhood as one ring per hop, and edges darker with higher importance.

    Nodes have the colour of their predicted class; a legend names it.

    Args:
        edges: int64 (2, E), sources and targets.
        importance: (E,), in [0, 1].
        hops: int64 (2, E), hops from each end of an edge to the node; -1 if unreachable.
        node: Index of the node.
        names: Names of all nodes, (N,).
        predicted: Predicted class index of each node, (N,).
        class_names: Names of the classes.
        title: Title of the picture.
        path: Output PNG.
        max_edges: Maximum number of edges, the most important ones.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    strongest = np.argsort(-importance, kind="stable")[:max_edges][::-1]  # the strongest drawn last, on top
    edges, importance, hops = edges[:, strongest], importance[strongest], hops[:, strongest]
    positions = radial_layout(edges, hops, node)
    figure = Figure(figsize=(8.6, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for source, target, share in zip(*edges, importance, strict=True):
        axis.annotate(
            "",
            xy=positions[target],
            xytext=positions[source],
            arrowprops={
                "arrowstyle": "-|>", **_line(share), "shrinkA": 9, "shrinkB": 9, "connectionstyle": "arc3,rad=0.08",
            },
        )  # fmt: skip
    shown = list(positions)
    points = np.array([positions[number] for number in shown])
    colors = _colors_of_classes([int(predicted[number]) for number in shown], first=int(predicted[node]))
    axis.scatter(
        points[:, 0],
        points[:, 1],
        s=[380 if number == node else 240 for number in shown],
        c=[colors.get(int(predicted[number]), _OTHERS) for number in shown],
        edgecolors=["black" if number == node else "0.4" for number in shown],
        linewidths=[2.5 if number == node else 1 for number in shown],
        zorder=3,
    )
    for number, (right, up) in positions.items():
        name = str(names[number])
        inside = len(name) <= _FITS_INSIDE
        axis.annotate(
            name, (right, up), (0, 0 if inside else -14), textcoords="offset points", fontsize=7, ha="center",
            va="center", zorder=4,
        )  # fmt: skip
    _add_legends(axis, colors, class_names, has_others=any(int(predicted[number]) not in colors for number in shown))
    axis.set_title(
        f"{title}\nthe {len(importance)} edges that count most, in the direction of their messages", fontsize=10
    )
    axis.set_aspect("equal")
    axis.margins(0.08)
    axis.axis("off")
    figure.savefig(path, dpi=110)


def _line(share: float) -> dict[str, Any]:
    return {"color": "black", "alpha": 0.08 + 0.82 * float(share), "linewidth": 0.5 + 2.5 * float(share)}


def _colors_of_classes(classes: Sequence[int], *, first: int) -> dict[int, Any]:
    """Colours of the most frequent classes, with that of the explained node first."""
    from matplotlib import colormaps

    order = [first, *(number for number, _ in Counter(classes).most_common() if number != first)]
    return dict(zip(order, colormaps["Set3"].colors[:_COLORS], strict=False))  # type: ignore[attr-defined]


def _add_legends(axis: Any, colors: dict[int, Any], class_names: Sequence[Any], *, has_others: bool) -> None:
    from matplotlib.lines import Line2D

    dots = {str(class_names[number]): color for number, color in colors.items()}
    dots |= {"other classes": _OTHERS} if has_others else {}
    marks = [
        Line2D([], [], linestyle="", marker="o", markersize=9, markeredgecolor="0.4", color=color, label=name)
        for name, color in dots.items()
    ]
    lines = [Line2D([], [], **_line(share), label=f"{share:g}") for share in _SHARES]
    style = {"fontsize": 8, "title_fontsize": 8, "frameon": False, "loc": "upper left"}
    first = axis.legend(handles=marks, title="predicted class", bbox_to_anchor=(1.0, 1.0), **style)
    axis.add_artist(first)
    axis.legend(handles=lines, title="importance of an edge", bbox_to_anchor=(1.0, 0.2), **style)


def radial_layout(edges: np.ndarray, hops: np.ndarray, node: int) -> dict[int, tuple[float, float]]:
    """Position of each node: one ring per hop, each node near its neighbours on the inner ring.

    Args:
        edges: int64 (2, E).
        hops: int64 (2, E).
        node: Node in the centre.
    """
    ring = {node: 0, **dict(zip(edges.ravel().tolist(), hops.ravel().tolist(), strict=True))}
    furthest = max(ring.values())
    ring = {number: hop if hop >= 0 else furthest + 1 for number, hop in ring.items()}
    angle = {node: 0.0}
    positions = {node: (0.0, 0.0)}
    for hop in range(1, max(ring.values()) + 1):
        members = sorted(number for number, distance in ring.items() if distance == hop)
        angles = {number: _mean_angle(number, edges, angle) for number in members}
        members.sort(key=lambda number: angles[number])
        for index, number in enumerate(members):
            angle[number] = 2 * np.pi * (index + 0.25 * hop) / len(members)
            positions[number] = (hop * np.cos(angle[number]), hop * np.sin(angle[number]))
    return positions


def _mean_angle(number: int, edges: np.ndarray, angle: dict[int, float]) -> float:
    source, target = edges
    joined = {*source[target == number].tolist(), *target[source == number].tolist()}
    known = [angle[other] for other in joined if other in angle]
    return float(np.angle(np.exp(1j * np.array(known)).sum()) % (2 * np.pi)) if known else 0.0
