import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lightning_app.__main__ import main
from lightning_app.retrieval import Index
from lightning_app.retrieval.index import normalized


def table_of_embeddings(file: Path, *, first: int = 0, rows: int = 300, size: int = 8) -> Path:
    vectors = np.random.default_rng(first).standard_normal((rows, size)).astype(np.float32)
    ids = [f"r{first + row}" for row in range(rows)]
    table = pl.DataFrame({"id": ids, "text": [f"text of {one}" for one in ids], "vector": vectors})
    table.write_parquet(file)
    return file


@pytest.fixture
def index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    file = table_of_embeddings(tmp_path / "rows.parquet")
    assert build(file, tmp_path / "index") == 0, capsys.readouterr().err
    return tmp_path / "index"


def build(table: Path, output: Path, *options: str) -> int:
    return main(
        ["index", "build", str(table), "--embeddings", "vector", "--id", "id", "--output", str(output), *options]
    )


def test_rows_nearest_to_a_vector_are_those_of_the_largest_cosine(index: Path, tmp_path: Path) -> None:
    vectors = normalized(pl.read_parquet(tmp_path / "rows.parquet")["vector"].to_numpy())
    queries = np.random.default_rng(5).standard_normal((3, 8))
    found = Index.load(index).search_vectors(queries, top=4)
    for query, neighbors in zip(queries, found, strict=True):
        cosine = vectors @ (query / np.linalg.norm(query))
        best = np.argsort(-cosine)[:4]
        assert [one.id for one in neighbors] == [f"r{row}" for row in best]
        assert [one.text for one in neighbors] == [f"text of r{row}" for row in best]
        np.testing.assert_allclose([one.score for one in neighbors], cosine[best], rtol=1e-5)


def test_faiss_flat_finds_what_numpy_finds_and_hnsw_nearly_all(index: Path, tmp_path: Path) -> None:
    queries = np.random.default_rng(5).standard_normal((20, 8))
    exact, scores = Index.load(index).positions(queries, top=10)
    flat, flat_scores = Index.load(index, engine="faiss").positions(queries, top=10)
    np.testing.assert_array_equal(exact, flat)
    np.testing.assert_allclose(scores, flat_scores, rtol=1e-5)
    with pytest.raises(ValueError, match="build it with `--engine hnsw`"):
        Index.load(index, engine="hnsw")
    assert build(tmp_path / "rows.parquet", tmp_path / "graph", "--engine", "hnsw") == 0
    found, _ = Index.load(tmp_path / "graph").positions(queries, top=10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)])
    assert recall > 0.95


def test_ask_for_the_neighbors_of_a_row(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["index", "ask", str(index), "--id", "r7", "--top", "3", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert len(answer["neighbors"]) == 3
    assert "r7" not in [one["id"] for one in answer["neighbors"]]
    assert main(["index", "ask", str(index), "--id", "r7"]) == 0
    assert "text of r" in capsys.readouterr().out
    assert main(["index", "ask", str(index), "a question"]) == 2
    assert "no package embeds a question" in capsys.readouterr().err
    assert main(["index", "ask", str(index), "--id", "r999"]) == 2
    assert "no row of" in capsys.readouterr().err


def test_added_rows_are_found_and_known_ids_are_refused(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = table_of_embeddings(tmp_path / "more.parquet", first=300, rows=50)
    assert main(["index", "add", str(index), str(more)]) == 0
    found = Index.load(index)
    assert found.manifest.rows == 350
    vector = pl.read_parquet(more)["vector"].to_numpy()[49]
    assert found.search_vectors(vector[None], top=1)[0][0].id == "r349"
    capsys.readouterr()
    assert main(["index", "add", str(index), str(more)]) == 2
    assert "50 ids of more.parquet are in the index already, e.g. 'r300'" in capsys.readouterr().err


def test_rows_that_another_process_added_meanwhile_are_not_lost(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [table_of_embeddings(tmp_path / f"{first}.parquet", first=first, rows=50) for first in (300, 350)]
    load = Index.load

    def overtaken(folder: Path, **options: Any) -> Index:
        loaded = load(folder, **options)
        monkeypatch.setattr(Index, "load", load)
        assert main(["index", "add", str(index), str(tables[0])]) == 0
        return loaded

    monkeypatch.setattr(Index, "load", overtaken)
    assert main(["index", "add", str(index), str(tables[1])]) == 2
    assert "changed by another process meanwhile" in capsys.readouterr().err
    assert Index.load(index).manifest.rows == 350


def test_a_changed_index_is_refused(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["index", "show", str(index)]) == 0
    assert "300 x 8, cosine" in capsys.readouterr().out
    content = bytearray((index / "embeddings.npy").read_bytes())
    content[-1] ^= 1
    (index / "embeddings.npy").write_bytes(content)
    assert main(["index", "show", str(index)]) == 2
    assert "it was changed, build the index again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ["a", "b", "a"]}, "2 rows with the id of another, e.g. 'a'"),
        ({"id": ["a", None, "c"]}, "1 rows of"),
        ({"vector": [[1.0, 2.0], [1.0], [2.0, 3.0]]}, "lists of 1 to 2 numbers"),
        ({"vector": [[1.0, 2.0], [float("nan"), 1.0], [2.0, 3.0]]}, "not finite, first in row 1"),
        ({"vector": ["x", "y", "z"]}, "lists of numbers are needed"),
        ({"vectors": [1, 2, 3]}, "no column 'vector', did you mean 'vectors'?"),
    ],
)
def test_a_bad_table_is_refused_and_nothing_is_written(
    change: dict[str, list[object]], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"id": ["a", "b", "c"], **({} if "vectors" in change else {"vector": [[1.0, 2.0]] * 3}), **change}
    pl.DataFrame(columns).write_parquet(tmp_path / "bad.parquet")
    assert build(tmp_path / "bad.parquet", tmp_path / "index") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "index").exists()


def test_an_index_is_replaced_only_on_request_and_nothing_else_is(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.parquet"
    assert build(file, index) == 2
    assert "--overwrite to replace it" in capsys.readouterr().err
    assert build(file, index, "--overwrite", "--metric", "dot") == 0
    assert Index.load(index).manifest.metric == "dot"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    assert build(file, tmp_path / "other", "--overwrite") == 2
    assert "is no index" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_rows_without_a_value_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"id": [1, 2, 3], "vector": [[1.0, 0.0], None, [0.0, 1.0]]}).write_parquet(tmp_path / "rows.parquet")
    assert build(tmp_path / "rows.parquet", tmp_path / "index") == 0
    assert "left out: 1 rows" in capsys.readouterr().out
    (neighbors,) = Index.load(tmp_path / "index").search_vectors(np.array([[1.0, 0.1]]), top=5)
    assert [one.id for one in neighbors] == [1, 3]
