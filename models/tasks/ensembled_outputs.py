"""Ensembled outputs: networks that predict several times per row, (B, members, output_size), under any task."""

from typing import Any

from torch import Tensor

from models.tasks.task import TabularTask


def mean_loss(task: TabularTask, outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of the members' losses; each member is trained by itself.

    Args:
        task: The task.
        outputs: (B, members, output_size), or (B, output_size) of a single network.
        targets: As of `TabularTask.loss`, (B, ...).
    """
    if outputs.ndim == 2:
        return task.loss(outputs, targets)
    return task.loss(outputs.flatten(0, 1), targets.repeat_interleave(outputs.shape[1], dim=0))


def mean_prediction(task: TabularTask, outputs: Tensor) -> Any:
    """Mean of the members' predictions in raw units, or of their probabilities; by name for several heads.

    Args:
        task: The task.
        outputs: (B, members, output_size), or (B, output_size) of a single network.
    """
    if outputs.ndim == 2:
        return task.predict(outputs)

    def mean(predictions: Tensor) -> Tensor:
        return predictions.unflatten(0, (-1, outputs.shape[1])).mean(dim=1)

    predicted = task.predict(outputs.flatten(0, 1))
    return mean(predicted) if isinstance(predicted, Tensor) else {name: mean(one) for name, one in predicted.items()}
