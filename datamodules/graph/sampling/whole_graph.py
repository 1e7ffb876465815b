"""One graph as one batch."""

import numpy as np
from torch_geometric.data import Data, HeteroData


class WholeGraph:
    """The same graph at every step.

    Attributes:
        shareable: Several processes can deal its samples out.

    Args:
        graph: The batch.
        num_steps: How many times an epoch gives it.
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
