"""Configs, checkpoints and run folders with the former name of a class."""

from pathlib import Path

import pytest
import yaml

import datamodules.graph
from lightning_app.__main__ import main

CONFIG = """
model:
  class_path: models.graph.NodeClassifier
  init_args: {{encoder: {{class_path: models.graph.GCN, init_args: {{hidden_size: 4}}}}}}
data:
  class_path: datamodules.graph.NodeDataModule
  init_args:
    graph: datamodules.graph.KarateClub
    split: {{class_path: {split}, init_args: {{train: 0.4, val: 0.3}}}}
"""


@pytest.mark.parametrize(
    "split", ["ShareSplit", "datamodules.graph.ShareSplit", "datamodules.graph.node_split.ShareSplit"]
)
def test_a_config_with_a_former_name_is_resolved_to_the_present_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(split=split))

    assert main(["fit", "--config", str(config), "--print_config"]) == 0

    resolved = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]["split"]
    assert resolved["class_path"] == "datamodules.graph.RandomNodeSplit"
    assert (resolved["init_args"]["train"], resolved["init_args"]["val"]) == (0.4, 0.3)


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("GraphShareSplit", "RandomGraphSplit"),
        ("LinkShares", "RandomLinkSplit"),
        ("ShareSplit", "RandomNodeSplit"),
    ],
)
def test_former_names_import_the_same_classes(former: str, present: str) -> None:
    assert getattr(datamodules.graph, former) is getattr(datamodules.graph, present)
