"""A picture of the edges that a prediction for a node rests on."""

from pathlib import Path

import numpy as np


def draw_explanation(
    edges: np.ndarray,
    importance: np.ndarray,
    hops: np.ndarray,
    *,
    node: int,
    names: np.ndarray,
    title: str,
    path: Path,
    max_edges: int = 40,
) -> None:
    """Draws the node in the middle, what is around it on a ring per hop, the edges the darker the more they count.

    Args:
        edges: int64 (2, E), sources and targets.
        importance: (E,), from 0 to 1.
        hops: int64 (2, E), hops from each end of an edge to the node; -1 where it does not reach it.
        node: The node.
        names: Of all nodes, (N,).
        title: Above the picture.
        path: The PNG to write.
        max_edges: Only so many are drawn, the most important ones.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    strongest = np.argsort(-importance, kind="stable")[:max_edges][::-1]  # the strongest are drawn last, on top
    edges, importance, hops = edges[:, strongest], importance[strongest], hops[:, strongest]
    places = radial_layout(edges, hops, node)
    figure = Figure(figsize=(7, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for source, target, share in zip(*edges, importance, strict=True):
        axis.annotate(
            "",
            xy=places[target],
            xytext=places[source],
            arrowprops={
                "arrowstyle": "-|>", "color": "tab:red", "alpha": 0.1 + 0.9 * float(share),
                "linewidth": 0.5 + 2.5 * float(share), "shrinkA": 9, "shrinkB": 9, "connectionstyle": "arc3,rad=0.08",
            },
        )  # fmt: skip
    shown = list(places)
    points = np.array([places[number] for number in shown])
    colors = ["gold" if number == node else "lightsteelblue" for number in shown]
    axis.scatter(points[:, 0], points[:, 1], s=240, c=colors, edgecolors="0.3", zorder=3)
    for number, point in zip(shown, points, strict=True):
        axis.text(point[0], point[1], str(names[number]), fontsize=7, ha="center", va="center", zorder=4)
    axis.set_title(f"{title}\nthe {len(importance)} edges that count most", fontsize=10)
    axis.set_aspect("equal")
    axis.margins(0.08)
    axis.axis("off")
    figure.savefig(path, dpi=110)


def radial_layout(edges: np.ndarray, hops: np.ndarray, node: int) -> dict[int, tuple[float, float]]:
    """A place for each node at the end of an edge: a ring per hop, each node near those that it joins further in.

    Args:
        edges: int64 (2, E).
        hops: int64 (2, E).
        node: The node in the middle.
    """
    ring = {node: 0, **dict(zip(edges.ravel().tolist(), hops.ravel().tolist(), strict=True))}
    furthest = max(ring.values())
    ring = {number: hop if hop >= 0 else furthest + 1 for number, hop in ring.items()}
    angle = {node: 0.0}
    places = {node: (0.0, 0.0)}
    for hop in range(1, max(ring.values()) + 1):
        members = sorted(number for number, distance in ring.items() if distance == hop)
        wanted = {number: _mean_angle(number, edges, angle) for number in members}
        members.sort(key=lambda number: wanted[number])
        for index, number in enumerate(members):
            angle[number] = 2 * np.pi * (index + 0.25 * hop) / len(members)
            places[number] = (hop * np.cos(angle[number]), hop * np.sin(angle[number]))
    return places


def _mean_angle(number: int, edges: np.ndarray, angle: dict[int, float]) -> float:
    source, target = edges
    joined = {*source[target == number].tolist(), *target[source == number].tolist()}
    known = [angle[other] for other in joined if other in angle]
    return float(np.angle(np.exp(1j * np.array(known)).sum()) % (2 * np.pi)) if known else 0.0
