"""Fusion: any modalities by any combination, and what is refused."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.fusion import (
    Attention,
    Concatenation,
    Fusion,
    Gating,
    Modality,
    Perceptrons,
    TableModality,
    TextModality,
    VectorModality,
)
from models.fusion.combinations import CombinationFactory
from models.tabular import TabularModule
from models.tasks import MulticlassClassification
from models.text import AttentionPooling, PretrainedEncoder
from tests.tiny_encoder import tiny_encoder

_COMBINATIONS = [
    Concatenation,
    partial(Perceptrons, hidden_size=8),
    partial(Gating, hidden_size=8),
    partial(Attention, hidden_size=8, num_heads=2),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "numbers": torch.randn(6, 3, generator=generator),
        "missing": torch.zeros(6, 3, dtype=torch.bool),
        "categories": torch.randint(5, (6, 2), generator=generator),
        "vectors": torch.randn(6, 4, generator=generator),
        "token_ids": torch.randint(4, 150, (6, 7), generator=generator),
        "attention_mask": torch.ones(6, 7, dtype=torch.long),
    }


def _modalities(folder: Path) -> dict[str, Modality]:
    return {
        "review": TextModality(
            encoder=PretrainedEncoder(pretrained=str(folder)), pooling=AttentionPooling(hidden_size=32)
        ),
        "columns": TableModality(num_numbers=3, cardinalities=(5, 5), output_size=8),
        "hashed": VectorModality(vector_size=4, output_size=6),
    }


@pytest.mark.parametrize("combination", _COMBINATIONS, ids=["concatenation", "perceptrons", "gating", "attention"])
def test_every_modality_counts_and_learns(
    folder: Path, inputs: dict[str, Tensor], combination: CombinationFactory
) -> None:
    torch.manual_seed(0)
    network = Fusion(modalities=_modalities(folder), combination=combination, output_size=3)
    model = TabularModule(
        network=network,
        task=MulticlassClassification(num_classes=3),
        num_numbers=3,
        cardinalities=(5, 5),
        vector_size=4,
        vocab_size=183,
    )
    assert set(model.example_inputs()) == set(inputs)
    assert model(**model.example_inputs()).shape == (2, 3)
    step = model.step({**inputs, "target": torch.arange(6) % 3})
    step.loss.backward()
    assert not [name for name, one in model.named_parameters() if one.requires_grad and one.grad is None]
    model.eval()
    answer = model(**inputs)
    changed = {"numbers": 1.0, "categories": 1, "vectors": 1.0, "token_ids": 1}
    for name, shift in changed.items():
        assert not torch.allclose(model(**{**inputs, name: inputs[name] + shift}), answer), name


def test_one_modality_is_a_fusion_too(inputs: dict[str, Tensor]) -> None:
    network = Fusion(
        modalities={"hashed": VectorModality(vector_size=4)}, combination=partial(Gating, hidden_size=8), output_size=2
    )
    assert network(vectors=inputs["vectors"]).shape == (6, 2)


def test_an_input_that_no_modality_reads_is_refused(inputs: dict[str, Tensor]) -> None:
    network = Fusion(modalities={"columns": TableModality(num_numbers=3)}, combination=Concatenation, output_size=1)
    with pytest.raises(ValueError, match=r"model.network.modalities: none reads vectors of the data; add a modality"):
        network(numbers=inputs["numbers"], missing=inputs["missing"].float(), vectors=inputs["vectors"])


def test_an_input_that_the_data_lacks_is_named(inputs: dict[str, Tensor]) -> None:
    modalities: dict[str, Modality] = {
        "columns": TableModality(cardinalities=(5, 5)),
        "v": VectorModality(vector_size=4),
    }
    network = Fusion(modalities=modalities, combination=Concatenation, output_size=1)
    with pytest.raises(ValueError, match=r"model.network.modalities.v: reads vectors, the data has categories"):
        network(categories=inputs["categories"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (TableModality, "TableModality: the data has neither numbers nor categories"),
        (VectorModality, "VectorModality: the data has no vectors"),
        (partial(Fusion, modalities={}, combination=Concatenation, output_size=1), "modalities: none given"),
    ],
)
def test_a_modality_without_data_is_refused(make: partial[Fusion], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
