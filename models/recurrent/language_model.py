"""RecurrentLanguageModel: next-token prediction over streams of tokens."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from typing_extensions import override

from models.base import Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.recurrent.encoder import Encoder
from models.recurrent.state import RecurrentState
from models.recurrent.stream import EncoderModule


class RecurrentLanguageModel(EncoderModule):
    """Predicts the next token from all tokens of its document so far, with any stream encoder.

    Args:
        encoder: Encodes embedded tokens; its `input_size` is the embedding size.
        vocab_size: Number of tokens, V.
        chunk_size: New tokens per batch, k1.
        input_dropout: Dropout of the embedded tokens.
        dropout: Dropout of the encoder's output.
        locked_dropout: Draw both once per lane for all steps of a chunk, see `LockedDropout`.
        tie_embeddings: Share the embedding with the output layer (Press & Wolf, 2017), with a projection in between if
            the encoder's output size differs.
        embedding_range: Draw the embedding from -range to range, and start the output layer without a bias; None for
            the defaults of torch, or, tied, for a standard deviation of one over the root of the embedding size. Short
            fits of tied embeddings need more than that: what is read is as small as the logits have to be.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    exporter = "lightning_app.packaging.export.families.text.language_model:LanguageModelExporter"

    def __init__(
        self,
        *,
        encoder: Encoder,
        vocab_size: int,
        chunk_size: int,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        locked_dropout: bool = False,
        tie_embeddings: bool = False,
        embedding_range: float | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        self.vocab_size = vocab_size
        super().__init__(
            encoder=encoder,
            chunk_size=chunk_size,
            input_dropout=input_dropout,
            dropout=dropout,
            locked_dropout=locked_dropout,
            optimizer=optimizer,
            scheduler=scheduler,
        )
        self.embedding = nn.Embedding(vocab_size, encoder.input_size)
        self.projection: nn.Module = nn.Identity()
        self.output = nn.Linear(encoder.output_size, vocab_size)
        if tie_embeddings:
            if encoder.output_size != encoder.input_size:
                self.projection = nn.Linear(encoder.output_size, encoder.input_size)
            nn.init.normal_(self.embedding.weight, std=encoder.input_size**-0.5)
            self.output = nn.Linear(encoder.input_size, vocab_size)
            self.output.weight = self.embedding.weight
        if embedding_range is not None:
            if embedding_range <= 0:
                raise ValueError(f"model.embedding_range: {embedding_range} given, more than 0 is needed, or null")
            nn.init.uniform_(self.embedding.weight, -embedding_range, embedding_range)
            nn.init.zeros_(self.output.bias)

    @override
    def configure_metrics(self) -> MetricCollection:
        return MetricCollection({"accuracy": MulticlassAccuracy(self.vocab_size, average="micro")})

    @override
    def embed(self, batch: Batch) -> Tensor:
        embedded: Tensor = self.embedding(batch["tokens"])
        return embedded

    def forward(self, tokens: Tensor) -> Tensor:
        """Next-token logits at each position, from the start of a document.

        Args:
            tokens: int64 (B, L).

        Returns:
            (B, L, V).
        """
        return self.advance(tokens, self.initial_state(len(tokens)))[0]

    def advance(self, tokens: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """Continues from a state.

        Args:
            tokens: int64 (B, L).
            state: B lanes.

        Returns:
            logits: (B, L, V).
            state: State after the last token.
        """
        hidden, state = self.encoder.encode(self.embedding(tokens), state)
        return self.output(self.projection(hidden)), state

    @override
    def stream_step(self, batch: Batch, state: RecurrentState) -> tuple[StepOutput, RecurrentState]:
        hidden, state = self.hidden(batch, state)
        valid, targets = batch["valid"], batch["targets"]
        if not valid.all():  # logits of valid steps only: the output layer is most of the work
            hidden, targets = hidden[valid], targets[valid]
        logits = self.output(self.projection(hidden)).flatten(0, -2)  # (N, V)
        return self._step_output(logits, targets.flatten(), loss=F.cross_entropy), state

    @override
    def evaluate(self, outputs: Tensor, batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`.

        Args:
            outputs: Log-probabilities (N, V) of the tokens that count.
            batch: With `targets` and `valid`, (B, L).
        """
        return self._step_output(outputs, batch["targets"][batch["valid"]], loss=F.nll_loss)

    def _step_output(self, scores: Tensor, targets: Tensor, *, loss: Callable[[Tensor, Tensor], Tensor]) -> StepOutput:
        """Loss of logits or log-probabilities (N, V) by `loss`, and the likeliest tokens."""
        precise = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return StepOutput(
            loss=loss(precise, targets) if len(targets) else scores.sum() * 0.0,
            predictions=scores if self.training else scores.argmax(dim=-1),
            targets=targets,
            weight=len(targets),
        )

    @override
    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val/perplexity", self.val_loss.compute().exp())

    @override
    def on_test_epoch_end(self) -> None:
        self.log("test/perplexity", self.test_loss.compute().exp())

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Log-likelihood of each token of the stream, in nats, and the most likely token."""
        hidden, self._evaluated = self.hidden(batch, self.state_for(batch))
        valid = batch["valid"]
        log_p = self.output(self.projection(hidden[valid])).float().log_softmax(dim=-1)
        targets = batch["targets"][valid]
        position = {"row": batch["row"][valid]} if "row" in batch else {}
        return {
            **position,
            "token": targets,
            "log_probability": log_p.gather(1, targets.unsqueeze(1)).squeeze(1),
            "likeliest_token": log_p.argmax(dim=-1),
        }

    @torch.no_grad()
    def generate(self, prompt: Tensor, num_tokens: int, *, temperature: float = 1.0) -> Tensor:
        """Continues prompts by sampling.

        Args:
            prompt: int64 (B, L), L at least 1.
            num_tokens: Number of tokens to add.
            temperature: Divides the logits; 0 is greedy decoding.

        Returns:
            int64 (B, L + num_tokens).
        """
        was_training = self.training
        self.eval()
        logits, state = self.advance(prompt, self.initial_state(len(prompt)))
        tokens = [prompt]
        for _ in range(num_tokens):
            scores = logits[:, -1]
            chosen = (
                torch.multinomial((scores / temperature).softmax(dim=-1), 1)
                if temperature
                else scores.argmax(dim=-1, keepdim=True)
            )
            tokens.append(chosen)
            logits, state = self.advance(chosen, state)
        self.train(was_training)
        return torch.cat(tokens, dim=1)

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        return {"tokens": torch.randint(self.vocab_size, (2, self.chunk_size))}
