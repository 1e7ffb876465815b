"""CausalLanguageModel, the LightningModule of pretrained decoders, fine-tuned whole or by low-rank adapters (LoRA)."""

import copy
import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection
from typing_extensions import override

from features.text.pretrained import pretrained_folder
from models.base import BaseModule, Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.text.perplexity import Perplexity
from models.text.pretrained_network import load_network

_BASE = "base_weights"
"""Key of a checkpoint: sha256 of the pretrained weights that its adapters belong to."""


class CausalLanguageModel(BaseModule):
    """Fine-tunes `AutoModelForCausalLM` of `transformers` on blocks of tokens.

    With `lora_rank` the pretrained weights are frozen, and low-rank matrices beside the weights of `lora_targets` are
    trained (Hu et al., 2022, through `peft`). A checkpoint then holds the adapters alone and needs the pretrained
    weights, which it identifies by their sha256; a package holds the sum of both.

    Args:
        pretrained: A folder, `package:NAME`, or `org/name` of the hub, see `features.text.pretrained_folder`.
        lora_rank: Rank of the adapters; None trains all weights.
        lora_alpha: Scale of the adapters; their sum enters with alpha / rank.
        lora_dropout: Dropout of the adapters' inputs.
        lora_targets: Names of the linear modules with adapters, e.g. `[q_proj, v_proj]`; None for those that `peft`
            knows for the model.
        top: Likeliest next tokens that `forward` gives, K.
        gradient_checkpointing: Computes activations of the layers again in the backward pass instead of keeping them.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    exporter = "lightning_app.packaging.export.families.text.causal_language_model:CausalLanguageModelExporter"

    def __init__(
        self,
        *,
        pretrained: str,
        lora_rank: int | None = None,
        lora_alpha: float = 16.0,
        lora_dropout: float = 0.0,
        lora_targets: Sequence[str] | None = None,
        top: int = 50,
        gradient_checkpointing: bool = False,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        if lora_rank is not None and lora_rank < 1:
            raise ValueError(f"model.lora_rank: {lora_rank} given, at least 1 is needed; null trains all weights")
        if lora_rank is None and lora_targets is not None:
            raise ValueError("model.lora_targets: given without lora_rank, all weights are trained")
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        self.pretrained = str(pretrained)
        network = load_network(
            "AutoModelForCausalLM", pretrained, key="model.pretrained", keeps_weights=lora_rank is not None
        )
        self.vocab_size = int(network.config.vocab_size)
        if not 1 <= top <= self.vocab_size:
            raise ValueError(f"model.top: {top} given, 1 to {self.vocab_size} are possible")
        self.top = top
        self.has_adapters = lora_rank is not None
        if gradient_checkpointing:
            network.gradient_checkpointing_enable({"use_reentrant": False})
        self.network: Any = network
        if lora_rank is not None:
            if gradient_checkpointing:
                network.enable_input_require_grads()
            self.network = _with_adapters(network, lora_rank, lora_alpha, lora_dropout, lora_targets)

    @property
    def max_length(self) -> int | None:
        """Most tokens of a text; None without a limit."""
        positions = getattr(self.network.config, "max_position_embeddings", None)
        return int(positions) if positions else None

    @override
    def setup(self, stage: str) -> None:
        """Checks that the tokens and blocks of the data module fit the model."""
        data = getattr(self.trainer, "datamodule", None)
        vocab_size, block_size = getattr(data, "vocab_size", 0), getattr(data, "block_size", 0)
        if vocab_size > self.vocab_size:
            raise ValueError(
                f"data.pretrained: its tokenizer has {vocab_size:,} tokens, the model {self.pretrained} only "
                f"{self.vocab_size:,}; take the tokenizer of the model"
            )
        if self.max_length is not None and block_size > self.max_length:
            raise ValueError(
                f"data.block_size: {block_size} given, {self.pretrained} takes at most {self.max_length} tokens"
            )

    @override
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"perplexity": Perplexity()})

    def forward(self, token_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Probabilities of the tokens of texts, and of the next one.

        Args:
            token_ids: int64 (B, L).
            attention_mask: 1 token, 0 padding at the end, int64 (B, L).

        Returns:
            `log_probability` (B,), the mean per token after the first, in nats; `perplexity` (B,);
            `token_log_probabilities` (B, L), of each token after those before it, 0 for the first; `next_tokens` int64
            (B, K) and `next_log_probabilities` (B, K), of the token after the last, likeliest first.
        """
        log_p = self._logits(token_ids, attention_mask).float().log_softmax(dim=-1)
        own = self._own(log_p, token_ids, attention_mask)
        count = (attention_mask.sum(dim=1) - 1).clamp_min(1)
        mean = own.sum(dim=1) / count
        last = (attention_mask.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, log_p.shape[2])
        following = log_p.gather(1, last).squeeze(1).topk(self.top, dim=-1)
        return {
            "log_probability": mean,
            "perplexity": (-mean).exp(),
            "token_log_probabilities": own,
            "next_tokens": following.indices,
            "next_log_probabilities": following.values,
        }

    def _logits(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.network(input_ids=token_ids, attention_mask=attention_mask, use_cache=False).logits
        return logits

    @staticmethod
    def _own(log_p: Tensor, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Log-probability of each token after those before it, (B, L); 0 for the first and for padding."""
        following = torch.cat([token_ids[:, 1:], token_ids[:, :1]], dim=1)
        own = log_p.gather(2, following.unsqueeze(2)).squeeze(2)
        return torch.cat([torch.zeros_like(own[:, :1]), own[:, :-1]], dim=1) * attention_mask

    @override
    def step(self, batch: Batch) -> StepOutput:
        """Loss of the tokens that count.

        Args:
            batch: `token_ids`, `attention_mask`, and `counts` bool (B, L): tokens that are predicted; never the first.
        """
        counts = batch["counts"][:, 1:]
        logits = self._logits(batch["token_ids"], batch["attention_mask"])[:, :-1][counts]
        targets = batch["token_ids"][:, 1:][counts]
        return self._step_output(-F.cross_entropy(logits.float(), targets, reduction="none"), targets)

    @override
    def evaluate(self, outputs: Tensor, batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: `token_log_probabilities` of `forward`, (B, L).
            batch: As of `step`.
        """
        counts = batch["counts"]
        return self._step_output(outputs[counts], batch["token_ids"][counts])

    @staticmethod
    def _step_output(log_probabilities: Tensor, targets: Tensor) -> StepOutput:
        loss = -log_probabilities.mean() if len(targets) else log_probabilities.sum()
        return StepOutput(loss=loss, predictions=log_probabilities, targets=targets, weight=len(targets))

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Mean log-probability per token, and perplexity."""
        answer = self(batch["token_ids"], batch["attention_mask"])
        return {"row": batch["row"], **{name: answer[name] for name in ("log_probability", "perplexity")}}

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        return {
            "token_ids": torch.tensor([[0, 1, 2, 3, 1], [0, 1, 0, 0, 0]]),
            "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]),
        }

    def merged(self) -> "CausalLanguageModel":
        """A copy without adapters, whose weights are the sums of both; the model itself where it has none."""
        if not self.has_adapters:
            return self
        network = self.network
        del self.network  # copied once, below, not twice
        try:
            model = copy.copy(self)
            model._modules = dict(self._modules)
        finally:
            self.network = network
        model.network = copy.deepcopy(network).merge_and_unload()
        model.has_adapters = False
        return model

    @cached_property
    def _base_digest(self) -> str:
        """sha256 of the pretrained weights."""
        folder, digest = pretrained_folder(self.pretrained, key="model.pretrained"), hashlib.sha256()
        for file in sorted(folder.glob("model*.safetensors")):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.has_adapters:
            trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
            state = checkpoint["state_dict"]
            checkpoint["state_dict"] = {
                name: value for name, value in state.items() if not name.startswith("network.") or name in trained
            }
            checkpoint[_BASE] = self._base_digest

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if _BASE not in checkpoint:
            return
        if (digest := self._base_digest) != checkpoint[_BASE]:
            raise ValueError(
                f"model.pretrained: the weights of {self.pretrained} have the sha256 {digest[:12]}, the adapters of "
                f"the checkpoint were trained on {checkpoint[_BASE][:12]}; give the model that they belong to"
            )
        base = {name: value for name, value in self.state_dict().items() if name.startswith("network.")}
        checkpoint["state_dict"] = {**base, **checkpoint["state_dict"]}


def _with_adapters(
    network: nn.Module, rank: int, alpha: float, dropout: float, targets: Sequence[str] | None
) -> nn.Module:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("model.lora_rank: adapters need peft: pip install 'lightning-r2p[lora]'") from error
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # a float divides as well
        lora_dropout=dropout,
        target_modules=None if targets is None else list(targets),
        task_type="CAUSAL_LM",
        # GPT-2 keeps weights transposed in Conv1D; peft warns and corrects itself otherwise.
        fan_in_fan_out=any(type(part).__name__ == "Conv1D" for part in network.modules()),
    )
    try:
        return peft.get_peft_model(network, config)  # type: ignore[arg-type]
    except ValueError as error:
        names = sorted({name.rsplit(".", 1)[-1] for name, part in network.named_modules() if _takes_adapter(part)})
        given = "none given" if targets is None else f"{', '.join(targets)} given"
        raise ValueError(f"model.lora_targets: {given}, the model has {', '.join(names)}") from error


def _takes_adapter(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"
