"""MultiTask, several labels of different kinds in one model: a head per label, losses weighted or by uncertainty."""

from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.wrappers.abstract import WrapperMetric
from typing_extensions import override

from models.tasks.decision_metrics import DecisionMetric
from models.tasks.regression import Regression
from models.tasks.task import Heads, Predictions, TabularTask


class MultiTask(TabularTask):
    """Several labels in one model; the outputs of the network are those of all heads side by side.

    A row that lacks a label trains the other heads alone. Predictions are a dict, `HEAD.probabilities` or
    `HEAD.prediction`; targets are float32 (B, T), class indices or numbers, NaN where unknown.

    Args:
        heads: Task of each label, by its name, in the order of `data.label`.
        weights: Weight of the loss of each head; None weighs all alike.
        weighting: `fixed` takes the weights alone; `uncertainty` learns the noise of each label as a further parameter
            and divides its loss by it (Kendall et al., CVPR 2018).
    """

    name = "tabular_multitask"
    answer = "prediction"

    def __init__(
        self,
        *,
        heads: dict[str, TabularTask],
        weights: dict[str, float] | None = None,
        weighting: Literal["fixed", "uncertainty"] = "fixed",
    ) -> None:
        super().__init__()
        if len(heads) < 2:
            raise ValueError(
                f"model.task.heads: {len(heads)} given, at least 2 are needed; for one label take its task"
            )
        nested = [name for name, head in heads.items() if head.answer not in ("probabilities", "prediction")]
        nested += [name for name, head in heads.items() if isinstance(head, MultiTask)]
        several = [name for name, head in heads.items() if head.name == "tabular_multilabel"]
        if nested or several:
            raise ValueError(f"model.task.heads.{(nested + several)[0]}: a task of a single label is needed")
        if weights is not None and (set(weights) != set(heads) or min(weights.values()) <= 0):
            raise ValueError(
                f"model.task.weights: {weights} given, a number above 0 for each of {', '.join(heads)} is needed"
            )
        self.heads = nn.ModuleDict(heads)
        self.weights = [1.0 if weights is None else weights[name] for name in heads]
        self.log_variances = nn.Parameter(torch.zeros(len(heads))) if weighting == "uncertainty" else None

    def head_items(self) -> list[tuple[str, TabularTask]]:
        """Heads by name, in their order."""
        return [(name, cast(TabularTask, head)) for name, head in self.heads.items()]

    @property
    @override
    def output_size(self) -> int:
        return sum(head.output_size for _, head in self.head_items())

    @override
    def check_heads(self, heads: Heads | None) -> None:
        own = list(self.heads)
        if heads is None or list(heads) != own:
            labels = "a single label" if heads is None else f"[{', '.join(heads)}]"
            raise ValueError(
                f"model.task.heads: [{', '.join(own)}] given, data.label is {labels}; name the same labels in one order"
            )
        for name, head in self.head_items():
            if head.num_classes != heads[name]:
                label = f"has {heads[name]} classes" if heads[name] else "is a number"
                own_words = f"{head.num_classes} classes" if head.num_classes else "a number"
                raise ValueError(
                    f"model.task.heads.{name}: {type(head).__name__} predicts {own_words}, but the label {label}"
                )

    @override
    def learn(self, statistics: Mapping[str, Tensor]) -> None:
        for name, head in self.head_items():
            prefix = f"{name}/"
            head.learn({key.removeprefix(prefix): one for key, one in statistics.items() if key.startswith(prefix)})

    @override
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        total = outputs.sum() * 0.0
        for place, ((_, head), own, weight) in enumerate(
            zip(self.head_items(), self._of_heads(outputs), self.weights, strict=True)
        ):
            known, target = _known(targets[:, place], head)
            if not known.any():
                continue
            loss = head.loss(own[known], target)
            if self.log_variances is not None:
                # Gaussian likelihood of a number, softmax of scaled logits for classes (their equations 7 and 10).
                precision = torch.exp(-self.log_variances[place])
                scale = 0.5 if isinstance(head, Regression) else 1.0
                loss = scale * precision * loss + 0.5 * self.log_variances[place]
            total = total + weight * loss * known.float().mean()  # a mean over all rows, whatever the batch
        return total

    @override
    def predict(self, outputs: Tensor) -> Predictions:
        parts = zip(self.head_items(), self._of_heads(outputs), strict=True)
        return {f"{name}.{head.answer}": _tensor(head.predict(own)) for (name, head), own in parts}

    @override
    def outputs_of(self, predictions: Predictions) -> Tensor:
        assert not isinstance(predictions, Tensor)
        return torch.cat(
            [head.outputs_of(predictions[f"{name}.{head.answer}"]) for name, head in self.head_items()], -1
        )

    def _of_heads(self, outputs: Tensor) -> tuple[Tensor, ...]:
        return outputs.split([head.output_size for _, head in self.head_items()], dim=-1)

    @override
    def decisions(self, predictions: Predictions) -> dict[str, Tensor]:
        assert not isinstance(predictions, Tensor)
        return {
            f"{name}.decided": _tensor(head.decide(predictions[f"{name}.{head.answer}"]))
            for name, head in self.head_items()
            if head.num_classes
        }

    @override
    def errors(self, predictions: Predictions, targets: Tensor) -> Tensor:
        """Mean over the known labels of a row: 1 for a wrong class, of numbers the error in training deviations."""
        assert not isinstance(predictions, Tensor)
        total = torch.zeros(len(targets), dtype=torch.float64, device=targets.device)
        count = torch.zeros_like(total)
        for place, (name, head) in enumerate(self.head_items()):
            known, target = _known(targets[:, place], head)
            errors = head.errors(predictions[f"{name}.{head.answer}"][known], target).double()
            total[known] += errors / head.error_scale
            count += known
        return total / count.clamp_min(1)

    @override
    def threshold_metrics(self) -> Mapping[str, Metric]:
        return {
            name: HeadMetric(metric, name=name, head=head, place=place)
            for place, (name, head) in enumerate(self.head_items())
            for metric in head.threshold_metrics().values()
        }

    @override
    def set_thresholds(self, thresholds: Mapping[str, Tensor]) -> None:
        for name, head in self.head_items():
            if name in thresholds:
                head.set_thresholds({"": thresholds[name]})

    @override
    def thresholds(self) -> Mapping[str, Tensor]:
        return {name: values for name, head in self.head_items() for values in head.thresholds().values()}

    @override
    def describe_thresholds(self) -> list[str]:
        return [f"{name}: {line}" for name, head in self.head_items() for line in head.describe_thresholds()]

    @override
    def metrics(self) -> MetricCollection:
        return MetricCollection(
            {
                f"{name}/{metric_name}": HeadMetric(metric, name=name, head=head, place=place)
                for place, (name, head) in enumerate(self.head_items())
                for metric_name, metric in head.metrics().items(keep_base=True, copy_state=False)
            }
        )


class HeadMetric(WrapperMetric):
    """A metric of one head, on the rows whose label is known.

    Args:
        metric: Metric of the head's task.
        name: Name of the head.
        head: Its task.
        place: Its column among the targets.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, metric: Metric, *, name: str, head: TabularTask, place: int) -> None:
        super().__init__()
        self.metric = metric
        self.key = f"{name}.{head.answer}"
        self.place = place
        self.is_class = bool(head.num_classes)

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """As of the metric."""
        return self.metric.higher_is_better

    @override
    def update(self, predictions: Mapping[str, Tensor], targets: Tensor) -> None:
        """Adds rows.

        Args:
            predictions: Of all heads.
            targets: (B, T).
        """
        known = ~targets[:, self.place].isnan()
        if known.any():
            target = targets[known, self.place]
            self.metric.update(predictions[self.key][known], target.long() if self.is_class else target)

    @override
    def compute(self) -> Any:
        return self.metric.compute() if self.metric.update_called else torch.tensor(torch.nan)

    @override
    def reset(self) -> None:
        self.metric.reset()
        super().reset()

    def set_thresholds(self, thresholds: Tensor) -> None:
        """Takes thresholds of the head, see `DecisionMetric`."""
        if isinstance(self.metric, DecisionMetric):
            self.metric.set_thresholds(thresholds)
            self._computed = None


def _known(targets: Tensor, head: TabularTask) -> tuple[Tensor, Tensor]:
    """Which rows have a label, (B,), and the labels of these as the head's task takes them."""
    known = ~targets.isnan()
    return known, targets[known].long() if head.num_classes else targets[known]


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value
