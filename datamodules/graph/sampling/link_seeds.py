"""Links as seeds: sampling of negatives, and positions of the links' ends in the sampled subgraph."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling

from datamodules.graph.sampling.neighbor_columns import checked_times


class NodePool:
    """Nodes that negatives are sampled from: all nodes of a type, or those that exist at a time.

    Args:
        num_nodes: Nodes of the type.
        node_time: Time from which each node exists, (N,); None if all always do.
    """

    def __init__(self, num_nodes: int, node_time: Tensor | None = None) -> None:
        self.num_nodes = num_nodes
        self._times: np.ndarray | None = None
        self._order = np.arange(num_nodes)
        if node_time is not None:
            times, order = torch.sort(checked_times(node_time, num_nodes, "times of nodes"), stable=True)
            self._times, self._order = times.numpy(), order.numpy()

    def draw(
        self, size: int, times: np.ndarray | None, weight: Tensor | None, generator: np.random.Generator
    ) -> np.ndarray:
        """Samples nodes with replacement, int64 (size,).

        Args:
            size: Number of nodes.
            times: Time at which each of them must exist, (size,); ignored for nodes without times.
            weight: Relative probability of each node, (N,); None for uniform.
            generator: Source of randomness.

        Raises:
            ValueError: There is no node to sample, or the weights are invalid.
        """
        exist = np.full(size, self.num_nodes)
        if self._times is not None and times is not None:
            exist = np.searchsorted(self._times, times, side="right")  # nodes are sorted by time
        if weight is None:
            mass = exist
        else:
            if weight.shape != (self.num_nodes,) or bool((weight < 0).any()):
                raise ValueError(f"neg_sampling: weights {tuple(weight.shape)}; give {self.num_nodes}, none below 0")
            sums = np.concatenate([[0.0], weight.double().numpy()[self._order].cumsum()])
            mass = sums[exist]
        if size and mass.min() <= 0:
            when = "" if times is None else f" at time {times[mass.argmin()]}"
            raise ValueError(f"neg_sampling: no node to draw as a negative{when}; all have weight 0 or come later")
        points = generator.random(size) * mass
        index = points.astype(np.int64) if weight is None else np.searchsorted(sums, points, side="right") - 1
        return self._order[index]


@dataclass(frozen=True)
class LinkSeeds:
    """Ends of positive links, followed by those of negatives.

    Negatives are pairs (binary), or targets for the positives' sources (triplet). As in PyG, they are sampled from all
    existing nodes, so a few of them may be links of the graph. Negative j belongs to positive j modulo P, whose time
    and subgraph index it shares.

    Attributes:
        source: Sources, int64 (S,).
        target: Targets, int64 (T,).
        source_time: Times of the sources, (S,).
        target_time: Times of the targets, (T,).
        num_positive: Positive links, P.
        label: Labels of all links; None if they have none.
        triplet: Whether only targets are sampled.
    """

    source: np.ndarray
    target: np.ndarray
    source_time: np.ndarray | None
    target_time: np.ndarray | None
    num_positive: int
    label: Tensor | None
    triplet: bool

    def positions(self, source: np.ndarray, target: np.ndarray) -> tuple[Tensor | None, ...]:
        """Metadata that PyG's loaders read between input and time, from the local indices of the ends."""
        count = self.num_positive
        rows, columns = torch.from_numpy(source), torch.from_numpy(target)
        if not self.triplet:
            return torch.stack([rows, columns]), self.label
        # max: the number of negatives per positive is undefined without positives.
        negatives = columns[count:].view(max(len(columns) // max(count, 1) - 1, 1), count).T
        return rows, columns[:count], negatives.squeeze(-1).contiguous()


def draw_link_seeds(
    inputs: EdgeSamplerInput,
    negatives: NegativeSampling | None,
    sources: NodePool,
    targets: NodePool,
    generator: np.random.Generator,
) -> LinkSeeds:
    """Samples negatives for links.

    Args:
        inputs: Positive links.
        negatives: Number and kind of negatives.
        sources: Nodes of the sources' type.
        targets: Nodes of the targets' type.
        generator: Source of randomness.
    """
    source, target = (x.to(torch.int64).numpy() for x in (inputs.row, inputs.col))
    time = None if inputs.time is None else inputs.time.numpy()
    label, count = inputs.label, len(source)
    if negatives is None:
        return LinkSeeds(source, target, time, time, count, label, triplet=False)
    size = math.ceil(count * negatives.amount)
    going_with = np.arange(size) % max(count, 1)
    negative_time = None if time is None else time[going_with]
    all_times = None if time is None or negative_time is None else np.concatenate([time, negative_time])
    source_time = time
    if negatives.is_binary():
        source = np.concatenate([source, sources.draw(size, negative_time, negatives.src_weight, generator)])
        source_time = all_times
        label = torch.ones(count) if label is None else label
        label = torch.cat([label, label.new_zeros(size, *label.shape[1:])])
    target = np.concatenate([target, targets.draw(size, negative_time, negatives.dst_weight, generator)])
    return LinkSeeds(source, target, source_time, all_times, count, label, triplet=negatives.is_triplet())
