"""Exporter of tabular models: from the features of a row to its prediction, and from raw rows through the features."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.tabular import FeatureTableDataModule
from datamodules.text import TextTableDataModule
from features.sources import ROW
from features.text.token_rows import FastTokenizer
from lightning_app.packaging.export.batches import Arrays, RawParity, TestBatch, as_arrays, spread
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.families.network_outputs import NetworkOutputs
from lightning_app.packaging.export.families.tabular_rows import tabular_rows
from lightning_app.packaging.export.head_outputs import head_outputs, head_targets
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.parity import ParityError
from lightning_app.packaging.format.manifest import TOKENIZER, TensorSpec
from lightning_app.packaging.format.raw_input import RawInputSpec
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.features_input import FeaturesInput
from lightning_app.packaging.runtime.raw_kinds.features_spec import raw_input_spec
from lightning_app.packaging.runtime.raw_kinds.text_tokens import token_specs, without_padding
from models.base import Batch
from models.tabular import TabularModule
from models.tabular.tabular_module import NETWORK_OUTPUTS, tensor_inputs

_RAW_ROWS = 1000
_RAW_TEXTS = 256


class TabularExporter(Exporter):
    """`TabularModule` on a feature table.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    family = "tabular"
    data_module = FeatureTableDataModule
    module: TabularModule
    data: FeatureTableDataModule

    def __init__(self, module: TabularModule, data: FeatureTableDataModule) -> None:
        super().__init__(module, data)
        module.check_features(data.statistics["digest"])
        self.task = module.task.name
        self.answers = head_outputs(module.task, data)
        self.answer = self.answers[0].spec.name
        decisions = tuple(one.decision for one in self.answers if one.decision is not None)
        several = data.several_labels
        if several is not None:
            self.decisions = decisions
            self.pipeline_tag = "tabular-classification" if all(several.heads.values()) else "tabular-regression"
            self.error_name = "mean over the labels: 1 for a wrong class, of numbers the error in training deviations"
            if len(self.answers) == 1:
                self.error_name = "share of the labels that are answered wrongly"
        elif module.num_classes:
            self.labels = tuple(data.class_names)
            self.decisions = tuple(one for one in decisions if one.thresholds is not None)
            self.pipeline_tag = "tabular-classification"
            answered = "answered" if self.decisions else "likeliest"
            self.error_name = f"share of rows of which another class is {answered}"
        else:
            self.pipeline_tag = "tabular-regression"
            self.error_name = f"absolute error{f', in {data.label.unit}' if data.label.unit else ''}"

        if isinstance(data, TextTableDataModule):
            self.pipeline_tag = "text-classification"

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        layout = self.data.pipeline.layout
        assert layout is not None
        specs: list[TensorSpec] = []
        if layout.numbers:
            columns, count = layout.numbers, len(layout.numbers)
            specs.append(
                TensorSpec("numbers", "float32", ("batch", count), unit="as given, 0 where missing", columns=columns)
            )
            specs.append(TensorSpec("missing", "bool", ("batch", count), unit="true where a number is missing"))
        if layout.categories:
            names = tuple(column.name for column in layout.categories)
            size = max(column.size for column in layout.categories)
            specs.append(
                TensorSpec(
                    "categories",
                    "int64",
                    ("batch", len(names)),
                    unit="0 unknown, 1 missing",
                    columns=names,
                    num_values=size,
                )
            )
        if self.data.vector_size:
            specs.append(TensorSpec("vectors", "float32", ("batch", self.data.vector_size)))
        if self.tokenizer_of_texts is not None:
            specs += token_specs(self.tokenizer_of_texts)
        return tuple(specs)

    @property
    def tokenizer_of_texts(self) -> FastTokenizer | None:
        """Tokenizer of the text among the features; None if there is none."""
        return self.data.tokenizer if isinstance(self.data, TextTableDataModule) else None

    @property
    @override
    def values_per_row(self) -> int:
        if not isinstance(self.data, TextTableDataModule):
            return super().values_per_row
        return super().values_per_row + 2 * int(self.data.tokens.lengths.mean())

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        return tuple(one.spec for one in self.answers)

    @cached_property
    def _text_outputs(self) -> NetworkOutputs | None:
        """Outputs for rows with a text, each computed once; None of other rows, which are cheap."""
        if not isinstance(self.data, TextTableDataModule):
            return None
        rows = self.data.dataset("test")
        return NetworkOutputs(lambda chosen: self.module.batch_outputs(rows.__getitems__(chosen)), rows)

    def _batch(self, positions: np.ndarray) -> Batch:
        """A batch of the test split with the outputs of the network, which `step` and `predict_step` then share."""
        batch = self.data.dataset("test").__getitems__(positions)
        texts = self._text_outputs
        outputs = self.module.batch_outputs(batch) if texts is None else torch.stack(texts.at(positions))
        return {**batch, NETWORK_OUTPUTS: outputs}

    def _answer(self, batch: Batch) -> dict[str, np.ndarray]:
        """Answers of the checkpoint to a batch."""
        predicted = self.module.predict_step(batch, 0)
        return as_arrays({one.spec.name: predicted[one.spec.name] for one in self.answers})

    @property
    @override
    def raw_input(self) -> tuple[RawInputSpec, Mapping[str, bytes]]:
        pipeline = self.data.pipeline
        spec = raw_input_spec(pipeline)
        files = {spec.file: pipeline.to_json()}
        if self.tokenizer_of_texts is not None:
            files[TOKENIZER] = self.tokenizer_of_texts.to_json()
        return spec, files

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        data = self.data
        positions = spread(self.num_samples, _RAW_ROWS if self.tokenizer_of_texts is None else _RAW_TEXTS)
        rows = data.dataset("test").positions[positions]
        expected = self._answer(self._batch(positions))
        own = data.asked.tables_of(data.definitions, data.raw)
        tables = {name: table for name, table in data.tables.items() if name not in own}
        raw_input = predictor.raw_input
        assert isinstance(raw_input, FeaturesInput)
        raw_input.tables = tables
        asked, places = data.raw, rows
        if raw_input.rows_alone:
            asked, places = data.raw[data.rows[ROW].to_numpy()[rows]], np.arange(len(rows))
        parts = list(predictor.predict_raw(asked, at=data.moments))
        answers = pl.concat([part.table for part in parts])
        if len(answers) != (num_asked := len(places) if raw_input.rows_alone else len(data.rows)):
            rejected = {row: reason for part in parts for row, reason in part.rejected.items()}
            first = f"; row {min(rejected)}: {rejected[min(rejected)]}" if rejected else ""
            raise ParityError(f"the package answers {len(answers):,} of {num_asked:,} rows of the raw table{first}")
        answered = {name: answers[name][places].to_numpy() for name in expected}
        yield RawParity(rows=rows, answered=answered, expected=expected)

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is a row that is asked about: the columns that a client sends with it, without its history."""
        return tabular_rows(predictor, held_out, data=self.data, columns=self.raw_input[0].columns)

    @property
    @override
    def extra_files(self) -> Mapping[str, bytes]:
        return {"features.yaml": self.data.definitions.to_yaml().encode()}

    @property
    @override
    def limitations(self) -> Sequence[str]:
        return self.data.notes()

    @override
    def test_batch(self, positions: np.ndarray) -> TestBatch:
        batch = self._batch(positions)
        return TestBatch(
            rows=batch["row"].numpy(),
            request=without_padding(as_arrays(tensor_inputs(batch))),
            answer=self._answer(batch),
            step=self.module.step(batch),
            batch=batch,
        )

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        targets = test_batch.batch["target"].numpy()
        if self.data.several_labels is not None:
            return head_targets(self.data.several_labels, targets)
        return {"target": targets if self.labels is None else np.array(self.labels, dtype=np.str_)[targets]}

    @override
    def ids(self, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        asked = self.data.rows[test_batch.rows]
        return {name: asked[name].to_numpy() for name in self.data.key_names}

    @override
    def errors(self, outputs: Any, batch: Batch) -> Tensor:
        return self.module.task.errors(outputs, batch["target"])

    @override
    def slices(self, outputs: Any, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        targets = test_batch.batch["target"].numpy()
        if self.data.several_labels is not None:
            return {}
        if self.labels is None:
            return {"target": targets.astype(np.float64)}
        return {"class": np.array(self.labels, dtype=np.str_)[targets]}
