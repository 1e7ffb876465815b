import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.graph import GraphDataModule, RandomGraphSplit, StratifiedFolds
from tests.graph_sets import InMemory, draw_graphs


def data_module(**options) -> GraphDataModule:
    graphs = options.pop("graphs", None) or draw_graphs(0, num_graphs=60)
    return GraphDataModule(**{"graphs": InMemory(graphs), "split": RandomGraphSplit(), **options})


def numbers(loader) -> list[int]:
    return torch.cat([batch.graph_id for batch in loader]).tolist()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), batch_size=st.integers(1, 13), num_graphs=st.integers(30, 60))
def test_evaluation_sees_every_graph_once_however_small_the_batches(seed, batch_size, num_graphs) -> None:
    data = data_module(graphs=draw_graphs(seed, num_graphs=num_graphs), batch_size=4, eval_batch_size=batch_size)
    assert numbers(data.val_dataloader()) == data.indices.val.tolist()
    assert numbers(data.test_dataloader()) == data.indices.test.tolist()
    assert numbers(data.predict_dataloader()) == list(range(num_graphs))
    seen = numbers(data.train_dataloader())
    assert len(seen) == len(set(seen)) == len(data.indices.train) // 4 * 4
    assert set(seen) <= set(data.indices.train.tolist())


def test_a_batch_holds_its_graphs_and_nothing_else() -> None:
    graphs = draw_graphs(0, num_graphs=60)
    data = data_module(graphs=graphs, batch_size=5)
    for batch in data.val_dataloader():
        assert data.num_samples(batch) == batch.num_graphs == len(batch.y)
        for place, number in enumerate(batch.graph_id.tolist()):
            nodes = slice(*graphs.node_ptr[number : number + 2].tolist())
            assert torch.equal(batch.x[batch.batch == place], graphs.x[nodes])
            assert batch.y[place] == graphs.y[number]
        assert torch.equal(batch.batch[batch.edge_index[0]], batch.batch[batch.edge_index[1]])


def test_workers_and_another_epoch_give_the_promised_order() -> None:
    order = [numbers(data_module(batch_size=9, num_workers=workers).train_dataloader()) for workers in (0, 2)]
    assert order[0] == order[1]
    later = data_module(batch_size=9)
    later._position = lambda: (1, 0)
    assert set(numbers(later.train_dataloader())) != set(order[0])  # other graphs are left out, too


def test_predictions_are_named_by_graph_and_class() -> None:
    data = data_module()
    table = data.prediction_table(
        {"graph_id": torch.tensor([7, 9]), "probabilities": torch.tensor([[0.75, 0.25], [0.125, 0.875]])}
    )
    assert table.to_dict(as_series=False) == {
        "graph_id": [7, 9], "label": ["sparse", "dense"], "probability": [0.75, 0.875],
        "probabilities": [[0.75, 0.25], [0.125, 0.875]],
    }  # fmt: skip


def test_graphs_with_names_keep_them() -> None:
    graphs = draw_graphs(0, num_graphs=30, regression=True)
    names = np.array([f"g{index}" for index in range(30)])
    wide = type(graphs)(**{**vars(graphs), "y": graphs.y.repeat(1, 2), "graph_names": names})
    data = data_module(graphs=wide)
    assert (data.num_classes, data.num_targets) == (0, 2)
    table = data.prediction_table({"graph_id": torch.tensor([3]), "value": torch.tensor([[1.0, 2.0]])})
    assert table.to_dicts() == [{"graph_id": "g3", "value": [1.0, 2.0]}]


def test_the_protocol_has_its_name_and_counts() -> None:
    protocol = data_module(split=StratifiedFolds(index=3)).protocol()
    assert protocol["name"] == "stratified_10_folds"
    assert "fold 3 of 10" in protocol["split"]
    assert "6 test" in protocol["split"]
    regression = draw_graphs(0, num_graphs=30, regression=True)
    assert data_module(graphs=regression, split=StratifiedFolds()).protocol()["name"] == "10_folds"


def test_statistics_of_targets_are_of_training_graphs_alone() -> None:
    graphs = draw_graphs(0, num_graphs=40, regression=True)
    data = data_module(graphs=graphs)
    graphs.y[data.indices.test] = 1e9
    mean, std = data.target_statistics()
    assert mean.item() == pytest.approx(graphs.y[data.indices.train].mean().item(), rel=1e-5)
    assert std.item() < 1000


def test_a_training_batch_larger_than_the_set_is_refused() -> None:
    with pytest.raises(ValueError, match="data.batch_size: 64 x 1 processes is more than the 48 training samples"):
        data_module(batch_size=64).train_dataloader()


def test_a_graph_without_a_label_is_predicted_but_in_no_split() -> None:
    graphs = draw_graphs(0, num_graphs=60)
    graphs.y[::5] = -1
    data = data_module(graphs=graphs, batch_size=4)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert all((batch.y >= 0).all() for batch in loader)
    assert len(data.dataset("predict")) == 60
