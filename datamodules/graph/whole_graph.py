"""One graph as one batch."""

import numpy as np
import torch
from torch_geometric.data import Data, HeteroData


class WholeGraph:
    """The same graph at every step.

    Args:
        graph: The batch.
        num_steps: How many times an epoch gives it.
    """

    def __init__(self, graph: Data | HeteroData, *, num_steps: int = 1) -> None:
        self.graph = graph
        self.num_steps = num_steps

    def __len__(self) -> int:
        return self.num_steps

    def __getitems__(self, indices: np.ndarray) -> Data | HeteroData:
        """The graph."""
        return self.graph


class OnDevice:
    """Copies of whole graphs where the model is: each graph is copied once, not once per step."""

    def __init__(self) -> None:
        self._copies: dict[tuple[int, torch.device], Data | HeteroData] = {}

    def copy(self, graph: Data | HeteroData, device: torch.device) -> Data | HeteroData:
        """The graph on a device; who asks must keep the graph, so that its id stays its own."""
        if device.type == "cpu":
            return graph
        key = (id(graph), device)
        if key not in self._copies:
            self._copies[key] = graph.to(device)
        return self._copies[key]
