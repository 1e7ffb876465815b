"""DistilledTextClassifier: trains a small text classifier with a large one as teacher."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from typing_extensions import override

from features.text.pretrained import TOKENIZER, kept_files
from models.base import Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.tasks import BinaryClassification, MulticlassClassification, Regression, TabularTask
from models.text.divergence import divergence
from models.text.encoder import PretrainedEncoder
from models.text.text_classifier import TextClassifier, TextNetwork

_PROJECTION = "projection.weight"


class DistilledTextClassifier(TextClassifier):
    """Knowledge distillation (Hinton et al., 2015): trains on the labels, and on what a trained classifier answers.

    The loss is (1 - w) times that of the labels plus w times the divergence of the softened answers, T^2 KL(teacher ||
    student) of logits divided by the temperature T; for numbers the squared difference of the outputs. With
    `hidden_weight` h, h times the mean squared difference of the token vectors is added, the student's through a
    learned linear map. Only training needs the teacher; checkpoints are validated, tested and exported as those of any
    `TextClassifier`.

    Args:
        encoder: The student's encoder, e.g. `ReducedEncoder`; it has the teacher's tokens.
        task: The teacher's task, see `TextClassifier`.
        teacher: A run folder (its best checkpoint) or a checkpoint of a `TextClassifier`, which may have
            been trained on other rows, but with the same classes in the same order.
        teacher_weight: Weight w of the teacher's answers, 0 to 1.
        temperature: T; larger ones tell more of the unlikely classes.
        hidden_weight: Weight h of the token vectors.
        pooling: See `TextClassifier`.
        dropout: See `TextClassifier`.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        task: TabularTask,
        teacher: str | Path,
        teacher_weight: float = 0.5,
        temperature: float = 2.0,
        hidden_weight: float = 0.0,
        pooling: nn.Module | None = None,
        dropout: float = 0.1,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        if not 0 <= teacher_weight <= 1:
            raise ValueError(f"model.teacher_weight: {teacher_weight} given, a number from 0 to 1 is needed")
        if temperature <= 0:
            raise ValueError(f"model.temperature: {temperature} given, a number above 0 is needed")
        if hidden_weight < 0:
            raise ValueError(f"model.hidden_weight: {hidden_weight} given, 0 or more is needed")
        if not isinstance(task, BinaryClassification | MulticlassClassification | Regression):
            raise ValueError(
                f"model.task: {type(task).__name__} given; BinaryClassification, MulticlassClassification and "
                "Regression can be distilled"
            )
        super().__init__(
            encoder=encoder, task=task, pooling=pooling, dropout=dropout, optimizer=optimizer, scheduler=scheduler
        )
        self.teacher = teacher
        self.teacher_weight = teacher_weight
        self.temperature = temperature
        self.hidden_weight = hidden_weight
        self.projection: nn.Linear | None = None
        self._loaded: tuple[TextClassifier, ...] = ()  # a tuple, so that the teacher is not registered as a submodule

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and not self._loaded:
            teacher = self._load_teacher()
            self._loaded = (teacher,)
            if self.hidden_weight and self.projection is None:
                self._add_projection(_network(teacher).encoder.hidden_size)  # type: ignore[arg-type]

    def _add_projection(self, teacher_size: int) -> None:
        self.projection = nn.Linear(self._student.encoder.hidden_size, teacher_size)  # type: ignore[arg-type]

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        weight = checkpoint["state_dict"].get(_PROJECTION)
        if weight is not None and self.projection is None:
            self._add_projection(len(weight))

    @property
    def _student(self) -> TextNetwork:
        return _network(self)

    def _load_teacher(self) -> TextClassifier:
        path = Path(self.teacher)
        file = path / "checkpoints" / "best.ckpt" if path.is_dir() else path
        if not file.is_file():
            raise FileNotFoundError(
                f"model.teacher: {self.teacher} is neither a checkpoint nor a run folder with a best one"
            )
        teacher = TextClassifier.load_from_checkpoint(file, map_location="cpu", weights_only=True)
        if type(teacher.task) is not type(self.task) or teacher.task.output_size != self.task.output_size:
            raise ValueError(
                f"model.teacher: {file} has the task {type(teacher.task).__name__} with {teacher.task.output_size} "
                f"outputs, the student {type(self.task).__name__} with {self.task.output_size}; both must be the same"
            )
        self._check_classes(teacher.class_names, file)
        own, other = (_tokenizer(network) for network in (self._student, _network(teacher)))
        if own != other:
            raise ValueError(f"model.teacher: {file} has other tokens than the student; give both the same tokenizer")
        return teacher.eval().requires_grad_(False)

    def _check_classes(self, known: tuple[str, ...], file: Path) -> None:
        """Raises unless the teacher's classes are those of the data, in the same order."""
        if not self.class_names or known == self.class_names:
            return
        own = ", ".join(self.class_names)
        if not known:
            rank_zero_warn(
                f"model.teacher: {file} is of an earlier version, which kept no names of classes: its "
                f"{len(self.class_names)} classes are taken to be {own}, in this order"
            )
            return
        both = f"{file} has the classes {', '.join(known)}, the data {own}"
        if set(known) == set(self.class_names):
            raise ValueError(f"model.teacher: {both}; give data.classes in the order of the teacher")
        raise ValueError(f"model.teacher: {both}; both must be the same")

    @override
    def step(self, batch: Batch) -> StepOutput:
        if not self.training or not self._loaded:
            return super().step(batch)
        tokens = batch["token_ids"], batch["attention_mask"]
        owner = self._loaded[0].to(tokens[0].device)
        teacher = _network(owner)
        hidden = self._student.encoder(*tokens)
        outputs = _outputs(self._student, hidden, tokens[1])
        with torch.no_grad():
            teacher_hidden = teacher.encoder(*tokens)
            teacher_outputs = _outputs(teacher, teacher_hidden, tokens[1])
            if isinstance(self.task, Regression):  # its training rows may have another mean and deviation
                teacher_outputs = self.task.outputs_of(owner.task.predict(teacher_outputs))
        loss = (1 - self.teacher_weight) * self.task.loss(outputs, batch["target"])
        loss = loss + self.teacher_weight * divergence(
            self.task, outputs, teacher_outputs, temperature=self.temperature
        )
        if self.projection is not None:
            apart = (self.projection(hidden) - teacher_hidden).square().mean(dim=-1)
            mask = tokens[1].to(apart.dtype)
            loss = loss + self.hidden_weight * (apart * mask).sum() / mask.sum()
        predictions = self.task.predict(outputs)
        return StepOutput(loss=loss, predictions=predictions, targets=batch["target"], weight=len(outputs))


def _network(classifier: TextClassifier) -> TextNetwork:
    assert isinstance(classifier.network, TextNetwork)
    return classifier.network


def _outputs(network: TextNetwork, hidden: Tensor, attention_mask: Tensor) -> Tensor:
    outputs: Tensor = network.output(network.dropout(network.pooling(hidden, attention_mask))).float()
    return outputs


def _tokenizer(network: TextNetwork) -> str | None:
    encoder = network.encoder
    if not isinstance(encoder, PretrainedEncoder):
        return None
    return kept_files(encoder.pretrained, key="model.encoder.pretrained").get(TOKENIZER)
