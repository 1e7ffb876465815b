"""Networks on rows: shapes, batches, order of columns; TabM beside its reference implementation."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from models.tabular import MLP, FTTransformer, PeriodicEmbeddings, PiecewiseLinearEmbeddings, TabM, TabularModule
from models.tabular.ft_transformer import FTBlock
from models.tasks import BinaryClassification, MulticlassClassification, Regression, TabularTask

SIZES = {"num_numbers": 3, "cardinalities": (5, 4), "vector_size": 2, "output_size": 2}
PIECEWISE = partial(PiecewiseLinearEmbeddings, embedding_size=4, num_bins=6)
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "perceptron": partial(MLP, hidden_size=8, number_embeddings=PIECEWISE),
    "tabm": partial(TabM, num_members=3, hidden_size=8, number_embeddings=PIECEWISE),
    "tabm of plain numbers": partial(TabM, num_members=3, hidden_size=8),
    "tabm mini": partial(TabM, num_members=3, hidden_size=8, sharing="mini"),
    "tabm packed": partial(TabM, num_members=3, hidden_size=8, sharing="packed"),
    "transformer": partial(FTTransformer, num_layers=2, hidden_size=16),
    "transformer on periodic embeddings": partial(
        FTTransformer, num_layers=1, hidden_size=16, number_embeddings=PeriodicEmbeddings
    ),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def row_inputs(count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "numbers": torch.randn(count, 3, generator=generator),
        "missing": (torch.rand(count, 3, generator=generator) < 0.3).float(),
        "categories": torch.randint(0, 4, (count, 2), generator=generator),
        "vectors": torch.randn(count, 2, generator=generator),
    }


@every_network
def test_an_answer_does_not_depend_on_its_batch(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](**SIZES).eval()
    inputs = row_inputs(6)
    together = network(**inputs)
    assert together.shape == ((6, 3, 2) if name.startswith("tabm") else (6, 2))
    for rows in (slice(0, 1), slice(1, 6), slice(0, 0)):
        alone = network(**{key: value[rows] for key, value in inputs.items()})
        torch.testing.assert_close(alone, together[rows], atol=1e-5, rtol=1e-4)


@every_network
@pytest.mark.parametrize("inputs", [("numbers", "missing"), ("categories",), ("vectors",)])
def test_a_table_may_have_one_kind_of_columns(name: str, inputs: tuple[str, ...]) -> None:
    kinds = {"numbers": "num_numbers", "categories": "cardinalities", "vectors": "vector_size"}
    sizes = {size: SIZES[size] for kind, size in kinds.items() if kind in inputs}
    network = NETWORKS[name](**sizes, output_size=2)
    rows = {key: value for key, value in row_inputs(4).items() if key in inputs}
    network(**rows).sum().backward()
    with pytest.raises(ValueError, match="the data has no features"):
        NETWORKS[name](output_size=2)


def test_the_order_of_the_columns_does_not_matter_to_a_transformer() -> None:
    torch.manual_seed(0)
    network = FTTransformer(num_numbers=3, output_size=1, num_layers=2, hidden_size=16).eval()
    inputs = {key: row_inputs(5)[key] for key in ("numbers", "missing")}
    expected = network(**inputs)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        for parameter in network.tokens.numbers.parameters():  # type: ignore[union-attr]
            parameter.copy_(parameter[order])
    torch.testing.assert_close(network(**{key: value[:, order] for key, value in inputs.items()}), expected)


def test_biases_norms_and_tokenizer_of_a_transformer_have_no_weight_decay() -> None:
    network = FTTransformer(**SIZES, num_layers=2, hidden_size=16)  # type: ignore[arg-type]
    module = TabularModule(network=network, task=MulticlassClassification(num_classes=3))
    decayed, plain = module.parameters_to_train()
    assert isinstance(decayed, dict)
    assert isinstance(plain, dict)
    assert plain["weight_decay"] == 0.0
    assert "weight_decay" not in decayed
    assert len(decayed["params"]) + len(plain["params"]) == len(list(module.parameters()))
    assert all(parameter.ndim == 2 for parameter in decayed["params"])


def test_the_default_sizes_of_a_transformer_are_those_of_the_reference_code() -> None:
    network = FTTransformer(num_numbers=8, cardinalities=(10,) * 2, output_size=1)
    block = network.blocks[0]
    assert isinstance(block, FTBlock)
    assert network.tokens.answer.shape == (192,)
    assert (block.attention.dropout, block.feedforward_dropout.p) == (0.2, 0.1)
    assert block.contract.in_features == 256


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("sharing", "theirs"), [("full", "tabm"), ("mini", "tabm-mini"), ("packed", "tabm-packed")])
def test_tabm_answers_as_its_reference_implementation(sharing: str, theirs: str) -> None:
    tabm = pytest.importorskip("tabm", reason="the reference implementation tabm is not installed")

    torch.manual_seed(0)
    reference = tabm.TabM.make(n_num_features=3, d_out=2, k=4, d_block=8, n_blocks=2, arch_type=theirs, dropout=0.0)
    ours = TabM(
        num_numbers=0,
        vector_size=3,
        output_size=2,
        num_members=4,
        hidden_size=8,
        num_layers=2,
        sharing=sharing,  # type: ignore[arg-type]
    )
    names = {"input_scale": "r", "output_scale": "s"}
    state = reference.state_dict()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            *path, last = name.replace("layers", "backbone.blocks").split(".")
            key = ".".join([*path, names.get(last, last)]) if name != "scale" else "backbone.affine.weight"
            parameter.copy_(state.pop(key))
    assert not state
    rows = torch.randn(5, 3)
    torch.testing.assert_close(ours.eval()(vectors=rows), reference.eval()(rows))


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (Regression(), torch.tensor([1.0, 2, 3, 4])),
        (BinaryClassification(), torch.tensor([0, 1, 1, 0])),
        (MulticlassClassification(num_classes=3), torch.tensor([0, 1, 2, 0])),
    ],
)
def test_members_are_trained_one_by_one_and_answer_together(task: TabularTask, targets: Tensor) -> None:
    torch.manual_seed(0)
    network = TabM(num_numbers=3, output_size=task.output_size, num_members=3, hidden_size=8, dropout=0.0)
    module = TabularModule(network=network, task=task, num_numbers=3)
    batch = {"numbers": torch.randn(4, 3), "target": targets}
    outputs = network(batch["numbers"], torch.zeros(4, 3))
    losses = [task.loss(outputs[:, member], targets) for member in range(3)]
    answers = torch.stack([task.predict(outputs[:, member]) for member in range(3)]).mean(dim=0)
    trained = module.train().step(batch)
    torch.testing.assert_close(trained.loss, torch.stack(losses).mean())
    torch.testing.assert_close(trained.predictions, answers)
    tested = module.eval().step(batch)
    torch.testing.assert_close(tested.predictions, answers)
    torch.testing.assert_close(tested.loss, task.loss(task.outputs_of(answers), targets))
    assert float(tested.loss.detach()) <= float(trained.loss.detach())  # these losses are convex
    torch.testing.assert_close(module(batch["numbers"], torch.zeros(4, 3, dtype=torch.bool)), answers)


def test_unknown_categories_are_trained_by_those_that_a_step_drops() -> None:
    torch.manual_seed(0)
    network = MLP(cardinalities=(4,), output_size=1, hidden_size=8)
    module = TabularModule(network=network, task=Regression(), cardinalities=(4,), category_dropout=0.5)
    batch = {"categories": torch.full((32, 1), 2), "target": torch.randn(32)}
    module.train().step(batch).loss.backward()
    assert network.input.embeddings is not None
    gradient = network.input.embeddings.table.weight.grad
    assert gradient is not None
    unknown, _, known, other = gradient.abs().sum(dim=1)
    assert min(unknown, known) > 0
    assert other == 0
    first, second = (module.eval().step(batch).loss for _ in range(2))
    assert first == second
