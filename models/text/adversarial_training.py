"""AdversarialTraining: each text is learned as it is, and with its embeddings moved to where they are harder."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch
from models.tasks import BinaryClassification, MulticlassClassification, TabularTask
from models.text.divergence import divergence


class AdversarialTraining(nn.Module):
    """Adversarial training on the embeddings of tokens (Miyato et al., 2017), against overfitting on few texts.

    A step reads each text twice: as it is, and with its embeddings moved along the gradient of its loss. The loss is
    the sum of both, plus `consistency` times the divergence of the second answer from the first one, KL(first ||
    second), as in SMART (Jiang et al., 2020). A step takes about 2.3 times as long as a plain one: 2 forward and 2.5
    backward passes. Validation, test and packages are those of the plain model.

    Args:
        size: Norm of the movement of a text over that of its embeddings.
        consistency: Weight of the divergence; 0 for none, which tasks other than a single class need.
    """

    def __init__(self, *, size: float = 0.01, consistency: float = 1.0) -> None:
        super().__init__()
        if size <= 0:
            raise ValueError(f"model.adversarial.size: {size} given, a number above 0 is needed, 0.01 is usual")
        if consistency < 0:
            raise ValueError(f"model.adversarial.consistency: {consistency} given, 0 or more is needed")
        self.size = size
        self.consistency = consistency

    def check(self, encoder: nn.Module, task: TabularTask) -> None:
        """Raises unless an encoder and a task can be trained so.

        Args:
            encoder: With a method `token_embeddings` and an argument `added`, as `PretrainedEncoder`.
            task: The task.

        Raises:
            ValueError: They cannot.
        """
        if not hasattr(encoder, "token_embeddings"):
            raise ValueError(
                f"model.adversarial: {type(encoder).__name__} has no method token_embeddings, by which embeddings are "
                "moved; take PretrainedEncoder"
            )
        if self.consistency and not isinstance(task, BinaryClassification | MulticlassClassification):
            raise ValueError(
                f"model.adversarial.consistency: {self.consistency} given, but {type(task).__name__} answers no single "
                "class; give 0"
            )

    @override
    def forward(self, network: nn.Module, task: TabularTask, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs of the texts as they are, and the loss to train on.

        Args:
            network: (token_ids, attention_mask, added) -> (B, output_size), as `TextNetwork`.
            task: Meaning of the outputs.
            batch: With `token_ids`, `attention_mask` and `target`.

        Returns:
            (B, output_size) and a scalar.
        """
        token_ids, mask, targets = batch["token_ids"], batch["attention_mask"], batch["target"]
        with torch.no_grad():
            embeddings = network.encoder.token_embeddings(token_ids) * mask.unsqueeze(-1)  # type: ignore[union-attr, operator]
        nothing = torch.zeros_like(embeddings, requires_grad=True)
        outputs = network(token_ids, mask, nothing)
        loss = task.loss(outputs, targets)
        (gradient,) = torch.autograd.grad(loss, nothing, retain_graph=True)
        gradient = gradient / _norm(gradient).clamp_min(torch.finfo(gradient.dtype).tiny)
        moved = network(token_ids, mask, self.size * _norm(embeddings) * gradient)
        total = loss + task.loss(moved, targets)
        if self.consistency:
            total = total + self.consistency * divergence(task, moved, outputs.detach())
        return outputs, total


def _norm(vectors: Tensor) -> Tensor:
    """Norm of each text, (B, 1, 1)."""
    return vectors.norm(dim=(1, 2), keepdim=True)
