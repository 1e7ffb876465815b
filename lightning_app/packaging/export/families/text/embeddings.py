"""Exporter of text embedders: from a text to its embedding."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from torch import Tensor
from typing_extensions import override

from datamodules.text import TextPairDataModule
from lightning_app.packaging.export.batches import Evaluation, RawParity, Sample, TestBatch, as_arrays, spread
from lightning_app.packaging.export.families.text.texts import TextsExporter
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.text_tokens import ATTENTION_MASK, TOKEN_IDS, without_padding
from lightning_app.packaging.runtime.text.tokenizer import TEXT
from models.base import Batch
from models.text import TextEmbedder
from models.text.pair_ranking import same_texts

_OUTPUT = "embedding"
_PAIR = ("anchor", "positive")
_RAW_ROWS = 500
_MONITORED = 5000


class EmbeddingExporter(TextsExporter):
    """`TextEmbedder` on pairs of texts. A row of the package is a text, a row of the test a pair.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    task = "text_embedding"
    pipeline_tag = "sentence-similarity"
    data_module = TextPairDataModule
    error_name = "1 minus the reciprocal rank among the pairs of a batch"
    row_name = "pairs"
    module: TextEmbedder
    data: TextPairDataModule

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec(_OUTPUT, "float32", ("batch", self._size), unit="of length 1"),)

    @property
    def _size(self) -> int:
        return self.module(*self.example()).shape[1]

    @property
    @override
    def extra_files(self) -> Mapping[str, bytes]:
        return {"features.yaml": self.data.definitions.to_yaml().encode()}

    @property
    @override
    def limitations(self) -> Sequence[str]:
        return (f"reads the first {self.data.max_length} tokens of a text", *self.data.notes())

    @override
    def test_batch(self, positions: np.ndarray) -> TestBatch:
        batch = self.data.dataset("test").__getitems__(positions)
        step = self.module.step(batch)
        embeddings = step.predictions.transpose(0, 1).flatten(0, 1)  # the anchors, then the positives
        names = (TOKEN_IDS, ATTENTION_MASK)
        parts = [without_padding({name: batch[f"{role}_{name}"].numpy() for name in names}) for role in _PAIR]
        return TestBatch(
            rows=np.concatenate([2 * positions, 2 * positions + 1]),
            request={name: [row for part in parts for row in part[name]] for name in names},
            answer=as_arrays({_OUTPUT: embeddings}),
            step=step,
            batch=batch,
        )

    @override
    def sample(self, count: int) -> Sample:
        batch = self.test_batch(spread(self.num_samples, (count + 1) // 2))
        return Sample(batch.rows, batch.request, batch.answer, {}, self.ids(batch))

    @override
    def ids(self, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        return {"role": np.array(_PAIR, dtype=np.str_)[test_batch.rows % 2]}

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        positions = spread(self.num_samples, _RAW_ROWS)
        batch = self.test_batch(positions)
        answers = [part.table[_OUTPUT] for part in predictor.predict_raw(pl.DataFrame({TEXT: self._texts(batch.rows)}))]
        yield RawParity(rows=batch.rows, answered={_OUTPUT: pl.concat(answers).to_numpy()}, expected=batch.answer)

    def _texts(self, rows: np.ndarray) -> list[str]:
        """Texts of rows of the test split: twice the position of a pair, plus 1 for its positive."""
        pairs = self.data.rows[self.data.split_rows.test]
        columns = [pairs[role].to_list() for role in _PAIR]
        return [columns[row % 2][row // 2] for row in rows.tolist()]

    @override
    def evaluate(self, answer: Mapping[str, np.ndarray], test_batch: TestBatch) -> Evaluation:
        pairs = test_batch.rows[: len(test_batch.rows) // 2]
        evaluation = super().evaluate(answer, replace(test_batch, rows=pairs))
        return replace(evaluation, rows=pairs // 2)

    @override
    def module_outputs(self, answer: Mapping[str, Tensor]) -> Batch:
        anchors, positives = answer[_OUTPUT].chunk(2)
        return {"anchor": anchors, "positive": positives}

    @override
    def errors(self, outputs: Batch, batch: Batch) -> Tensor:
        similarity = outputs["anchor"] @ outputs["positive"].T
        competes = ~same_texts(batch["texts"], batch["texts"])
        above = ((similarity >= similarity.diagonal().unsqueeze(1)) & competes).sum(dim=1)
        return 1.0 - 1.0 / (1.0 + above.double())

    @override
    def slices(self, outputs: Batch, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        return {
            f"{role}_tokens": test_batch.batch[f"{role}_{ATTENTION_MASK}"].sum(dim=1).double().numpy() for role in _PAIR
        }

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is a text."""
        chosen = held_out.at(spread(len(held_out), _MONITORED))
        return self.monitored_texts(predictor, self._texts(chosen.rows), chosen.answer, left_out={})
