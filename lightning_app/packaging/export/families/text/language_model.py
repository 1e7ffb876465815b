"""Exporter of language models: from tokens to the logarithm of the probability of each next token."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from datamodules import TextStreamDataModule
from datamodules.streams.text_source import TextFiles
from datamodules.streams.text_stream import END_OF_LINE
from lightning_app.packaging.export.batches import Arrays, Sample, TestBatch, spread
from lightning_app.packaging.export.families.streams import StreamExporter
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.input_rows import named_answers, outcome_of
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.frames import write_frame
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.text.tokenizer import TEXT, TOKENS, Tokenizer
from models import RecurrentLanguageModel
from models.base import Batch
from models.recurrent.state import State

_STRETCH = 64
"""Tokens of one line of `evaluation.parquet`."""
_OUTPUT = "log_probabilities"
_EARLY = 128
_MOST_STRETCHES, _FEWEST_STRETCHES = 512, 16
_MOST_ANSWERED = 2**22
"""Most numbers of the answers that monitoring looks at."""


class LanguageModelExporter(StreamExporter):
    """`RecurrentLanguageModel` on any data module with `tokens` and `targets`; see `StreamExporter`."""

    task = "language_model"
    pipeline_tag = "text-generation"
    input_name = TOKENS
    module: RecurrentLanguageModel
    error_name = "negative log-likelihood per token, in nats"

    @property
    @override
    def row_name(self) -> str:  # type: ignore[override]
        return f"stretches of {_STRETCH} tokens" if self._is_text else "sequences"

    @property
    def _is_text(self) -> bool:
        return isinstance(self.data, TextStreamDataModule)

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        size = self.module.vocab_size
        return (TensorSpec(TOKENS, "int64", ("batch", "seq_len"), unit="index in the vocabulary", num_values=size),)

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        shape = ("batch", "seq_len", self.module.vocab_size)
        return (TensorSpec(_OUTPUT, "float32", shape, unit="nats, of the token after each"),)

    @property
    @override
    def tokenizer(self) -> Tokenizer | None:
        data = self.data
        if not isinstance(data, TextStreamDataModule):
            return None
        separator = data.text.separator if isinstance(data.text, TextFiles) else None
        return Tokenizer(data.level, data.vocabulary, END_OF_LINE if data.level == "word" else None, separator)

    @property
    @override
    def limitations(self) -> Sequence[str]:
        return (f"knows {self.module.vocab_size:,} tokens; what is not among them is read as the unknown token",)

    @property
    @override
    def values_per_row(self) -> int:
        return 8 * self._sample_length * self.module.vocab_size  # a sample need not be larger than the model

    @property
    def _sample_length(self) -> int:
        return self.module.chunk_size // 2 + 3  # no length that the export or the walk has

    @override
    def read(self, chunk: Tensor, state: State) -> tuple[tuple[Tensor, ...], State]:
        logits, after = self.module.advance(chunk, state)
        return (logits.float().log_softmax(dim=-1),), after

    @override
    def example_chunk(self) -> Tensor:
        return self.module.example_inputs()["tokens"]

    @override
    def walk(self) -> Iterator[TestBatch]:
        module, seen = self.module, 0
        for batch in self.batches():
            valid, tokens = batch["valid"], batch["tokens"]
            hidden, _ = module.hidden(batch, module.state_for(batch))
            expected = module.output(module.projection(hidden[valid])).float().log_softmax(dim=-1)
            rows = batch["row"] // _STRETCH if "row" in batch else seen + torch.arange(len(tokens))[:, None]
            seen += len(tokens)
            step = module.step(batch)
            yield TestBatch(
                rows=rows.expand(tokens.shape)[valid].numpy(),
                request={TOKENS: tokens.numpy()},
                answer={_OUTPUT: expected.numpy()},
                step=step,
                batch=batch,
            )

    @override
    def ask(self, predictor: Predictor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        tokens = np.asarray(test_batch.request[TOKENS])
        valid = test_batch.batch["valid"].numpy()
        log_p = np.empty((*tokens.shape, self.module.vocab_size), dtype=np.float32)
        for steps, (_, answer) in self.advance(predictor, tokens, test_batch.batch["reset"].numpy()):
            log_p[:, steps] = answer[_OUTPUT]
        return {_OUTPUT: log_p[valid]}

    @override
    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        targets = batch["targets"][batch["valid"]]
        return -outputs.gather(1, targets.unsqueeze(1)).squeeze(1).double()

    @override
    def slices(self, outputs: Tensor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        data: Any = self.data
        if not isinstance(data, TextStreamDataModule):
            return {}
        rows = (test_batch.batch["row"][test_batch.batch["valid"]] // _STRETCH * _STRETCH).numpy()
        starts = data.dataset("test").documents[:, 0]
        document = np.searchsorted(starts, rows, side="right") - 1
        early = rows - starts[np.maximum(document, 0)] < _EARLY
        return {"place": np.where(early, f"first {_EARLY} tokens of a document", "later")}

    @override
    def sample(self, count: int) -> Sample:
        batch = self.histories(count, self._sample_length)
        tokens = batch["tokens"]
        rows = batch["row"][:, 0] if "row" in batch else torch.arange(len(tokens))
        (expected,) = self.fresh(tokens)
        data = self.data
        ids = (
            {"document": data.positions(rows.numpy(), split="test")[0]}
            if isinstance(data, TextStreamDataModule)
            else {}
        )
        return Sample(
            rows=rows.numpy(),
            request={TOKENS: tokens.numpy()},
            answer={_OUTPUT: expected},
            targets={"target": batch["targets"].numpy()},
            ids=ids,
        )

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is a stretch of text, or a sequence, read from a fresh state; its outcome is the token after each."""
        count = _MOST_ANSWERED // (_STRETCH * self.module.vocab_size)
        count = min(max(_FEWEST_STRETCHES, count), _MOST_STRETCHES)
        tokens, targets = self._stretches(count)
        answer = predictor.predict({TOKENS: tokens})
        requests, outcome = write_frame({TOKENS: tokens}), outcome_of({"target": targets})
        if (tokenizer := self.tokenizer) is not None:
            requests = pl.DataFrame({TEXT: [tokenizer.decode(row.tolist()) for row in tokens]})
            outcome = pl.Series("outcome", [tokenizer.decode(row.tolist()) for row in targets])
        return MonitoredRows(
            requests=as_journalled(requests),
            answers=named_answers(predictor, {_OUTPUT: answer[_OUTPUT]}),
            outcome=outcome,
        )

    def _stretches(self, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Stretches from all over the test split, none across documents, and the tokens after each of theirs."""
        if not isinstance(self.data, TextStreamDataModule):
            batch = self.histories(count, _STRETCH)
            return list(batch["tokens"].numpy()), list(batch["targets"].numpy())
        stream = self.data.dataset("test")
        starts = np.concatenate([np.arange(first, end, _STRETCH) for first, end in stream.documents])
        ends = np.concatenate(
            [np.minimum(np.arange(first, end, _STRETCH) + _STRETCH, end) for first, end in stream.documents]
        )
        chosen = spread(len(starts), count)
        spans = list(zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True))
        tokens = stream.tokens.numpy()
        return [tokens[first:end] for first, end in spans], [tokens[first + 1 : end + 1] for first, end in spans]

    @override
    def golden_request(self, sample: Sample) -> Arrays:
        return {TOKENS: np.asarray(sample.request[TOKENS])[:1, :4]}  # an answer has a number per token and word

    @override
    def derived_metrics(self, values: Mapping[str, float]) -> Mapping[str, float]:
        return {"test/perplexity": float(np.exp(values["test/loss"]))}
