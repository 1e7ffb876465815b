"""Link prediction from the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
import torch
from lightning.pytorch import Callback, Trainer

from datamodules.graph import DigitsGraph, HardNegatives, KarateClub, LinkDataModule, RandomLinkSplit
from lightning_app.__main__ import main
from lightning_app.cli import run
from models.graph import GCN, GraphSAGE, InnerProductDecoder, LinkPredictor, LinkRanker
from tests.conftest import only_run
from tests.lightning_app.cli.test_exact_resume import same_checkpoint

CONFIG = """
seed_everything: 3
trainer:
  max_epochs: 3
  log_every_n_steps: 1
  accelerator: cpu
model:
  class_path: models.graph.LinkPredictor
  init_args:
    encoder: {class_path: models.graph.GCN, init_args: {output_size: 8, hidden_size: 8}}
    decoder: models.graph.CosineDecoder
    optimizer: {class_path: Adam, init_args: {lr: 0.02}}
data:
  class_path: datamodules.graph.LinkDataModule
  init_args:
    graph: datamodules.graph.KarateClub
    split: {class_path: datamodules.graph.RandomLinkSplit, init_args: {val: 0.1, test: 0.1, seed: null}}
    steps_per_epoch: 4
"""
SAMPLED = ("--data.fan_out=[4,3]", "--data.batch_size=16")


@pytest.fixture
def link_args(tmp_path: Path) -> Callable[..., list[str]]:
    config = tmp_path / "links.yaml"
    config.write_text(CONFIG)

    def args(*options: str) -> list[str]:
        return ["fit", "-c", str(config), "--run.root", str(tmp_path / "runs"), *options]

    return args


def checkpoint(tmp_path: Path) -> str:
    return str(only_run(tmp_path / "runs") / "checkpoints/best.ckpt")


@pytest.mark.parametrize(("options", "metric"), [((), "test/auc"), (SAMPLED, "test/ap")])
def test_links_are_fitted_tested_and_predicted(
    options: tuple[str, ...], metric: str, link_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert main(link_args(*options)) == 0
    assert main(["test", "--ckpt_path", checkpoint(tmp_path)]) == 0
    assert main(["predict", "--ckpt_path", checkpoint(tmp_path)]) == 0
    folder = only_run(tmp_path / "runs")
    report = (folder / "report.md").read_text()
    assert metric in report
    assert "link_80_10_10_auc" in report
    links = pl.read_parquet(folder / "predictions.parquet")
    assert links.columns == ["source", "target", "probability", "logit"]
    expected = RandomLinkSplit(val=0.1, test=0.1, seed=3).split(KarateClub().read()).test.positive
    assert links.select("source", "target").to_numpy().T.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("features", "words"),
    [
        pytest.param(("ConstantFeature",), "a constant", marks=pytest.mark.slow),
        pytest.param(
            ("DegreeFeatures", "--data.features.max_degree=5"), "degrees up to 5, one-hot", marks=pytest.mark.slow
        ),
        (("IdentityFeatures", *SAMPLED), "a column per node"),
    ],
)
def test_links_of_tables_without_features_are_predicted_from_chosen_ones(
    features: tuple[str, ...],
    words: str,
    link_args: Callable[..., list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    club = KarateClub().read()
    pl.DataFrame({"id": range(34)}).write_csv(tmp_path / "nodes.csv")
    pl.DataFrame(club.edge_index.T.numpy(), schema=["source", "target"]).write_csv(tmp_path / "edges.csv")
    files = {"nodes": str(tmp_path / "nodes.csv"), "edges": str(tmp_path / "edges.csv")}
    table = f"{{class_path: datamodules.graph.GraphTable, init_args: {files}}}"
    config = (tmp_path / "links.yaml").read_text().replace("datamodules.graph.KarateClub", table)
    (tmp_path / "links.yaml").write_text(config)
    assert main(link_args()) == 2
    assert "data.features: none given, and nodes has no features of nodes; choose Const" in capsys.readouterr().err
    name, *options = features
    assert main(link_args(f"--data.features=datamodules.graph.{name}", *options, "--trainer.max_epochs=1")) == 0
    assert main(["test", "--ckpt_path", checkpoint(tmp_path)]) == 0
    assert f"- features: {words}" in (only_run(tmp_path / "runs") / "report.md").read_text()


def test_links_are_ranked_among_hard_negatives(link_args: Callable[..., list[str]], tmp_path: Path) -> None:
    config = (tmp_path / "links.yaml").read_text().replace("LinkPredictor", "LinkRanker")
    config = config.replace("RandomLinkSplit, init_args: {", "HardNegatives, init_args: {per_positive: 8, ")
    (tmp_path / "links.yaml").write_text(config)
    assert main(link_args()) == 0
    assert main(["test", "--ckpt_path", checkpoint(tmp_path)]) == 0
    report = (only_run(tmp_path / "runs") / "report.md").read_text()
    for name in ("test/mrr", "test/hits_at_10", "link_hard_negatives_mrr"):
        assert name in report


def test_given_pairs_are_predicted(
    link_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.DataFrame({"source": [0, 33], "target": [5, 2]}).write_csv(tmp_path / "pairs.csv")
    assert main(link_args("--trainer.max_epochs=1")) == 0
    assert main(["predict", "--ckpt_path", checkpoint(tmp_path), "--data.pairs", str(tmp_path / "pairs.csv")]) == 0
    links = pl.read_parquet(only_run(tmp_path / "runs") / "predictions.parquet")
    assert links.select("source", "target").rows() == [(0, 5), (33, 2)]
    assert main(["predict", "--ckpt_path", checkpoint(tmp_path), "--data.pairs", "nowhere.csv"]) == 2
    assert "data.pairs: 'nowhere.csv' does not exist" in capsys.readouterr().err


def test_a_checkpoint_is_not_tested_on_links_it_was_trained_on(
    link_args: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(link_args("--trainer.max_epochs=1")) == 0
    assert main(["test", "--ckpt_path", checkpoint(tmp_path), "--seed_everything", "4"]) == 2
    assert "was trained on other links" in "".join(capsys.readouterr())


def test_a_checkpoint_loads_alone_with_the_width_that_was_given(
    link_args: Callable[..., list[str]], tmp_path: Path
) -> None:
    assert main(link_args("--trainer.max_epochs=1")) == 0
    assert LinkPredictor.load_from_checkpoint(checkpoint(tmp_path)).encoder.output_size == 8


class Cut(Callback):
    """Stops a fit before one of its batches."""

    before: ClassVar[int | None] = 6  # in the middle of the second epoch

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        if trainer.fit_loop.epoch_loop.total_batch_idx == self.before:
            raise RuntimeError("cut")


@pytest.mark.parametrize(
    "options", [pytest.param((), id="whole graph", marks=pytest.mark.slow), pytest.param(SAMPLED, id="sampled")]
)
def test_a_fit_on_links_that_is_cut_resumes_to_the_same_bits(
    options: tuple[str, ...], link_args: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = (*options, "--trainer.callbacks+=LastCheckpoint", "--trainer.callbacks.every_n_steps=1")
    run(link_args(*args, "--run.root", str(tmp_path / "whole")))
    cut = ("--run.root", str(tmp_path / "cut"))
    with pytest.raises(RuntimeError, match="cut"):
        run(link_args(*args, *cut, f"--trainer.callbacks+={__name__}.Cut"))
    monkeypatch.setattr(Cut, "before", None)  # the resumed run has its callbacks too
    finished = run(link_args(*args, *cut, "--ckpt_path", "last"))
    (whole,) = (tmp_path / "whole").glob("*/*/checkpoints/last.ckpt")
    assert torch.load(whole, weights_only=True)["global_step"] == 12
    assert same_checkpoint(whole, finished.folder.checkpoints / "last.ckpt")


def sampled(**options: Any) -> LinkDataModule:
    split = RandomLinkSplit(seed=1)
    return LinkDataModule(graph=DigitsGraph(), split=split, fan_out=[5, 5], batch_size=64, **options)


def test_sampled_batches_hold_real_edges_without_their_own_links() -> None:
    data = sampled()
    known = {tuple(edge) for edge in data.graph.edge_index.T.tolist()}
    held_out = {tuple(link) for part in (data.links.val, data.links.test) for link in part.positive.T.tolist()}
    batch = next(iter(data.train_dataloader()))
    links = batch.node_id[batch.edge_label_index].T.tolist()
    own = {tuple(link) for link in links[:64]}
    assert own <= known
    assert not {tuple(pair) for pair in links[64:]} & known - held_out
    messages = {tuple(edge) for edge in batch.node_id[batch.edge_index].T.tolist()}
    assert messages <= known
    for pairs in (own, held_out):
        assert not messages & (pairs | {(target, source) for source, target in pairs})
    torch.testing.assert_close(batch.x, data.graph.x[batch.node_id])
    assert batch.edge_label.tolist() == [1.0] * 64 + [0.0] * 64


@pytest.mark.slow
def test_sampled_batches_are_the_same_with_workers() -> None:
    for here, there in zip(sampled().train_dataloader(), sampled(num_workers=2).train_dataloader(), strict=True):
        assert torch.equal(here.node_id, there.node_id)
        assert torch.equal(here.edge_index, there.edge_index)
        assert torch.equal(here.edge_label_index, there.edge_label_index)


@pytest.mark.parametrize(("encoder", "fan_out"), [(GraphSAGE, [-1, -1]), (GCN, [-1, -1, -1])])
def test_whole_neighbourhoods_score_as_the_whole_graph(encoder: type[GCN], fan_out: list[int]) -> None:
    torch.manual_seed(0)
    nodes = encoder(num_features=64, hidden_size=8, output_size=4)
    for split, of in (
        (RandomLinkSplit(), LinkPredictor),
        (HardNegatives(val=0.01, test=0.01, per_positive=4), LinkRanker),
    ):
        whole, around = (
            LinkDataModule(graph=DigitsGraph(), split=split, fan_out=[2], batch_size=16, eval_fan_out=eval_fan_out)
            for eval_fan_out in (None, fan_out)
        )
        model = of(encoder=nodes, decoder=InnerProductDecoder(), num_features=64).eval()
        (expected,) = (model.step(batch) for batch in whole.test_dataloader())
        batches = list(around.test_dataloader())
        assert len(batches) > 1
        assert any(len(batch.x) < len(whole.graph.x) for batch in batches)
        found = torch.cat([model.step(batch).predictions for batch in batches])
        torch.testing.assert_close(found, expected.predictions, rtol=1e-4, atol=1e-5)
        (pairs,) = (batch.edge_label_index for batch in whole.predict_dataloader())
        given = [batch.node_id[batch.edge_label_index] for batch in around.predict_dataloader()]
        assert torch.equal(torch.cat(given, dim=1), pairs)
        assert str(fan_out) in around.protocol()["evaluation"]


def test_sampling_in_evaluation_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data.eval_fan_out: \[5\] given without fan_out"):
        LinkDataModule(graph=KarateClub(), split=RandomLinkSplit(), eval_fan_out=[5])


def test_pairs_scored_in_parts_are_scored_alike() -> None:
    whole, parts = (
        LinkDataModule(graph=KarateClub(), split=RandomLinkSplit(val=0.1, test=0.2), eval_batch_size=size)
        for size in (None, 4)
    )
    torch.manual_seed(0)
    encoder = GCN(num_features=34, output_size=4)
    model = LinkPredictor(encoder=encoder, decoder=InnerProductDecoder(), num_features=34).eval()
    (everything,) = (model.step(batch).predictions for batch in whole.test_dataloader())
    some = [model.step(batch).predictions for batch in parts.test_dataloader()]
    assert len(some) > 1
    assert torch.allclose(everything.sort().values, torch.cat(some).sort().values, atol=1e-6)
