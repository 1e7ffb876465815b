"""Graphs bundled with installed packages, without downloads."""

import numpy as np
import torch
from torch_geometric import datasets
from torch_geometric.data import Data
from typing_extensions import override

from datamodules.graph.sources.source import GraphSource, tensor_checksum


class KarateClub(GraphSource):
    """Zachary's karate club (1977): 34 members, 78 friendships, 4 communities; one-hot features.

    Bundled with PyG, with one training member per class and no further split.
    """

    @property
    @override
    def name(self) -> str:
        return "karate_club"

    @override
    def load(self) -> Data:
        return datasets.KarateClub()[0]

    @override
    def checksums(self) -> dict[str, str]:
        data = self.read()
        return {"tensors": tensor_checksum([data.x, data.edge_index, data.y])}


class DigitsGraph(GraphSource):
    """1,797 handwritten digits of 8 x 8 pixels (scikit-learn) as a nearest-neighbour graph.

    Features are grey values in [0, 1], classes the ten digits. Undirected: two images are neighbours if one of them is
    among the nearest of the other.

    Args:
        num_neighbors: Number of nearest images per image.
    """

    undirected = True

    def __init__(self, *, num_neighbors: int = 10) -> None:
        if not 1 <= num_neighbors < 1797:
            raise ValueError(f"data.graph.num_neighbors: {num_neighbors} given, allowed are 1 to 1796")
        self.num_neighbors = num_neighbors

    @property
    @override
    def name(self) -> str:
        return f"digits_{self.num_neighbors}_neighbors"

    @override
    def load(self) -> Data:
        from sklearn.datasets import load_digits  # imported here: takes a second, half of it scipy.stats

        images, digits = load_digits(return_X_y=True)
        size = len(images)
        squares = (images**2).sum(1)
        # Grey values are integers, so distances are exact, and ties go to the lower index on every machine.
        distance = (squares[:, None] + squares - 2 * images @ images.T).astype(np.int64)
        rank = distance * size + np.arange(size)
        np.fill_diagonal(rank, np.iinfo(np.int64).max)
        nearest = np.sort(np.argpartition(rank, self.num_neighbors - 1, axis=1)[:, : self.num_neighbors], axis=1)
        edges = np.stack([np.repeat(np.arange(size), self.num_neighbors), nearest.ravel()])
        return Data(
            x=torch.from_numpy((images / 16).astype(np.float32)),
            edge_index=torch.from_numpy(edges),
            y=torch.from_numpy(digits.astype(np.int64)),
            class_names=[str(digit) for digit in range(10)],
        )

    @override
    def checksums(self) -> dict[str, str]:
        data = self.read()
        return {"tensors": tensor_checksum([data.x, data.edge_index, data.y])}
