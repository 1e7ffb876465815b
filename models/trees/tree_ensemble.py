"""TreeEnsemble: fitted trees as the buffers of a torch module, whatever library fitted them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from models.trees.tree_arrays import TreeArrays

_PAIRS = 2**21
"""Pairs of a row and a tree that are followed at a time."""
_DTYPES = {
    "roots": torch.int64,
    "targets": torch.int64,
    "features": torch.int64,
    "thresholds": torch.float32,
    "missing_left": torch.bool,
    "left": torch.int64,
    "right": torch.int64,
    "sets": torch.int64,
    "members": torch.uint8,
    "values": torch.float32,
    "base": torch.float32,
}


class TreeEnsemble(nn.Module):
    """Sum of the leaves that a row comes to, (B, columns) -> (B, num_outputs); see `TreeArrays` for the buffers.

    It has no tree until `set_trees`, or until a state of any size is loaded.

    Args:
        num_outputs: Outputs per row, C.
        num_columns: Columns of a row.
    """

    roots: Tensor
    targets: Tensor
    features: Tensor
    thresholds: Tensor
    missing_left: Tensor
    left: Tensor
    right: Tensor
    sets: Tensor
    members: Tensor
    values: Tensor
    base: Tensor
    gain: Tensor

    def __init__(self, *, num_outputs: int, num_columns: int) -> None:
        super().__init__()
        for name, dtype in _DTYPES.items():
            shape = (num_outputs,) if name == "base" else (0, 1) if name == "members" else (0,)
            self.register_buffer(name, torch.zeros(shape, dtype=dtype))
        self.register_buffer("gain", torch.zeros(num_columns))

    @property
    def num_trees(self) -> int:
        """Trees of all outputs."""
        return len(self.roots)

    @property
    def num_fitted(self) -> int:
        """Fitted numbers: a threshold or set per node that compares, a value per leaf, and the base."""
        return len(self.left) + len(self.base)

    def set_trees(self, trees: TreeArrays, *, gain: np.ndarray) -> None:
        """Takes fitted trees.

        Args:
            trees: The trees.
            gain: Decrease of the training loss by the splits on each column, (columns,).
        """
        device = self.base.device
        for name, dtype in _DTYPES.items():
            setattr(self, name, torch.from_numpy(getattr(trees, name)).to(dtype).to(device))
        self.gain = torch.from_numpy(np.asarray(gain)).float().to(device)

    def arrays(self) -> TreeArrays:
        """The trees as numpy arrays."""
        return TreeArrays(**{name: getattr(self, name).cpu().numpy() for name in _DTYPES})

    @override
    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:  # type: ignore[override]
        for name in (*_DTYPES, "gain"):  # the number of nodes is known from the state alone
            saved = state_dict.get(f"{prefix}{name}")
            if isinstance(saved, Tensor):
                setattr(self, name, torch.empty_like(saved, device=self.base.device))
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[arg-type]

    @override
    def forward(self, columns: Tensor) -> Tensor:
        """Adds up the leaves.

        Args:
            columns: float32 (B, columns), NaN where missing; categories as whole numbers.

        Returns:
            float32 (B, num_outputs).
        """
        if not self.num_trees:
            return self.base.expand(len(columns), -1)
        size = max(1, _PAIRS // self.num_trees)
        parts = (
            [self._sums(part) for part in columns.split(size)]
            if len(columns)
            else [columns.new_zeros(0, len(self.base))]
        )
        return torch.cat(parts)

    def _sums(self, columns: Tensor) -> Tensor:
        num_rows, num_trees = len(columns), self.num_trees
        places = torch.arange(num_rows * num_trees, device=columns.device)
        nodes = self.roots.repeat(num_rows)
        leaves = nodes.clone()
        starts = places.div(num_trees, rounding_mode="floor") * columns.shape[1]
        flat = columns.reshape(-1)
        while len(nodes):
            nodes = self._next(flat, starts, nodes)
            done = self.left[nodes] == nodes
            leaves[places[done]] = nodes[done]
            going = ~done
            places, starts, nodes = places[going], starts[going], nodes[going]
        values = self.values[leaves].view(num_rows, num_trees).double()
        sums = self.base.double().repeat(num_rows, 1)
        return sums.index_add_(1, self.targets, values).float()

    def _next(self, flat: Tensor, starts: Tensor, nodes: Tensor) -> Tensor:
        """The child of each node; `starts` are the places of its row in `flat`."""
        value = flat[starts + self.features[nodes]]
        goes_left = (value <= self.thresholds[nodes]) | (value.isnan() & self.missing_left[nodes])
        if len(self.members):
            rows = self.sets[nodes]
            with_set = rows >= 0
            rows, category = rows[with_set], value[with_set].nan_to_num(nan=0.0).long()
            word = category >> 3
            inside = word < self.members.shape[1]
            bits = self.members[rows, torch.where(inside, word, 0)] >> (category & 7).to(torch.uint8)
            goes_left[with_set] = inside & (bits & 1).bool()
        return torch.where(goes_left, self.left[nodes], self.right[nodes])
