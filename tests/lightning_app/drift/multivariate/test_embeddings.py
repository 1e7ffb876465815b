"""Embeddings of texts, vectors, sequences and graphs: the same everywhere, and drift is seen in them."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.drift.multivariate import multivariate_drift
from lightning_app.drift.multivariate.embeddings.graphs import graph_embedding
from lightning_app.drift.multivariate.embeddings.lists import sequence_embedding, vector_embedding
from lightning_app.drift.multivariate.embeddings.text import DIRECTIONS, MAX_CHARACTERS, group_hashes, text_embedding
from lightning_app.drift.reference import build_reference
from lightning_app.drift.result import DriftSettings, MultivariateDrift


def compare(sample: pl.DataFrame, current: pl.DataFrame) -> dict[str, MultivariateDrift]:
    reference = build_reference(sample, roles=dict.fromkeys(sample.columns, "input"))
    return {one.name: one for one in multivariate_drift(reference, sample, current, settings=DriftSettings())}


def hash_by_hand(text: str) -> int:
    """One group's hash with Python's integers."""
    bits = 2**64 - 1
    found = len(text)
    for character in text:
        found = ((found ^ ord(character)) * 0x9E3779B97F4A7C15) & bits
        found ^= found >> 29
    found = ((found ^ (found >> 32)) * 0xD6E8FEB86659FD93) & bits
    return found ^ (found >> 32)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_texts_are_sums_of_the_signs_of_their_groups(texts: list[str]) -> None:
    found = text_embedding(pl.Series("text", texts)).values[:, :DIRECTIONS]
    lowered = pl.Series(texts).str.to_lowercase().to_list()
    for row, text in zip(found, lowered, strict=True):
        groups = [text[begin : begin + size] for size in (3, 4, 5) for begin in range(len(text) - size + 1)]
        signs = [[1 if hash_by_hand(group) >> bit & 1 else -1 for bit in range(DIRECTIONS)] for group in groups]
        expected = np.sum(signs, axis=0) / np.sqrt(len(signs)) if signs else np.zeros(DIRECTIONS)
        assert np.allclose(row, expected)


def test_a_hash_is_the_same_on_every_machine_and_in_every_version() -> None:
    characters = np.array([ord(character) for character in "drift"], np.uint32)
    assert group_hashes(characters, 5).tolist() == [hash_by_hand("drift")] == [2915570130701750922]


def test_texts_have_length_rare_characters_and_missing_values() -> None:
    texts = ["plain words here"] * 300 + ["plain wörds", None, "", "x" * 1500]
    found = text_embedding(pl.Series("text", texts))
    assert found.names[-2:] == ("length", "rare characters")
    assert found.values[300, -1] == pytest.approx(1 / 11)
    assert np.isnan(found.values[301]).all()
    assert found.values[302, :-2].tolist() == [0.0] * DIRECTIONS
    assert found.values[303, -2] == pytest.approx(np.log1p(1500))
    assert found.note == f"of 1 longer texts, the first {MAX_CHARACTERS:,} characters"


WORDS = {
    "sport": ["match", "goal", "team", "player", "season", "coach", "league", "score", "referee", "stadium"],
    "money": ["market", "share", "price", "profit", "bank", "trade", "invest", "fund", "interest", "dividend"],
}


def reviews(count: int, seed: int, money: float) -> pl.DataFrame:
    """Texts of 12 words, a share of them of another topic."""
    random = np.random.default_rng(seed)
    topics = np.where(random.random(count) < money, "money", "sport")
    return pl.DataFrame({"text": [" ".join(random.choice(WORDS[topic], 12)) for topic in topics]})


def test_texts_of_another_topic_are_drift_and_of_the_same_topic_are_not() -> None:
    sample = reviews(400, 0, 0.5)
    assert compare(sample, reviews(300, 1, 0.5))["embedding:text"].p_value > 0.05
    found = compare(sample, reviews(300, 2, 0.75))["embedding:text"]
    assert found.p_value < 0.01
    assert found.statistic > 0.55


@pytest.mark.parametrize("size", [12, 100])
def test_vectors_that_have_turned_are_drift(size: int) -> None:
    def vectors(seed: int, turn: float) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        values = random.normal(size=(500, 6))
        values[:, 1] = turn * values[:, 0] + np.sqrt(1 - turn**2) * values[:, 1]
        values = values @ np.random.default_rng(7).normal(size=(6, size)) + 0.3 * random.normal(size=(500, size))
        return pl.DataFrame({"vector": values.tolist()})

    sample = vectors(0, 0)
    assert compare(sample, vectors(1, 0))["embedding:vector"].p_value > 0.05
    found = compare(sample, vectors(2, 0.9))["embedding:vector"]
    assert found.p_value < 0.01
    if size > 32:
        assert found.note == "32 main directions of 100 elements"


def test_vectors_keep_their_places_and_those_without_a_number_are_missing() -> None:
    found = vector_embedding(pl.Series([[1.0, 2.0], None, [3.0, None]]))
    assert found is not None
    np.testing.assert_array_equal(found.values, [[1, 2], [np.nan, np.nan], [3, np.nan]])
    assert vector_embedding(pl.Series([[1.0], [1.0, 2.0]])) is None
    assert vector_embedding(pl.Series([None], dtype=pl.List(pl.Float64))) is None


def test_sequences_are_described_by_their_curve() -> None:
    found = sequence_embedding(pl.Series([[1.0, 3.0, 2.0], [], None]))
    assert dict(zip(found.names, found.values[0].tolist(), strict=True)) == {
        "length": 3, "mean": 2, "sd": pytest.approx(np.std([1, 3, 2])), "least": 1, "greatest": 3, "first": 1,
        "last": 2, "mean step": 0.5, "steps' sd": 1.5,
    }  # fmt: skip
    assert found.values[1, 0] == 0
    assert np.isnan(found.values[2]).all()
    channels = sequence_embedding(pl.Series([[[1.0, 5.0], [2.0, 7.0]]]))
    by_name = dict(zip(channels.names, channels.values[0].tolist(), strict=True))
    assert (by_name["length"], by_name["channel 0 mean"], by_name["channel 1 last"]) == (2, 1.5, 7)
    assert len(by_name) == 17


def test_sequences_of_another_shape_are_drift() -> None:
    def waves(seed: int, speed: float) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        curves = [
            np.sin(speed * np.arange(length) + random.uniform(0, 6)) + 0.3 * random.normal(size=length)
            for length in random.integers(20, 40, 300)
        ]
        return pl.DataFrame({"window": [curve.tolist() for curve in curves]})

    sample = waves(0, 0.5)
    assert compare(sample, waves(1, 0.5))["embedding:window"].p_value > 0.05
    found = compare(sample, waves(2, 0.8))["embedding:window"]
    assert found.p_value < 0.01
    assert found.columns[0] == "steps' sd"


def graphs(seed: int, count: int, *, alike: bool = False, degree: int = 3) -> pl.DataFrame:
    """Random graphs; alike: edges lead to nodes whose feature has the same sign."""
    random = np.random.default_rng(seed)
    x, edge_index = [], []
    for nodes in random.integers(6, 14, count):
        features = random.normal(size=(nodes, 2))
        ends = random.integers(0, nodes, (nodes * degree, 2))
        if alike:
            own = features[:, 0] > 0
            keep = (own[ends[:, 0]] == own[ends[:, 1]]) | (random.random(len(ends)) < 0.3)
            more = ends[keep]
            ends = np.concatenate([more, more])[: len(ends)]
        x.append(features.tolist())
        edge_index.append(ends.tolist())
    return pl.DataFrame({"x": x, "edge_index": edge_index})


def test_graphs_have_numbers_of_nodes_edges_and_degrees() -> None:
    x = pl.Series("x", [[[1.0], [2.0], [3.0]], [[1.0]], None, [[0.0]]])
    edges = pl.Series("edge_index", [[[0, 1], [2, 1]], [], [[0, 0]], [[0, 7]]])
    found = graph_embedding(x, edges)
    first = dict(zip(found.names, found.values[0].tolist(), strict=True))
    assert np.expm1(first["nodes"]) == pytest.approx(3)
    assert np.expm1(first["edges"]) == pytest.approx(2)
    assert first["mean degree"] == pytest.approx(2 / 3)
    assert (first["greatest degree"], first["isolated nodes"]) == (2, pytest.approx(2 / 3))
    assert (first["x[0] mean"], first["x[0] sd"]) == (2, pytest.approx(np.std([1, 2, 3])))
    assert found.values[1, 1] == 0
    assert np.isnan(found.values[2:]).all()
    assert "2 graphs with edges to nodes that they do not have" in (found.note or "")


def test_graphs_whose_neighbours_have_become_alike_are_drift() -> None:
    sample = graphs(0, 250)
    same = compare(sample, graphs(1, 250))
    assert same["embedding:graph"].p_value > 0.05
    assert not {"embedding:x", "embedding:edge_index"} & set(same)
    found = compare(sample, graphs(2, 250, alike=True))["embedding:graph"]
    assert found.p_value < 0.01
    assert "likeness of neighbours" in found.columns


def test_graphs_of_another_form_say_so() -> None:
    sample = graphs(0, 100)
    broken = graphs(1, 100).with_columns(pl.Series("edge_index", [[[0, 1, 2]]] * 100))
    assert "'edge_index' has rows of" in (compare(sample, broken)["embedding:graph"].note or "")
    text = sample.with_columns(x=pl.lit("none"))
    assert "String in the window" in (compare(sample, text)["embedding:graph"].note or "")


def test_lists_that_hold_texts_now_are_not_tested_and_say_so() -> None:
    sample = pl.DataFrame({"v": np.random.default_rng(0).normal(size=(100, 3)).tolist()})
    found = compare(sample, pl.DataFrame({"v": ["text"] * 100}))["embedding:v"]
    assert found.p_value is None
    assert "List(Float64) in the reference, String in the window" in (found.note or "")
