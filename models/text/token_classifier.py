"""TokenClassifier: entities of texts, by a tag for each word."""

import hashlib
import json
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torchmetrics import MetricCollection
from typing_extensions import override

from features.text.found_entities import label_scores
from features.text.tag_set import OUTSIDE, TagSet
from features.text.word_shapes import SHAPES
from models.base import BaseModule, Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.losses import FocalLoss
from models.text.entity_decoder import EntityDecoder
from models.text.entity_f1 import IGNORED, EntityMetric, entity_metrics
from models.text.token_network import TokenNetwork

_EXAMPLE_LENGTH = 8


class TokenClassifier(BaseModule):
    """Fine-tunes a pretrained encoder to tag words with `O`, `B-label` and `I-label` (IOB2).

    Each word is tagged at its first sub-word. Of the sequences of tags, the likeliest one counts that IOB2 allows
    (Viterbi): `I-label` follows `B-label` or `I-label` alone. Validation and test count exact entities over whole
    texts, as a package answers them, see `EntityF1`; the best checkpoint is that of the highest `val/f1`. A penalty of
    `O` that validation chooses is that of the same rows, before the checkpoint of that validation is saved.

    Args:
        encoder: The encoder, see `PretrainedEncoder`.
        labels: Labels of entities.
        loss: (logits (N, T), tags int64 (N,)) -> mean loss over the words; None for the cross-entropy. `FocalLoss` with
            `gamma: 0` and `class_weights` weighs tags, in the order `O`, `B-` and `I-` of the first label, ...
        outside_penalty: Subtracted from the log-probability of `O` before the tags are chosen; `validation` chooses it,
            see `EntityDecoder`.
        word_shapes: Whether the encoder sees how words are written, see `TokenNetwork`.
        dropout: Dropout of the vectors before the head.
        head_lr_scale: Learning rate of the head over that of the optimizer.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`, e.g. `WarmupCosine`.
    """

    exporter = "lightning_app.packaging.export.families.text.entities:EntityExporter"
    injected_arguments = (*BaseModule.injected_arguments, "encoder", "loss")
    monitor = "val/f1"
    monitor_mode = "max"

    labels_digest: Tensor

    def __init__(
        self,
        *,
        encoder: nn.Module,
        labels: Sequence[str],
        loss: nn.Module | None = None,
        outside_penalty: float | Literal["validation"] = 0.0,
        word_shapes: bool = True,
        dropout: float = 0.1,
        head_lr_scale: float = 1.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self.tag_set = TagSet(labels)  # read by configure_metrics
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        weights = loss.class_weights if isinstance(loss, FocalLoss) else None
        if weights is not None and len(weights) != len(self.tag_set):
            raise ValueError(
                f"model.loss.class_weights: {len(weights)} given, one for each of the {len(self.tag_set)} tags needed: "
                f"{', '.join(self.tag_set.tags)}"
            )
        self.criterion = loss or nn.CrossEntropyLoss()
        self.register_buffer("labels_digest", _digest(self.tag_set.labels))  # a checkpoint brings that of its fit
        self.decoder = EntityDecoder(tag_set=self.tag_set, outside_penalty=outside_penalty)
        self._choosing = False
        self.word_shapes = word_shapes
        self.network = TokenNetwork(
            encoder=encoder,
            output_size=len(self.tag_set),
            word_shapes=word_shapes,
            dropout=dropout,
            head_lr_scale=head_lr_scale,
        )

    @override
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection(dict(entity_metrics(self.tag_set)))

    @override
    def setup(self, stage: str) -> None:
        """Checks that the data have the labels and tokens of the model."""
        data = getattr(self.trainer, "datamodule", None)
        labels = getattr(data, "labels", self.tag_set.labels)
        if tuple(labels) != self.tag_set.labels:
            raise ValueError(
                f"model.labels: the model knows {', '.join(self.tag_set.labels)}, the data have {', '.join(labels)}; "
                "give data.labels those of the model, in their order"
            )
        if data is not None:
            self.network.encoder.check_data(data)  # type: ignore[operator]

    def check_labels(self) -> None:
        """Raises unless the labels are those that the model was trained on, in their order.

        Raises:
            ValueError: They differ: the command line takes those of the data, and the weights have no names.
        """
        if not torch.equal(self.labels_digest.cpu(), _digest(self.tag_set.labels)):
            raise ValueError(
                f"data.labels: {', '.join(self.tag_set.labels)}, the model was trained on others or in another order; "
                "give the data of the run"
            )

    @override
    def on_fit_start(self) -> None:
        self.check_labels()

    @override
    def on_validation_start(self) -> None:
        self.check_labels()

    @override
    def on_test_start(self) -> None:
        self.check_labels()

    @override
    def on_predict_start(self) -> None:
        self.check_labels()

    @override
    def forward(self, token_ids: Tensor, attention_mask: Tensor, word_shapes: Tensor | None = None) -> Tensor:
        """Probabilities of the tags of each token.

        Args:
            token_ids: int64 (W, L).
            attention_mask: 1 token, 0 padding, int64 (W, L).
            word_shapes: int64 (W, L); None for a model without them.

        Returns:
            float32 (W, L, T), 0 at padding: the same whatever the longest window of a batch is.
        """
        probabilities = self.network(token_ids, attention_mask, word_shapes).softmax(dim=-1)
        return probabilities * attention_mask.unsqueeze(-1)

    def _word_logits(self, batch: Batch) -> Tensor:
        shapes = batch["word_shapes"] if self.word_shapes else None
        return of_words(self.network(batch["token_ids"], batch["attention_mask"], shapes), batch["words"])

    @override
    def step(self, batch: Batch) -> StepOutput:
        logits = self._word_logits(batch)
        return self._step_output(logits, logits.log_softmax(dim=-1), batch)

    @override
    def evaluate(self, outputs: Tensor, batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Probabilities of the tags of each token, (W, L, T).
            batch: With `words` and `target`.
        """
        probabilities = of_words(outputs, batch["words"])
        log_probabilities = _logarithm(probabilities)
        return self._step_output(log_probabilities, log_probabilities, batch)

    def _step_output(self, logits: Tensor, log_probabilities: Tensor, batch: Batch) -> StepOutput:
        words, target = batch["words"], batch["target"]
        counted = (words >= 0) & (target != IGNORED)
        weight = int(counted.sum())
        loss = self.criterion(logits[counted], target[counted]) if weight else logits.sum() * 0.0
        # Training measures nothing.
        tags = torch.full_like(target, OUTSIDE) if self.training else self.decoder(log_probabilities, words)
        if self._choosing:
            self.decoder.update(log_probabilities, words, target)
        # A batch of texts without words may still miss entities.
        return StepOutput(loss=loss, predictions=tags, targets=target, weight=weight or int((target != IGNORED).any()))

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        trainer = self.trainer
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        self._choosing = self.decoder.chooses and fitting
        super().validation_step(batch, batch_idx)
        # Not at the end of the epoch: Lightning keeps the values of metrics that a callback reads after the last batch.
        if self._choosing and batch_idx + 1 == trainer.num_val_batches[0]:
            counts = self.decoder.choose()
            for metric in self.val_metrics.values(copy_state=False):
                assert isinstance(metric, EntityMetric)
                metric.counts = counts.clone()  # those of the penalty before were of the last validation's choice
            self.log("val/outside_penalty", self.decoder.penalty, on_step=False, on_epoch=True, reduce_fx="max")
        self._choosing = False

    def remarks(self) -> list[str]:
        """Lines for the report of a test."""
        return [line] if (line := self.decoder.describe()) else []

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Tags of the words of each text, (B, N), and the probabilities of their labels."""
        tags, scores = self.tags_and_scores(self._word_logits(batch).softmax(dim=-1), batch["words"])
        return {"row": batch["row"], "tags": tags, "scores": scores}

    def tags_and_scores(self, probabilities: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Tags of the words, int64 (B, N), and the probabilities of their labels, float32 (B, N).

        Args:
            probabilities: Of the tags of each word, (B, N, T).
            words: Places of the words, negative for none, int64 (B, N).
        """
        probabilities = probabilities.detach().float()
        tags = self.decoder(_logarithm(probabilities), words)
        scores = label_scores(probabilities.cpu().numpy(), tags.cpu().numpy())
        return tags, torch.from_numpy(np.ascontiguousarray(scores))

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        vocab_size = self.network.encoder.vocab_size
        assert isinstance(vocab_size, int)
        inputs = {
            "token_ids": torch.randint(vocab_size, (2, _EXAMPLE_LENGTH)),
            "attention_mask": torch.ones(2, _EXAMPLE_LENGTH, dtype=torch.long),
        }
        if self.word_shapes:
            inputs["word_shapes"] = torch.randint(len(SHAPES), (2, _EXAMPLE_LENGTH))
        return inputs


def _logarithm(probabilities: Tensor) -> Tensor:
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


def _digest(labels: Sequence[str]) -> Tensor:
    digest = hashlib.sha256(json.dumps(list(labels)).encode()).digest()
    return torch.frombuffer(bytearray(digest), dtype=torch.uint8)


def of_words(tokens: Tensor, words: Tensor) -> Tensor:
    """Values of words, (B, N, T); those of the first token where there is no word.

    Args:
        tokens: Values of the tokens of all windows, (W, L, T).
        words: Places of the words in the windows laid end to end, int64 (B, N).
    """
    return tokens.flatten(0, 1)[words.clamp_min(0)]
