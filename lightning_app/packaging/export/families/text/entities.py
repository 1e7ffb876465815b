"""Exporter of token classifiers: from tokens to tags, and from raw texts to entities with character offsets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from typing_extensions import override

from datamodules.text import EntityDataModule
from features.text.found_entities import found_entities
from features.text.token_rows import pad_rows
from features.text.word_shapes import SHAPES as WORD_SHAPES
from lightning_app.packaging.export.batches import (
    Arrays,
    Evaluation,
    RawParity,
    Sample,
    TestBatch,
    as_arrays,
    as_tensor,
    padded_answer,
    spread,
)
from lightning_app.packaging.export.exporter import Exporter
from lightning_app.packaging.export.families.network_outputs import NetworkOutputs
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.parity import MISMATCHES, ParityError
from lightning_app.packaging.format.manifest import TensorSpec
from lightning_app.packaging.format.raw_input import RawInputSpec
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.entities_input import (
    ANSWER,
    MASK,
    OUTPUT,
    SHAPES,
    TOKEN_IDS,
    EntitiesInput,
    entities_files,
    entities_spec,
)
from lightning_app.packaging.runtime.raw_kinds.text_tokens import without_padding
from models.base import Batch
from models.text import TokenClassifier
from models.text.token_classifier import of_words

_RAW_TEXTS = 256
_MONITORED_TEXTS = 5000
_GOLDEN = 2


class EntityExporter(Exporter):
    """`TokenClassifier` on texts with entities; a row of the graph is a window of a text.

    Args:
        module: The model with the weights of the checkpoint, in evaluation.
        data: The data module, after `setup("test")`.
    """

    family = "entities"
    task = "token_classification"
    pipeline_tag = "token-classification"
    data_module = EntityDataModule
    row_name = "texts"
    error_name = "entities of a text that are missed, or named and not there"
    module: TokenClassifier
    data: EntityDataModule

    def __init__(self, module: TokenClassifier, data: EntityDataModule) -> None:
        super().__init__(module, data)
        module.check_labels()

    @property
    @override
    def inputs(self) -> tuple[TensorSpec, ...]:
        tokenizer, axes = self.data.word_tokenizer, ("batch", "seq_len")
        specs = [
            TensorSpec(
                TOKEN_IDS,
                "int64",
                axes,
                unit="index of a token, special tokens included",
                num_values=tokenizer.vocab_size,
                padding=tokenizer.pad_token_id,
            ),
            TensorSpec(MASK, "int64", axes, unit="1 token, 0 padding", num_values=2, padding=0),
        ]
        if self.module.word_shapes:
            unit = f"how the word is written: {', '.join(WORD_SHAPES)}"
            specs.append(TensorSpec(SHAPES, "int64", axes, unit=unit, num_values=len(WORD_SHAPES), padding=0))
        return tuple(specs)

    @property
    @override
    def outputs(self) -> tuple[TensorSpec, ...]:
        tags = self.module.tag_set.tags
        return (TensorSpec(OUTPUT, "float32", ("batch", "seq_len", len(tags)), unit="probability", columns=tags),)

    @property
    @override
    def raw_input(self) -> tuple[RawInputSpec, Mapping[str, bytes]]:
        column = self.data.column
        return entities_spec(column), entities_files(
            column, self.module.tag_set, self.data.word_tokenizer, outside_penalty=float(self.module.decoder.penalty)
        )

    @property
    @override
    def limitations(self) -> Sequence[str]:
        return (
            "offsets count characters (Unicode code points) of the text as given, from 0, the end excluded",
            *self.module.remarks(),
            *self.data.notes(),
        )

    @property
    @override
    def values_per_row(self) -> int:
        return self.data.max_length * (len(self.inputs) + len(self.module.tag_set))

    def _request(self, batch: Batch) -> dict[str, Tensor]:
        return {spec.name: batch[spec.name] for spec in self.inputs}

    @cached_property
    def _window_outputs(self) -> NetworkOutputs:
        """Outputs for the windows of each text, (W, L, T), each text computed once."""
        dataset = replace(self.data.dataset("test"), tagged=None)

        def ask(chosen: np.ndarray) -> Sequence[Tensor]:
            outputs = self.module(**self._request(dataset.__getitems__(chosen)))
            return outputs.split([len(dataset.words[position].windows) for position in chosen])

        return NetworkOutputs(ask, dataset)

    def _outputs(self, positions: np.ndarray, batch: Batch) -> Tensor:
        """Outputs of the checkpoint for the windows of a batch, (W, L, T)."""
        width = batch[TOKEN_IDS].shape[1]
        parts = [
            nn.functional.pad(part[:, :width], (0, 0, 0, max(0, width - part.shape[1])))
            for part in self._window_outputs.at(positions)
        ]
        return torch.cat(parts)

    @override
    def test_batch(self, positions: np.ndarray) -> TestBatch:
        dataset = self.data.dataset("test")
        batch = dataset.__getitems__(positions)
        request = as_arrays(self._request(batch))
        windows = [len(dataset.words[position].windows) for position in positions]
        outputs = self._outputs(positions, batch)
        return TestBatch(
            rows=np.repeat(positions, windows),
            request=without_padding(request, names=tuple(request)),
            answer=as_arrays({OUTPUT: outputs}),
            step=self.module.evaluate(outputs, batch),
            batch=batch,
        )

    @override
    def ask(self, predictor: Predictor, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        answer = predictor.predict(test_batch.request)
        return {OUTPUT: padded_answer(answer[OUTPUT], test_batch.batch[TOKEN_IDS].shape[1])}

    @override
    def evaluate(self, answer: Mapping[str, np.ndarray], test_batch: TestBatch) -> Evaluation:
        step = self.module.evaluate(as_tensor(answer[OUTPUT]), test_batch.batch)
        return Evaluation(
            step=step,
            errors=self._errors(step.predictions, step.targets),
            slices=self.slices(None, test_batch),
            rows=test_batch.batch["row"].numpy(),
        )

    def _errors(self, predictions: Tensor, targets: Tensor) -> np.ndarray:
        """Entities of each text that are missed, or named and not there, float64 (B,)."""
        spans = self.module.tag_set.spans
        errors = []
        for predicted, true in zip(predictions.tolist(), targets.tolist(), strict=True):
            known = [tag for tag in true if 0 <= tag < len(self.module.tag_set)]
            unknown = sum(tag >= len(self.module.tag_set) for tag in true)
            errors.append(len(set(spans(predicted[: len(known)])) ^ set(spans(known))) + unknown)
        return np.array(errors, dtype=np.float64)

    @override
    def errors(self, outputs: Any, batch: Batch) -> Tensor:
        step = self.module.evaluate(outputs, batch)
        return torch.from_numpy(self._errors(step.predictions, step.targets))

    @override
    def slices(self, outputs: Any, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        texts = self.data.texts["test"]
        counts = np.array([len(texts[row].entities) for row in test_batch.batch["row"].tolist()])
        return {"entities": np.where(counts == 0, "none", np.where(counts == 1, "one", "several"))}

    @override
    def targets(self, test_batch: TestBatch) -> Arrays:
        return {}

    @override
    def ids(self, test_batch: TestBatch) -> Mapping[str, np.ndarray]:
        return {"row": test_batch.rows}

    @override
    def golden_request(self, sample: Sample) -> Arrays:
        """The shortest windows of the sample."""
        lengths = np.array([len(row) for row in sample.request[MASK]])
        chosen = np.sort(np.argsort(lengths, kind="stable")[:_GOLDEN])
        padding = {spec.name: spec.padding or 0 for spec in self.inputs}
        return {
            name: pad_rows([rows[place] for place in chosen], padding[name]) for name, rows in sample.request.items()
        }

    @override
    def raw_batches(self, predictor: Predictor) -> Iterator[RawParity]:
        """Texts to the package against texts to data module to checkpoint: probabilities of words, and entities.

        Raises:
            ParityError: The package names other entities than the checkpoint.
        """
        rows = spread(self.num_samples, _RAW_TEXTS)
        dataset, raw_input = self.data.dataset("test"), predictor.raw_input
        assert isinstance(raw_input, EntitiesInput)
        table = pl.DataFrame({self.data.column: [dataset.texts[row].text for row in rows]})
        first, differ = 0, 0
        for batch in predictor.prepare_raw(table):
            answer, _ = predictor.advance(batch.values, None)
            answered = raw_input.finish(batch, answer)[ANSWER].to_list()
            own = rows[first : first + len(answered)]
            first += len(answered)
            expected, entities = self._expected(own)
            differ += sum(_places(one) != _places(other) for one, other in zip(answered, entities, strict=True))
            probabilities = np.concatenate(raw_input.word_probabilities(batch, answer))
            if len(probabilities):
                words = np.repeat(own, [len(dataset.words[row]) for row in own])
                yield RawParity(rows=words, answered={OUTPUT: probabilities}, expected={OUTPUT: expected})
        if differ > MISMATCHES * len(rows):
            raise ParityError(
                f"the package names other entities than the checkpoint in {differ:,} of {len(rows):,} texts"
            )

    def _expected(self, rows: np.ndarray) -> tuple[np.ndarray, list[list[dict[str, Any]]]]:
        """Probabilities of the tags of all words of texts, and their entities, by the checkpoint."""
        dataset = replace(self.data.dataset("test"), tagged=None)
        probabilities, entities = [], []
        for start in range(0, len(rows), self.batch_size):
            batch = dataset.__getitems__(rows[start : start + self.batch_size])
            of_batch = of_words(self._outputs(rows[start : start + self.batch_size], batch), batch["words"])
            tags, scores = self.module.tags_and_scores(of_batch, batch["words"])
            for place, row in enumerate(batch["row"].tolist()):
                words = dataset.words[row]
                probabilities.append(of_batch[place, : len(words)].numpy())
                own = tags[place].numpy(), scores[place].numpy()
                entities.append(found_entities(dataset.texts[row].text, words.offsets, *own, self.module.tag_set))
        return np.concatenate(probabilities), entities

    @override
    def monitored_rows(self, predictor: Predictor, held_out: HeldOutRows) -> MonitoredRows:
        """A row is a text, as a client sends it."""
        rows = np.unique(held_out.rows)
        rows = rows[spread(len(rows), _MONITORED_TEXTS)]
        texts = self.data.texts["test"]
        requests = pl.DataFrame({self.data.column: [texts[row].text for row in rows]})
        answers = pl.concat([part.table for part in predictor.predict_raw(requests)])
        return MonitoredRows(requests=as_journalled(requests), answers=as_journalled(answers), outcome=None)


def _places(entities: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, str]]:
    return [(one["start"], one["end"], one["label"]) for one in entities]
