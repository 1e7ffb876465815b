"""TextEmbedder, the LightningModule of text encoders that map related texts to near vectors."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchmetrics import MetricCollection
from typing_extensions import override

from models.base import BaseModule, Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.tabular.tabular_module import ChecksData
from models.text.pair_ranking import PairRanks, PairRecall, PairReciprocalRank, same_texts

ROLES = ("anchor", "positive", "negative")


class TextEmbedder(BaseModule):
    """Contrastive training of one encoder on pairs of texts; embeddings have length 1.

    Each anchor has to be nearer to its own positive than to the positives of the other pairs of the batch (and to the
    negatives, where the data has some). Pairs that share a text are no negatives of each other. The loss of validation
    and test is that of batches of `eval_batch_size` pairs, so it is comparable at the same size alone; recall and mean
    reciprocal rank are over all pairs of the split.

    The larger the batch, the more negatives. With `micro_batch_size` its memory is that of a micro-batch: embeddings
    are computed without their graph, and again, micro-batch by micro-batch with the same dropout, when the gradient of
    the whole batch reaches them (gradient caching, Gao et al., 2021). Over several processes the negatives of an anchor
    are those of its own process.

    Args:
        encoder: Maps `token_ids` and `attention_mask` to hidden states (B, L, E).
        pooling: Maps hidden states and `attention_mask` to (B, E).
        loss: Maps `anchors`, `positives`, `negatives` (or None) and `masked` to a mean loss, see `InfoNCE`.
        micro_batch_size: Texts that are encoded at once; None for all of a batch.
        optimizer: Optimizer factory; None leaves the encoder as it is, which makes its first checkpoint that of the
            pretrained encoder.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    exporter = "lightning_app.packaging.export.families.text.embeddings:EmbeddingExporter"
    injected_arguments = (*BaseModule.injected_arguments, "encoder", "pooling", "loss")

    def __init__(
        self,
        *,
        encoder: nn.Module,
        pooling: nn.Module,
        loss: nn.Module,
        micro_batch_size: int | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        if micro_batch_size is not None and micro_batch_size < 1:
            raise ValueError(f"model.micro_batch_size: {micro_batch_size} given, at least 1 is needed")
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        self.encoder = encoder
        self.pooling = pooling
        self.loss = loss
        self.micro_batch_size = micro_batch_size
        if optimizer is None:
            self.requires_grad_(False)

    @override
    def setup(self, stage: str) -> None:
        """Checks that the tokens of the data module are those of the encoder."""
        data = getattr(self.trainer, "datamodule", None)
        if data is not None and isinstance(self.encoder, ChecksData):
            self.encoder.check_data(data)

    @override
    def configure_metrics(self) -> MetricCollection:
        ranks = PairRanks()
        recalls = {f"recall_at_{top}": PairRecall(top, ranks=ranks) for top in (1, 5, 10)}
        return MetricCollection({"mrr": PairReciprocalRank(ranks=ranks), **recalls})

    def forward(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings of length 1, (B, E).

        Args:
            token_ids: int64 (B, L).
            attention_mask: 1 token, 0 padding, int64 (B, L).
        """
        hidden = self.encoder(token_ids, attention_mask)
        return F.normalize(self.pooling(hidden, attention_mask).float(), dim=-1)  # not in a lower precision

    def embed(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """As `forward`, by micro-batches."""
        size = self.micro_batch_size
        if size is None or len(token_ids) <= size:
            return self(token_ids, attention_mask)
        parts = zip(token_ids.split(size), attention_mask.split(size), strict=True)
        return torch.cat([self._embed_part(*part) for part in parts])

    def _embed_part(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        longest = int(attention_mask.sum(dim=1).max())
        inputs = token_ids[:, :longest], attention_mask[:, :longest]
        if not torch.is_grad_enabled():
            return self(*inputs)
        # A checkpoint per micro-batch is gradient caching: embeddings without a graph, the gradient of the whole batch
        # with respect to them, then one micro-batch at a time again, from the state of the random generator it had.
        embeddings: Tensor = checkpoint(self.forward, *inputs, use_reentrant=False, preserve_rng_state=True)
        return embeddings

    @override
    def step(self, batch: Batch) -> StepOutput:
        roles = [role for role in ROLES if f"{role}_token_ids" in batch]
        embeddings = {role: self.embed(batch[f"{role}_token_ids"], batch[f"{role}_attention_mask"]) for role in roles}
        return self.evaluate(embeddings, batch)

    @override
    def evaluate(self, outputs: Batch, batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Embeddings (B, E) of `anchor`, `positive` and, where the data has some, `negative`.
            batch: With `texts`, int64 (B, 2): numbers of the texts of anchor and positive.
        """
        anchors, positives, texts = outputs["anchor"], outputs["positive"], batch["texts"]
        loss = self.loss(anchors, positives, outputs.get("negative"), same_texts(texts, texts))
        return StepOutput(
            loss=loss, predictions=torch.stack([anchors, positives], dim=1), targets=texts, weight=len(texts)
        )

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Cosine similarity of anchor and positive, (B,)."""
        anchors, positives = (
            self.embed(batch[f"{role}_token_ids"], batch[f"{role}_attention_mask"]) for role in ROLES[:2]
        )
        return {"row": batch["row"], "similarity": (anchors * positives).sum(dim=1)}

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        return {
            "token_ids": torch.tensor([[1, 2, 3, 4], [1, 2, 0, 0]]),
            "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
        }
