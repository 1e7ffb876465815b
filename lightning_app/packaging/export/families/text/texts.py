"""TextsExporter: what exporters share whose packages answer a text by itself."""

from collections.abc import Mapping, Sequence

import polars as pl
from typing_extensions import override

from datamodules.text import TextBlockDataModule, TextPairDataModule
from lightning_app.packaging.export.batches import Arrays, TestBatch
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.input_rows import named_answers
from lightning_app.packaging.format.manifest import TOKENIZER, TensorSpec
from lightning_app.packaging.format.raw_input import RawInputSpec
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.text_tokens import token_specs
from lightning_app.packaging.runtime.raw_kinds.texts_input import texts_spec
from lightning_app.packaging.runtime.text.tokenizer import TEXT


class TextsExporter(Exporter):
    """Exporter of a model that reads texts alone, without labels. A row of the package is a text."""

    family = "text"
    data: TextPairDataModule | TextBlockDataModule

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        return token_specs(self.data.tokenizer)

    @property
    @override
    def raw_input(self) -> tuple[RawInputSpec, Mapping[str, bytes]]:
        return texts_spec(), {TOKENIZER: self.data.tokenizer.to_json()}

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        return {}

    def monitored_texts(
        self, predictor: Predictor, texts: Sequence[str], answer: Arrays, *, left_out: Mapping[str, str]
    ) -> MonitoredRows:
        """Texts and their answers as monitored rows: without an outcome, and without an importance of the column.

        Args:
            predictor: The package.
            texts: The texts.
            answer: Of the texts, by output.
            left_out: Why columns are not monitored, by their name.
        """
        return MonitoredRows(
            requests=as_journalled(pl.DataFrame({TEXT: texts})),
            answers=named_answers(predictor, answer),
            outcome=None,
            left_out=left_out,
        )
