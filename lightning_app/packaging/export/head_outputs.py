"""Head outputs: what a task answers in a package, an output per head with the names that are decided from it."""

from dataclasses import dataclass

import numpy as np

from datamodules.tabular import FeatureTableDataModule
from datamodules.tabular.several_labels import SeveralLabels
from lightning_app.packaging.format.decision import Decision
from lightning_app.packaging.format.manifest import TensorSpec
from models.tasks import MultiLabel, MultiTask, TabularTask


@dataclass(frozen=True)
class HeadOutput:
    """An output of a package.

    Attributes:
        spec: The output.
        decision: How names are answered from it; None of numbers.
    """

    spec: TensorSpec
    decision: Decision | None


def head_outputs(task: TabularTask, data: FeatureTableDataModule) -> list[HeadOutput]:
    """Outputs of a task, in the order of its heads.

    Args:
        task: The task of the checkpoint.
        data: Its data.
    """
    several = data.several_labels
    if isinstance(task, MultiTask):
        assert several is not None
        units = [label.unit for label in data.labels]
        return [
            _output(head, name=f"{name}.{head.answer}", classes=several.classes[place], unit=units[place])
            for place, (name, head) in enumerate(task.head_items())
        ]
    if isinstance(task, MultiLabel):
        assert several is not None
        decision = Decision(
            output=task.answer,
            labels=several.names,
            several=True,
            thresholds=tuple(task.threshold.tolist()),
            rule=_rule(task),
        )
        spec = TensorSpec(task.answer, "float32", ("batch", len(several.names)), unit="probability")
        return [HeadOutput(spec, decision)]
    return [_output(task, name=task.answer, classes=tuple(data.class_names), unit=data.label.unit)]


def head_targets(several: SeveralLabels, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Columns `target.LABEL` of targets: numbers, or names of classes, "" where unknown.

    Args:
        several: The labels.
        targets: (B, T).
    """
    columns = {}
    for name, classes, own in zip(several.names, several.classes, targets.T, strict=True):
        names = np.array([*classes, ""], dtype=np.str_)
        columns[f"target.{name}"] = names[np.nan_to_num(own, nan=-1).astype(np.int64)] if classes else own
    return columns


def _output(task: TabularTask, *, name: str, classes: tuple[str, ...], unit: str | None) -> HeadOutput:
    if not classes:
        return HeadOutput(TensorSpec(name, "float32", ("batch",), unit=unit or "as given"), None)
    threshold = task.thresholds().get("")
    thresholds = None if threshold is None else tuple(threshold.tolist())
    decision = Decision(output=name, labels=classes, thresholds=thresholds, rule=_rule(task))
    return HeadOutput(TensorSpec(name, "float32", ("batch", len(classes)), unit="probability"), decision)


def _rule(task: TabularTask) -> str | None:
    rule = getattr(task, "threshold_rule", None)
    return None if rule is None else f"{rule.describe()}, chosen on validation"
