"""Terms of texts: counted per text, weighted by how rare they are, as vectors of length 1."""

import numpy as np
import polars as pl

from features.definitions import Tfidf
from features.fitted.states import TfidfState
from features.rows.texts import bucket_of, map_values

_WORD = r"\w\w+"
_CHUNK = 4096


def learn_terms(texts: pl.Series, feature: Tfidf) -> TfidfState:
    """Learns terms and inverse document frequencies: ln((1 + n) / (1 + texts with the term)) + 1.

    Args:
        texts: Training texts.
        feature: The feature.
    """
    known = texts.drop_nulls()
    counts = _counts(known).group_by("term").agg(pl.col("count").sum(), documents=pl.len())
    if feature.hashed:
        places = _counts(known).with_columns(
            place=pl.col("term").map_batches(lambda terms: _buckets(terms, feature.max_terms), return_dtype=pl.Int64)
        )
        documents = np.zeros(feature.max_terms)
        found = places.unique(["row", "place"]).group_by("place").len()
        documents[found["place"].to_numpy()] = found["len"].to_numpy()
        terms: list[str] = []
    else:
        kept = counts.sort(["count", "term"], descending=[True, False]).head(feature.max_terms)
        terms, documents = kept["term"].to_list(), kept["documents"].to_numpy()
    idf = np.log((1 + len(known)) / (1 + documents)) + 1
    return TfidfState(terms=terms, idf=idf.tolist())


def term_vectors(texts: pl.Series, feature: Tfidf, state: TfidfState) -> pl.Series:
    """Vectors of texts, `Array(Float32, n)`: zeros without any known term, null for a null.

    Args:
        texts: The texts.
        feature: The feature.
        state: Learned vocabulary and weights.
    """
    size = len(state.idf)
    counts = _counts(texts)
    if feature.hashed:
        places = _buckets(counts["term"], size)
    else:
        index = {term: place for place, term in enumerate(state.terms)}
        places = map_values(counts["term"], lambda term: index.get(term, -1), pl.Int64)
    counts = counts.with_columns(place=places).filter(pl.col("place") >= 0)
    rows, columns = counts["row"].to_numpy(), counts["place"].to_numpy()
    numbers = counts["count"].to_numpy() * np.asarray(state.idf)[columns]
    vectors = np.zeros((len(texts), size), dtype=np.float32)
    for begin in range(0, len(texts), _CHUNK):  # float64 for so many rows at a time
        part = slice(*np.searchsorted(rows, [begin, begin + _CHUNK]))
        weights = np.zeros((len(vectors[begin : begin + _CHUNK]), size))
        np.add.at(weights, (rows[part] - begin, columns[part]), numbers[part])
        length = np.sqrt(np.einsum("ij,ij->i", weights, weights))
        vectors[begin : begin + _CHUNK] = weights / np.where(length > 0, length, 1)[:, None]
    series = pl.Series(texts.name, vectors, dtype=pl.Array(pl.Float32, size))
    return pl.select(pl.when(texts.is_not_null()).then(series)).to_series()


def _counts(texts: pl.Series) -> pl.DataFrame:
    """Columns row, term, count."""
    frame = pl.DataFrame({"row": np.arange(len(texts)), "term": texts.str.to_lowercase().str.extract_all(_WORD)})
    terms = frame.explode("term").drop_nulls()
    return terms.group_by(["row", "term"], maintain_order=True).agg(count=pl.len().cast(pl.Float64))


def _buckets(terms: pl.Series, buckets: int) -> pl.Series:
    return map_values(terms, lambda term: bucket_of(term, buckets=buckets), pl.Int64)
