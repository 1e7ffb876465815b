"""BoostedTrees, the LightningModule of gradient-boosted trees on feature tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from models.base import Batch
from models.layers import Standardize
from models.tabular.tabular_module import tensor_inputs
from models.tabular.whole_table_module import WholeTableModule
from models.tasks.task import TabularTask
from models.trees.booster import Booster, Rounds, TreeTable
from models.trees.objective import Objective
from models.trees.tree_ensemble import TreeEnsemble

_CHECKED = 64
"""Validation rows, evenly spread, whose answers are compared with the library's."""
_APART = 1e-4
"""Largest difference of the two, in units of the largest output."""


class BoostedTrees(WholeTableModule):
    """Gradient-boosted trees of any library; the checkpoint holds the trees as tensors, and needs no library.

    The booster fits to the training rows and stops on the loss of the validation rows, which is logged as `val/loss`
    by round; the trees up to the best round are kept. Categories are split by sets. A number that is missing goes where
    the library sends it; in a column that had no missing number in training it counts as the mean, as in
    `TabularModule`.

    Args:
        booster: The library and its settings.
        task: Meaning of the outputs, see `Objective` for those that trees are fitted to.
        monotone: 1 (rising) or -1 (falling) by name of a number: how predictions (of the second class) depend on it.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
    """

    run_callbacks = (*WholeTableModule.run_callbacks, "lightning_app.evaluation.column_gain:ColumnGain")
    exporter = "lightning_app.packaging.export.families.trees:TreesExporter"
    injected_arguments = (*WholeTableModule.injected_arguments, "booster")
    network: TreeEnsemble

    def __init__(
        self,
        *,
        booster: Booster,
        task: TabularTask,
        monotone: Mapping[str, int] | None = None,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        vector_size: int = 0,
    ) -> None:
        num_columns = num_numbers + len(cardinalities or ()) + vector_size
        super().__init__(
            network=TreeEnsemble(num_outputs=task.output_size, num_columns=num_columns),
            task=task,
            num_numbers=num_numbers,
            cardinalities=cardinalities,
            vector_size=vector_size,
        )
        self.booster = booster
        self.objective = Objective.of(task)
        self.monotone = dict(monotone or {})
        if wrong := {name: sign for name, sign in self.monotone.items() if sign not in (-1, 1)}:
            raise ValueError(f"model.monotone: {wrong} given, 1 (rising) and -1 (falling) are allowed")
        if self.monotone and task.num_classes > 2:
            raise ValueError(
                "model.monotone: given for several classes; predictions of two classes or a number have it"
            )

    @property
    @override
    def num_fitted(self) -> int:
        return max(1, self.network.num_fitted)  # above 0 before the fit too: it has to be fitted

    def columns(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
    ) -> Tensor:
        """Columns of the trees: numbers, NaN where missing, then categories, then vectors, float32 (B, columns).

        Args:
            numbers: float32 (B, F).
            missing: bool (B, F).
            categories: int64 (B, K); an index that the column does not have counts as unknown, 0.
            vectors: float32 (B, V).
        """
        parts: list[Tensor] = []
        if numbers is not None:
            assert missing is not None
            parts.append(torch.where(missing, self.missing_numbers(), numbers))
        if categories is not None:
            sizes = torch.tensor(self.cardinalities, device=categories.device)
            parts.append(torch.where((categories >= 0) & (categories < sizes), categories, 0).float())
        if vectors is not None:
            parts.append(vectors)
        return torch.cat(parts, dim=-1)

    def missing_numbers(self) -> Tensor:
        """What a missing number becomes: NaN, or the mean where none was missing in training, float32 (F,)."""
        assert isinstance(self.scale, Standardize)
        return torch.where(self.may_miss > 0, float("nan"), self.scale.mean)

    @override
    def network_outputs(
        self,
        numbers: Tensor | None = None,
        missing: Tensor | None = None,
        categories: Tensor | None = None,
        vectors: Tensor | None = None,
        token_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        if token_ids is not None:
            raise ValueError("data: texts as tokens given, BoostedTrees take numbers, categories and vectors (tfidf)")
        outputs: Tensor = self.network(self.columns(numbers, missing, categories, vectors))
        return outputs

    @override
    def fit_table(self, train: Batch, val: Batch) -> None:
        booster = self.booster
        rounds = Rounds(most=booster.rounds, patience=booster.patience, on_round=self._on_round)
        seed = self.run_seed if booster.seed is None else booster.seed
        tables = [self._table(rows) for rows in (train, val)]
        fitted = booster.fit(
            *tables,
            objective=self.objective,
            rounds=rounds,
            seed=seed,
            threads=booster.threads or torch.get_num_threads(),
        )
        self.network.set_trees(fitted.trees, gain=fitted.gain)
        self.best_round, self.last_round = rounds.best, rounds.last
        columns = tables[1].columns
        self._check(columns[:: -(-len(columns) // _CHECKED)], fitted.outputs)

    def _table(self, rows: Batch) -> TreeTable:
        names = self.column_names()
        numbers = names[: self.num_numbers]
        if unknown := sorted(self.monotone.keys() - set(numbers)):
            raise ValueError(f"model.monotone: {unknown[0]!r} is no number of the data, there are {', '.join(numbers)}")
        inputs = tensor_inputs(rows)
        columns = self.columns(**inputs)
        target = rows["target"].numpy()
        if self.objective.name in ("squared", "absolute", "huber"):
            target = self.task.outputs_of(rows["target"]).squeeze(-1).numpy()
        class_weights = getattr(self.task, "class_weights", None)
        return TreeTable(
            columns=columns.numpy(),
            targets=target.astype(np.float64),
            weights=None if class_weights is None else class_weights.cpu().numpy()[target],
            cardinalities={self.num_numbers + place: size for place, size in enumerate(self.cardinalities)},
            monotone=np.array([self.monotone.get(name, 0) for name in names], dtype=np.int64),
        )

    def _on_round(self, number: int, loss: float) -> bool:
        return self.log_round(number, {"val/loss": loss})

    def _check(self, columns: np.ndarray, outputs: Any) -> None:
        """Raises unless the trees answer as the library that fitted them."""
        expected = outputs(columns)
        answered = self.network(torch.from_numpy(columns)).double().numpy()
        apart = np.abs(answered - expected).max() / max(1.0, np.abs(expected).max())
        if not apart <= _APART:
            raise RuntimeError(
                f"model.booster: the trees read back from {type(self.booster).__name__} answer {apart:.2g} of the "
                "largest output away from what it answers itself; its version may write them otherwise"
            )

    @override
    def fit_metrics(self) -> dict[str, float]:
        # `step` places the last row of the history, and the checkpoint, at the best round.
        return {"step": float(self.best_round), "rounds": float(self.last_round)}
