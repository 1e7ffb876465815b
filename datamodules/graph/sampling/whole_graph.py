"""WholeGraph: a dataset whose only batch is one graph."""

import numpy as np
from torch_geometric.data import Data, HeteroData


class WholeGraph:
    """The same graph at every step.

    Attributes:
        shareable: Whether its samples can be distributed over several processes.

    Args:
        graph: The batch.
        num_steps: Number of steps per epoch.
    """

    shareable = False

    def __init__(self, graph: Data | HeteroData, *, num_steps: int = 1) -> None:
        self.graph = graph
        self.num_steps = num_steps

    def __len__(self) -> int:
        return self.num_steps

    def __getitems__(self, indices: np.ndarray) -> Data | HeteroData:
        """The graph."""
        return self.graph
