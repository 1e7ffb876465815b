"""Exporter of tabular models: from the features of a row to its prediction, and from raw rows through the features."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from torch import Tensor
from typing_extensions import override

from datamodules.tabular import FeatureTableDataModule
from lightning_app.packaging.export.batches import Arrays, RawParity, TestBatch, as_arrays, spread
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.families.tabular_rows import tabular_rows
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.parity import ParityError
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.format.raw_input import RawInputSpec
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.features_input import FeaturesInput
from lightning_app.packaging.runtime.raw_kinds.features_spec import raw_input_spec
from models.base import Batch
from models.tabular import TabularModule
from models.tabular.tabular_module import tensor_inputs

_RAW_ROWS = 1000


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
        self.answer = module.task.answer
        if module.num_classes:
            self.labels = tuple(data.class_names)
            self.pipeline_tag = "tabular-classification"
            self.error_name = "share of rows of which another class is likeliest"
        else:
            self.pipeline_tag = "tabular-regression"
            self.error_name = f"absolute error{f', in {data.label.unit}' if data.label.unit else ''}"

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
        return tuple(specs)

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        if self.module.num_classes:
            return (TensorSpec(self.answer, "float32", ("batch", self.module.num_classes), unit="probability"),)
        return (TensorSpec(self.answer, "float32", ("batch",), unit=self.data.label.unit or "as given"),)

    @property
    @override
    def raw_input(self) -> tuple[RawInputSpec, bytes]:
        pipeline = self.data.pipeline
        return raw_input_spec(pipeline), pipeline.to_json()

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        data = self.data
        positions = spread(self.num_samples, _RAW_ROWS)
        rows = data.dataset("test").positions[positions]
        batch = data.dataset("test").__getitems__(positions)
        expected = as_arrays({self.answer: self.module.predict_step(batch, 0)[self.answer]})
        own = data.asked.tables_of(data.definitions, data.raw)
        tables = {name: table for name, table in data.tables.items() if name not in own}
        assert isinstance(predictor.raw_input, FeaturesInput)
        predictor.raw_input.tables = tables
        parts = list(predictor.predict_raw(data.raw, at=data.moments))
        answers = pl.concat([part.table for part in parts])
        if len(answers) != len(data.rows):
            rejected = {row: reason for part in parts for row, reason in part.rejected.items()}
            first = f"; row {min(rejected)}: {rejected[min(rejected)]}" if rejected else ""
            raise ParityError(
                f"the package answers {len(answers):,} of {len(data.rows):,} rows of the raw table{first}"
            )
        answered = answers[self.answer][rows].to_numpy()
        yield RawParity(rows=rows, answered={self.answer: answered}, expected=expected)

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
        batch = self.data.dataset("test").__getitems__(positions)
        return TestBatch(
            rows=batch["row"].numpy(),
            request=as_arrays(tensor_inputs(batch)),
            answer=as_arrays({self.answer: self.module.predict_step(batch, 0)[self.answer]}),
            step=self.module.step(batch),
            batch=batch,
        )

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        targets = test_batch.batch["target"].numpy()
        return {"target": targets if self.labels is None else np.array(self.labels, dtype=np.str_)[targets]}

    @override
    def ids(self, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        asked = self.data.rows[test_batch.rows]
        return {name: asked[name].to_numpy() for name in self.data.key_names}

    @override
    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        return self.module.task.errors(outputs, batch["target"])

    @override
    def slices(self, outputs: Tensor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        targets = test_batch.batch["target"].numpy()
        if self.labels is None:
            return {"target": targets.astype(np.float64)}
        return {"class": np.array(self.labels, dtype=np.str_)[targets]}
