"""LinearModel: linear and logistic regression and their kin, solved to convergence."""

from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from models.base import Batch
from models.linear.design import Design
from models.tabular.networks import LinearNetwork
from models.tabular.tabular_module import tensor_inputs
from models.tabular.whole_table_module import WholeTableModule
from models.tasks import TabularTask

_CONVERGED = 1e-5
"""Largest entry of the gradient of the mean loss at which a solution counts as found."""


class LinearModel(WholeTableModule):
    """A weight per number, missing number, category and vector entry: ridge, logistic, softmax or Poisson regression.

    The loss of the task with a ridge penalty is minimised by L-BFGS in float64, for each penalty from the largest to
    the smallest, each from the solution before; the one with the lowest validation loss is kept. Numbers are
    standardised, the intercept is not penalised. Vectors with few numbers other than 0 (TF-IDF) stay sparse. The
    history has a row per penalty.

    Args:
        task: Meaning of the outputs, with any smooth loss.
        penalties: Candidates; a penalty p adds p/2 |weight|^2 to the sum of the losses (`1/C` of scikit-learn).
        max_iterations: Iterations of L-BFGS per penalty; where they do not suffice, it is said.
        num_numbers: Number columns, F.
        cardinalities: Number of categories of each category column, K numbers; None for no column.
        vector_size: Size of the vectors of texts, V.
    """

    network: LinearNetwork

    def __init__(
        self,
        *,
        task: TabularTask,
        penalties: Sequence[float] = (0.1, 1.0, 10.0, 100.0),
        max_iterations: int = 500,
        num_numbers: int = 0,
        cardinalities: Sequence[int] | None = None,
        vector_size: int = 0,
    ) -> None:
        network = LinearNetwork(
            output_size=task.output_size, num_numbers=num_numbers, cardinalities=cardinalities, vector_size=vector_size
        )
        super().__init__(
            network=network.requires_grad_(False),
            task=task,
            num_numbers=num_numbers,
            cardinalities=cardinalities,
            vector_size=vector_size,
        )
        if not penalties or min(penalties) <= 0:
            raise ValueError(f"model.penalties: {list(penalties)} given, one or more numbers above 0 are needed")
        if max_iterations < 1:
            raise ValueError(f"model.max_iterations: {max_iterations} given, at least 1 is needed")
        self.penalties = tuple(sorted(penalties, reverse=True))
        self.max_iterations = max_iterations

    @property
    @override
    def num_fitted(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    @override
    def fit_table(self, train: Batch, val: Batch) -> None:
        designs = [self._design(rows) for rows in (train, val)]
        task = self.task.double()
        weight = torch.zeros(sum(designs[0].sizes), task.output_size, dtype=torch.float64)
        bias = torch.zeros(1, task.output_size, dtype=torch.float64)
        best, best_loss = (weight, bias), float("inf")
        for number, penalty in enumerate(self.penalties, start=1):
            weight, bias, iterations, steepest = self._solve(designs[0], train["target"], weight, bias, penalty)
            if steepest > _CONVERGED:
                self.say(
                    f"fit: penalty {penalty:g} did not converge in {iterations} iterations, its steepest slope is "
                    f"{steepest:.1g}; raise model.max_iterations"
                )
            loss = float(task.loss(designs[1].times(weight) + bias, _wide(val["target"])))
            self.log_round(number, {"val/loss": loss, "penalty": penalty, "iterations": iterations})
            if loss < best_loss:
                best, best_loss = (weight, bias), loss
                self.chosen = {"step": float(number), "penalty": penalty, "iterations": float(iterations)}
        self.task.float()
        if best_loss == float("inf"):
            raise ValueError("model.penalties: no penalty has a finite validation loss; give larger ones")
        if self.chosen["penalty"] in (self.penalties[0], self.penalties[-1]) and len(self.penalties) > 2:
            self.say(f"fit: the penalty {self.chosen['penalty']:g} is at the end of model.penalties; widen them")
        self._keep(*best)

    def _solve(
        self, design: Design, targets: Tensor, weight: Tensor, bias: Tensor, penalty: float
    ) -> tuple[Tensor, Tensor, int, float]:
        """The solution for a penalty, its iterations, and the largest entry of the gradient."""
        weight, bias = weight.clone(), bias.clone()
        targets = _wide(targets)
        ridge = penalty / len(targets)
        optimizer = torch.optim.LBFGS(
            [weight, bias],
            max_iter=self.max_iterations,
            max_eval=2 * self.max_iterations,
            tolerance_grad=_CONVERGED / 10,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            outputs = (design.times(weight) + bias).requires_grad_()
            with torch.enable_grad():
                loss = self.task.loss(outputs, targets)
                (slope,) = torch.autograd.grad(loss, outputs)
            weight.grad = design.back(slope) + ridge * weight
            bias.grad = slope.sum(dim=0, keepdim=True)
            return loss.detach() + ridge / 2 * weight.square().sum()

        optimizer.step(closure)
        closure()
        assert weight.grad is not None
        assert bias.grad is not None
        steepest = max(float(part.abs().max()) for part in (weight.grad, bias.grad) if part.numel())
        return weight, bias, int(optimizer.state[weight]["n_iter"]), steepest

    def _design(self, rows: Batch) -> Design:
        inputs = tensor_inputs(rows)
        target = rows["target"]
        dense = torch.zeros(len(target), 0)
        if "numbers" in inputs:
            numbers = torch.where(inputs["missing"], 0.0, self.scale(inputs["numbers"]))
            dense = torch.cat([numbers, inputs["missing"].float() * self.may_miss], dim=-1)
        categories = torch.zeros(len(target), 0, dtype=torch.long)
        if self.network.embeddings is not None:
            categories = inputs["categories"] + self.network.embeddings.offsets
        return Design.of(
            dense=dense, categories=categories, num_categories=sum(self.cardinalities), vectors=inputs.get("vectors")
        )

    def _keep(self, weight: Tensor, bias: Tensor) -> None:
        of_dense, of_categories, of_vectors = weight.split(
            (2 * self.num_numbers, sum(self.cardinalities), self.vector_size)
        )
        self.network.linear.weight.copy_(torch.cat([of_dense, of_vectors]).T)
        self.network.linear.bias.copy_(bias[0])
        if self.network.embeddings is not None:
            self.network.embeddings.table.weight.copy_(of_categories)

    @override
    def fit_metrics(self) -> dict[str, float]:
        return self.chosen


def _wide(targets: Tensor) -> Tensor:
    return targets.double() if targets.is_floating_point() else targets
