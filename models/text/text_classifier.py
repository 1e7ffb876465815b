"""TextClassifier: classes or numbers of texts by a pretrained encoder, a pooling and a linear head."""

from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.tabular import TabularModule
from models.tasks import TabularTask
from models.text.adversarial_training import AdversarialTraining
from models.text.pooling import MeanPooling

_CLASSES = "class_names"
"""Key of a checkpoint."""


class TextNetwork(nn.Module):
    """Encoder, pooling, dropout and a linear layer: from tokens to (B, output_size).

    Args:
        encoder: (token_ids, attention_mask) -> (B, L, E), with attributes `hidden_size` E and `vocab_size`.
        pooling: (hidden, attention_mask) -> (B, E).
        output_size: Outputs per text.
        dropout: Dropout of the pooled vector.
        head_lr_scale: Learning rate of the linear layer over that of the optimizer.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        pooling: nn.Module,
        output_size: int,
        dropout: float = 0.0,
        head_lr_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(encoder.hidden_size, output_size)  # type: ignore[arg-type]
        self.head_lr_scale = head_lr_scale

    def lr_scales(self) -> dict[nn.Parameter, float]:
        """Learning rate of the linear layer over that of the optimizer."""
        return dict.fromkeys(self.output.parameters(), self.head_lr_scale)

    @override
    def forward(self, token_ids: Tensor, attention_mask: Tensor, added: Tensor | None = None) -> Tensor:
        """Outputs of each text.

        Args:
            token_ids: int64 (B, L).
            attention_mask: 1 token, 0 padding, int64 (B, L).
            added: Added to the embeddings of the tokens, (B, L, E); None for nothing. The encoder has to take it.

        Returns:
            (B, output_size).
        """
        tokens = (token_ids, attention_mask) if added is None else (token_ids, attention_mask, added)
        pooled = self.pooling(self.encoder(*tokens), attention_mask)
        return self.output(self.dropout(pooled)).float()  # of a lower precision in mixed precision


class TextClassifier(TabularModule):
    """Fine-tunes a pretrained encoder on labelled texts: one class, several labels, or a number, by its task.

    Args:
        encoder: The encoder, see `PretrainedEncoder`.
        task: Meaning of the outputs: loss, predictions and metrics, e.g. `models.tasks.BinaryClassification`.
        pooling: Vector of a text from those of its tokens; None for `MeanPooling`.
        dropout: Dropout of that vector.
        head_lr_scale: Learning rate of the head, which starts untrained, over that of the optimizer.
        adversarial: Learns each text a second time, moved to where it is harder; None for once.
        optimizer: Optimizer factory; its rate is scaled in the encoder too, see `PretrainedEncoder.layer_decay`.
        scheduler: Scheduler factory, see `BaseModule`, e.g. `WarmupCosine`.

    Attributes:
        class_names: Names of the classes that it was trained on, by index; none before training, of a label without
            classes, and of a checkpoint of an earlier version.
    """

    injected_arguments = (*TabularModule.injected_arguments, "encoder", "pooling", "adversarial")

    def __init__(
        self,
        *,
        encoder: nn.Module,
        task: TabularTask,
        pooling: nn.Module | None = None,
        dropout: float = 0.1,
        head_lr_scale: float = 1.0,
        adversarial: AdversarialTraining | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        nn.Module.__init__(self)
        network = TextNetwork(
            encoder=encoder,
            pooling=pooling or MeanPooling(),
            output_size=task.output_size,
            dropout=dropout,
            head_lr_scale=head_lr_scale,
        )
        if adversarial is not None:
            adversarial.check(encoder, task)
        vocab_size: int = encoder.vocab_size  # type: ignore[assignment]
        super().__init__(network=network, task=task, vocab_size=vocab_size, optimizer=optimizer, scheduler=scheduler)
        self.adversarial = adversarial
        self.class_names: tuple[str, ...] = ()

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.class_names = tuple(getattr(getattr(self.trainer, "datamodule", None), "class_names", ()))

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[_CLASSES] = list(self.class_names)

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.class_names = tuple(checkpoint.get(_CLASSES, ()))

    @override
    def step(self, batch: Batch) -> StepOutput:
        if not self.training or self.adversarial is None:
            return super().step(batch)
        outputs, loss = self.adversarial(self.network, self.task, batch)
        targets = batch["target"]
        return StepOutput(loss=loss, predictions=self.task.predict(outputs), targets=targets, weight=len(targets))
