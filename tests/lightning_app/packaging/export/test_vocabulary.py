"""`predict`, `score` and packages call the same things by the same names, and say the same of the same rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.packaging import Package
from tests.conftest import only_run
from tests.graph_sets import draw_graphs, write_tables
from tests.lightning_app.packaging.export.test_graphs import GRAPHS, HEAD, LINKS, NODES
from tests.lightning_app.packaging.export.test_recurrent import PUZZLE, TRAJECTORY

QUANTILES = """
model:
  class_path: Forecaster
  init_args:
    network:
      class_path: PatchTransformer
      init_args:
        quantiles: [0.1, 0.5, 0.9]
        patch_size: 8
        num_layers: 1
        norm: {class_path: ReversibleNorm, init_args: {mode: std}}
    loss: {class_path: PinballLoss, init_args: {quantiles: [0.1, 0.5, 0.9]}}
"""
TABLE = "{class_path: datamodules.graph.GraphTable, init_args: {nodes: nodes.parquet, edges: edges.parquet, label: of}}"


def answers(*args: str, more: tuple[str, ...] = ()) -> tuple[pl.DataFrame, Callable[[pl.DataFrame], pl.DataFrame]]:
    """Fits, predicts and exports; the table of `predict`, and what `score` makes of a table."""
    assert main(list(args)) == 0
    run = only_run(Path("runs"))
    assert main(["predict", "--ckpt_path", str(run / "checkpoints/best.ckpt"), *more]) == 0
    assert main(["export", str(run), "--output", "package"]) == 0

    def score(table: pl.DataFrame) -> pl.DataFrame:
        table.write_parquet("ask.parquet")
        assert main(["score", "package", "ask.parquet", "--output", "scored.parquet"]) == 0
        return pl.read_parquet("scored.parquet").drop("model_version", "scored_at")

    return pl.read_parquet(run / "predictions.parquet"), score


def fit(config: str) -> tuple[str, ...]:
    Path("small.yaml").write_text(config)
    return "fit", "-c", "small.yaml"


def same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """The same columns, text alike, numbers up to rounding."""
    assert found.columns == expected.columns
    for name, dtype in expected.schema.items():
        assert found[name].dtype == dtype, name
        if dtype.is_float() or isinstance(dtype, pl.Array):
            np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), rtol=1e-4, atol=1e-5)
        else:
            assert found[name].to_list() == expected[name].to_list(), name


def graph_tables(kind: str) -> np.ndarray:
    """Two files of a graph of 60 nodes, whose ids are in no order; the ids."""
    rng = np.random.default_rng(0)
    places = rng.permutation(60)
    texts = np.array([f"n-{place}é" for place in places])
    ids = {"texts": texts, "numbers": places, "gaps": 10**15 + 17 * places}[kind]
    of = rng.integers(0, 3, 60)
    numbers = {"f": of + rng.standard_normal(60), "g": rng.standard_normal(60)}
    pl.DataFrame({"id": ids, **numbers, "of": np.array(["b", "a", "c"])[of]}).write_parquet("nodes.parquet")
    source, target = np.triu_indices(60, 1)
    kept = rng.random(len(source)) < 0.05
    pl.DataFrame({"source": ids[source[kept]], "target": ids[target[kept]]}).write_parquet("edges.parquet")
    return np.asarray(ids)


@pytest.mark.parametrize(
    "kind", ["texts", pytest.param("numbers", marks=pytest.mark.slow), pytest.param("gaps", marks=pytest.mark.slow)]
)
def test_nodes(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    ids = graph_tables(kind)
    predicted, score = answers(*fit(HEAD + NODES.replace("datamodules.graph.KarateClub", TABLE)))
    assert predicted.columns == ["node_id", "label", "probability", "probabilities"]
    assert predicted["node_id"].to_list() == ids.tolist()
    shuffled = predicted.sample(fraction=1.0, shuffle=True, seed=1)
    same(score(shuffled.select("node_id")), shuffled)
    pl.read_parquet("nodes.parquet").write_csv("nodes.csv")
    assert main(["score", "package", "nodes.csv", "--output", "raw.parquet", "--keys", ""]) == 0
    raw = pl.read_parquet("raw.parquet").drop("model_version", "scored_at")
    same(raw, predicted)  # the table of training, by the name of its column of ids
    reference = pl.read_parquet("package/reference.parquet")
    same(reference.drop("target"), reference.select("node_id").join(predicted, on="node_id", maintain_order="left"))
    assert "by their ids there" in Path("package/MODEL_CARD.md").read_text()
    capsys.readouterr()
    assert main(["package", "show", "package"]) == 0
    assert ("60 texts, for node_id" if kind == "texts" else "60 whole numbers") in capsys.readouterr().out


@pytest.mark.slow
def test_links() -> None:
    ids = graph_tables("texts")
    pairs = pl.DataFrame({"source": ids[[3, 5, 7, 0]], "target": ids[[9, 3, 1, 2]]})
    pairs.write_parquet("pairs.parquet")
    config = LINKS.format(model="LinkPredictor", split="RandomLinkSplit", more="")
    edges = pl.read_parquet("edges.parquet").rename({"source": "from", "target": "to"})
    edges.write_parquet("edges.parquet")
    config = config.replace("datamodules.graph.KarateClub", TABLE.replace("}}", ", source: from, target: to}}"))
    predicted, score = answers(*fit(HEAD + config), more=("--data.pairs", "pairs.parquet"))
    assert predicted.columns == ["source", "target", "probability", "logit"]
    same(score(pairs), predicted)
    assert main(["score", "package", "edges.parquet", "--output", "raw.parquet"]) == 0
    raw = pl.read_parquet("raw.parquet")
    assert raw["source"].to_list() == edges["from"].to_list()
    asked = edges.rename({"from": "source", "to": "target"})
    np.testing.assert_allclose(raw["logit"], Package.load("package").predict(asked)["logit"], rtol=1e-5)
    assert pl.read_parquet("package/reference.parquet")["source"].is_in(ids).all()


@pytest.mark.slow
@pytest.mark.parametrize("regression", [False, True])
def test_graphs(tmp_path: Path, regression: bool) -> None:
    tables = write_tables(tmp_path, draw_graphs(0, num_graphs=60, regression=regression))
    for path in (tables["nodes"], tables["edges"], tables["graphs"]):
        table = pl.read_parquet(path)
        table.with_columns(pl.format("graph {}", "graph").alias("graph")).write_parquet(path)
    predicted, score = answers(*fit(HEAD + GRAPHS.format(tables=tables)))
    answer = ["value"] if regression else ["label", "probability", "probabilities"]
    assert predicted.columns == ["graph_id", *answer]
    asked = pl.read_parquet("package/reference.parquet")
    assert asked["graph_id"].str.starts_with("graph ").all()
    found = score(asked.select("graph_id", "x", "edge_index"))
    same(found, found.select("graph_id").join(predicted, on="graph_id", maintain_order="left"))


@pytest.mark.slow
def test_forecasts(fit_args: Callable[..., list[str]], table_file: Path) -> None:
    Path("quantiles.yaml").write_text(QUANTILES)
    predicted, score = answers(*fit_args("-c", "quantiles.yaml"))
    series = pl.read_csv(table_file, try_parse_dates=True)[-48:]
    past = series.select("c0", "c1").to_numpy().astype(np.float32)[None]
    found = score(pl.DataFrame({"origin": series["time"][-1:], "past": past}))
    assert found.columns == ["origin", "forecast"]
    (spec,) = Package.load("package").manifest.outputs
    levels = [f"q{level:g}" for level in spec.levels or ()]
    assert predicted.columns == ["time", "channel", *levels]
    for place, channel in enumerate(spec.columns or ()):
        expected = predicted.filter(channel=channel).select(levels).to_numpy()
        np.testing.assert_allclose(found["forecast"].to_numpy()[0, :, place], expected, rtol=1e-4)
    reference = pl.read_parquet("package/reference.parquet")
    assert reference.columns == ["origin", "past", "target", "forecast"]


@pytest.mark.slow
def test_trajectories() -> None:
    rng = np.random.default_rng(0)
    days = np.arange(600).astype("datetime64[D]")
    closes = {name: 100 * np.exp(0.01 * rng.standard_normal(600).cumsum()) for name in ("A", "B")}
    tables = [pl.DataFrame({"date": days, "ticker": name, "close": close}) for name, close in closes.items()]
    pl.concat(tables).write_parquet("panel.parquet")
    predicted, score = answers(*fit(TRAJECTORY))
    levels = [f"q{level:g}" for level in Package.load("package").manifest.outputs[0].levels or ()]
    assert predicted.columns == ["series", "origin", "step", "volatility", *levels]
    reference = pl.read_parquet("package/reference.parquet")
    assert reference.columns == ["series", "origin", "values", "target", "forecast", "volatility"]
    value = {name: dict(zip(days.tolist(), close, strict=True)) for name, close in closes.items()}
    for name, origin, values in reference.select("series", "origin", "values").iter_rows():
        assert values[-1] == pytest.approx(value[name][origin.date()], rel=1e-5)
    asked = pl.DataFrame({"series": list(closes), "values": [close[-101:] for close in closes.values()]})
    found = score(asked)
    assert found.columns == ["series", "forecast", "volatility"]
    for (name,), steps in predicted.group_by("series"):
        answer = found.row(by_predicate=pl.col("series") == name, named=True)
        np.testing.assert_allclose(answer["forecast"], steps.sort("step").select(levels).to_numpy(), rtol=1e-3)
    package = Package.load("package")
    by_pandas = package.predict(asked.to_pandas())
    assert by_pandas.equals(package.predict(asked))


@pytest.mark.slow
def test_language_models(stream_args: Callable[..., list[str]], tmp_path: Path) -> None:
    predicted, score = answers(*stream_args(), more=("--data.eval_batch_size=1",))  # one lane: no document is cut
    assert predicted.columns == ["document", "position", "token", "log_probability", "likeliest_token"]
    documents = [part for part in (tmp_path / "val.txt").read_text().split("\n\n") if part.strip()]
    found = score(pl.DataFrame({"document": range(len(documents)), "text": documents}))
    assert found.columns == ["document", "log_probabilities"]
    tokenizer = Package.load("package").tokenizer
    assert tokenizer is not None
    for document, position, token, log_probability, likeliest in predicted.iter_rows():
        of_all = np.array(found["log_probabilities"][document][position - 1])
        assert of_all[tokenizer.encode(token)[0]] == pytest.approx(log_probability, abs=1e-4)
        assert of_all.max() == pytest.approx(of_all[tokenizer.encode(likeliest)[0]], abs=1e-4)
    assert pl.read_parquet("package/reference.parquet").columns[:2] == ["document", "tokens"]


@pytest.mark.slow
def test_puzzles() -> None:
    predicted, score = answers(*fit(PUZZLE))
    assert predicted.columns == ["puzzle", "solution", "confidence"]
    found = score(predicted.select("puzzle"))
    assert found.columns == ["solution", "confidence"]
    assert (found["solution"].to_numpy() == predicted["solution"].to_numpy()).mean() > 0.999
    assert Package.load("package").manifest.inputs[0].num_values == 5
