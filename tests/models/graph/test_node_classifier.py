from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch_geometric.nn import models as pyg_models

from datamodules.graph import KarateClub, NodeDataModule, Planetoid, PublicSplit, RandomNodeSplit
from models.graph import GCN, NodeClassifier
from models.parameter_groups import decay_by_prefix
from tests.conftest import needs

ADAM = partial(torch.optim.Adam, lr=0.01, weight_decay=5e-4)
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def classifier(**options) -> NodeClassifier:
    torch.manual_seed(0)
    encoder = options.pop("encoder", None) or GCN(num_features=4, output_size=3)
    return NodeClassifier(encoder=encoder, num_features=4, num_classes=3, optimizer=ADAM, **options)


def test_weight_decay_goes_to_the_parameters_of_its_longest_prefix() -> None:
    model = classifier(weight_decay={"encoder": 0.1, "encoder.layers.0": 0.2})
    groups = {group["weight_decay"]: group["params"] for group in model.parameters_to_train()}
    assert {len(groups[0.1]), len(groups[0.2])} == {2}
    assert any(parameter is model.encoder.layers[0].linear.weight for parameter in groups[0.2])
    optimizer = model.configure_optimizers()
    assert sorted(group["weight_decay"] for group in optimizer.param_groups) == [0.1, 0.2]


def test_parameters_without_a_prefix_keep_the_weight_decay_of_the_optimizer() -> None:
    groups = classifier(weight_decay={"encoder.layers.0": 0.2}).configure_optimizers().param_groups
    assert sorted(group["weight_decay"] for group in groups) == [5e-4, 0.2]


def test_a_prefix_that_fits_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter belongs to 'encoder.conv'"):
        decay_by_prefix(classifier(), {"encoder.conv": 0.1})


def test_a_prefix_ends_at_a_dot() -> None:
    encoder = GCN(num_features=4, output_size=3, num_layers=12)
    groups = classifier(encoder=encoder, weight_decay={"encoder.layers.1": 0.5}).parameters_to_train()
    (decayed,) = (group["params"] for group in groups if group.get("weight_decay") == 0.5)
    assert len(decayed) == 2  # not those of layers 10 and 11


def test_an_encoder_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="model.encoder.output_size: 5 given, a logit for each of 3 classes"):
        classifier(encoder=GCN(num_features=4, output_size=5))
    with pytest.raises(ValueError, match="num_classes: 1 given"):
        NodeClassifier(encoder=GCN(num_features=4, output_size=1), num_features=4, num_classes=1)


def test_only_the_nodes_that_count_are_scored() -> None:
    data = NodeDataModule(graph=KarateClub(), split=RandomNodeSplit(train=0.4, val=0.3))
    torch.manual_seed(0)
    model = NodeClassifier(
        encoder=GCN(num_features=data.num_features, output_size=data.num_classes),
        num_features=data.num_features,
        num_classes=data.num_classes,
    ).eval()
    (batch,) = data.val_dataloader()
    with torch.no_grad():
        output = model.step(batch)
        logits = model(batch.x.to_dense(), batch.edge_index)
    torch.testing.assert_close(output.predictions, logits[data.indices.val])
    assert output.weight == len(data.indices.val)


def test_a_model_of_pyg_takes_the_place_of_an_encoder() -> None:
    data = NodeDataModule(graph=KarateClub(), split=RandomNodeSplit(train=0.4, val=0.3), steps_per_epoch=40)
    torch.manual_seed(0)
    encoder = pyg_models.GCN(data.num_features, 16, 2, data.num_classes)
    model = NodeClassifier(
        encoder=encoder, num_features=data.num_features, num_classes=data.num_classes, optimizer=ADAM
    )
    trainer = Trainer(max_epochs=3, **QUIET)
    trainer.fit(model, data)
    assert trainer.callback_metrics["val/accuracy"] > 0.6


@needs("planetoid/Cora/raw/ind.cora.x")
def test_the_loop_of_lightning_gives_the_weights_of_a_plain_one_to_the_last_bit() -> None:
    def build() -> NodeClassifier:
        torch.manual_seed(0)
        return NodeClassifier(
            encoder=GCN(num_features=1433, output_size=7), num_features=1433, num_classes=7, optimizer=ADAM
        )

    def data(steps: int) -> NodeDataModule:
        return NodeDataModule(
            graph=Planetoid(name="Cora"), split=PublicSplit(), normalize_features=True, steps_per_epoch=steps
        )

    plain = build().train()
    (batch,) = data(1).train_dataloader()
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01, weight_decay=5e-4)
    torch.manual_seed(1)
    for _ in range(6):
        optimizer.zero_grad()
        plain.step(batch).loss.backward()
        optimizer.step()
    for steps in (1, 3):  # an epoch per step, or several steps per epoch; validated or not
        model = build()
        torch.manual_seed(1)
        trainer = Trainer(max_epochs=6 // steps, num_sanity_val_steps=0, limit_val_batches=2 - steps % 2, **QUIET)
        trainer.fit(model, data(steps))
        for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            assert torch.equal(ours, theirs)
