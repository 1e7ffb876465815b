"""Exporter of causal language models: from a text to the probabilities of its tokens, and of the next one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from typing_extensions import override

from datamodules.text import TextBlockDataModule
from lightning_app.packaging.export.batches import RawParity, Sample, TestBatch, padded_answer, spread
from lightning_app.packaging.export.families.text.texts import TextsExporter
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.text_tokens import ATTENTION_MASK, TOKEN_IDS, without_padding
from lightning_app.packaging.runtime.text.tokenizer import TEXT
from models.base import Batch
from models.text import CausalLanguageModel

_TOKENS = "token_log_probabilities"
_RAW_TEXTS = 200
_MONITORED = 2000


class CausalLanguageModelExporter(TextsExporter):
    """`CausalLanguageModel` on blocks of tokens. A row of the package is a text, a row of the test a block.

    Adapters are added to the weights that they belong to, so that the graph has none.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    task = "causal_language_model"
    pipeline_tag = "text-generation"
    data_module = TextBlockDataModule
    error_name = "negative log-likelihood per token, in nats"
    row_name = "blocks"
    module: CausalLanguageModel
    data: TextBlockDataModule

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        count = self.module.top
        return (
            TensorSpec("log_probability", "float32", ("batch",), unit="nats, the mean per token"),
            TensorSpec("perplexity", "float32", ("batch",), unit="per token"),
            TensorSpec(_TOKENS, "float32", ("batch", "seq_len"), unit="nats, of each token after those before it"),
            TensorSpec("next_tokens", "int64", ("batch", count), unit="ids of the likeliest next tokens"),
            TensorSpec("next_log_probabilities", "float32", ("batch", count), unit="nats, of the next token"),
        )

    @property
    @override
    def limitations(self) -> Sequence[str]:
        return (
            f"reads the first {self.data.block_size} tokens of a text",
            "generates a token by reading the whole text again: no cache of keys and values",
            *self.data.notes(),
        )

    @property
    @override
    def values_per_row(self) -> int:
        return 3 * self.data.block_size + 2 * self.module.top

    @override
    def network(self) -> nn.Module:
        return _Outputs(self._merged, [spec.name for spec in self.outputs])

    @cached_property
    def _merged(self) -> CausalLanguageModel:
        return self.module.merged().eval()

    @override
    def test_batch(self, positions: np.ndarray) -> TestBatch:
        batch = self.data.dataset("test").__getitems__(positions)
        answer = {name: value.numpy() for name, value in self.module(batch[TOKEN_IDS], batch[ATTENTION_MASK]).items()}
        return TestBatch(
            rows=positions,
            request=without_padding({name: batch[name].numpy() for name in (TOKEN_IDS, ATTENTION_MASK)}),
            answer=answer,
            step=self.module.evaluate(torch.from_numpy(answer[_TOKENS]), batch),
            batch=batch,
        )

    @override
    def sample(self, count: int) -> Sample:
        blocks = self.data.dataset("test")
        lengths = np.minimum(blocks.block_size, len(blocks.tokens) - blocks.starts)
        whole = np.flatnonzero(lengths == lengths.max())  # rows of one size: their answers are one array
        chosen = self.test_batch(whole[spread(len(whole), count)])
        return Sample(chosen.rows, chosen.request, chosen.answer, {})

    @override
    def ask(self, predictor: Predictor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        answer = dict(predictor.predict(test_batch.request))
        answer[_TOKENS] = padded_answer(answer[_TOKENS], test_batch.batch[TOKEN_IDS].shape[1])
        return answer

    @override
    def module_outputs(self, answer: Mapping[str, Tensor]) -> Tensor:
        return answer[_TOKENS]

    @override
    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        counts = batch["counts"].double()
        return -(outputs.double() * counts).sum(dim=1) / counts.sum(dim=1).clamp_min(1)

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        texts = self._test_texts(_RAW_TEXTS)
        rows = self.data.tokenizer.encode(texts).rows()
        for place, (text, row) in enumerate(zip(texts, rows, strict=True)):  # by themselves: nothing is padded
            token_ids = torch.from_numpy(row)[None]
            expected = self.module(token_ids, torch.ones_like(token_ids))
            (answer,) = predictor.predict_raw(pl.DataFrame({TEXT: [text]}))
            names = [spec.name for spec in self.outputs]
            yield RawParity(
                rows=np.array([place]),
                answered={name: _numbers(answer.table[name]) for name in names},
                expected={name: expected[name].numpy() for name in names},
            )

    def _test_texts(self, most: int) -> list[str]:
        documents = self.data.documents["test"]
        return [documents[place] for place in spread(len(documents), most)]

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is a text: a block of the test split in words."""
        chosen = held_out.at(spread(len(held_out), _MONITORED))
        texts = [self.data.tokenizer.decode(np.asarray(row)) for row in chosen.request[TOKEN_IDS]]
        answer = {name: chosen.answer[name] for name in ("log_probability", "perplexity")}
        lists = {f"prediction.{name}": "a list per text" for name in (_TOKENS, "next_tokens", "next_log_probabilities")}
        return self.monitored_texts(predictor, texts, answer, left_out=lists)


class _Outputs(nn.Module):
    def __init__(self, module: CausalLanguageModel, names: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.names = tuple(names)

    def forward(self, token_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """The outputs in their order."""
        outputs = self.module(token_ids, attention_mask)
        return tuple(outputs[name] for name in self.names)


def _numbers(column: pl.Series) -> np.ndarray:
    values = column.to_numpy()
    return np.stack(list(values)) if values.dtype == object else values
