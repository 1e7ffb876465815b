"""Packages whose raw rows hold a text: tokens are made in the package, and rows of any size share calls."""

import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lightning_app.packaging import Package, PackageError, RequestError
from lightning_app.packaging.runtime.text import padded_rows
from tests.packages import reviews, text_package
from tests.tiny_encoder import tiny_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return text_package(tmp_path_factory.mktemp("texts") / "package")


@pytest.fixture(scope="module")
def package(folder):
    return Package.load(folder)


def answered(package, request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return package.predict(request)


def test_a_row_is_answered_the_same_alone_in_a_table_and_among_others(package, monkeypatch):
    table = reviews(300)
    expected = answered(package, table)["probabilities"].to_numpy()
    monkeypatch.setattr(padded_rows, "TOKENS_PER_CALL", 50)
    small_calls = answered(package, table)["probabilities"].to_numpy()
    np.testing.assert_allclose(small_calls, expected, atol=1e-6)
    for row in (0, 1, 10, 299):
        for request in (table[row], table.row(row, named=True), table[row : row + 2].to_dict(as_series=False)):
            answer = np.stack(answered(package, request)["probabilities"])
            np.testing.assert_allclose(answer[0], expected[row], atol=1e-6)


def test_raw_rows_are_answered_as_their_tokens(package):
    table = reviews(40)
    tokens = pl.read_parquet(package.path / "reference.parquet")
    assert_frame_equal(package.predict(tokens), answered(package, table), abs_tol=1e-6)
    short = tokens["token_ids"].list.len() < 12
    assert short.any(), "rows differ in size"
    swapped = tokens.with_columns(attention_mask=tokens["attention_mask"].reverse())
    with pytest.raises(RequestError, match="row 0"):
        package.predict(swapped)


def test_texts_that_are_cut_or_missing_are_counted(package):
    rows = {"title": ["a film", None, None], "review": ["a " * 40, None, "good"], "age": [30, 31, 32]}
    with pytest.warns(UserWarning, match="reviews: body: 1 rows have") as caught:
        answer = package.predict(rows)
    assert [str(one.message) for one in caught] == [
        "reviews: body: 1 rows have more than 12 tokens: answered from the first 12",
        "reviews: body: 1 rows have no text: answered as an empty one",
    ]
    assert answer["label"].tolist() == answered(package, pl.DataFrame(rows))["label"].to_list()
    (batch,) = package.predictor.prepare_raw(pl.DataFrame(rows))
    assert list(batch.counts.values()) == [1, 1]


def test_whole_numbers_that_are_read_as_text_are_said_of_one_row_and_of_a_table(package):
    rows = {"title": ["a film", "a film"], "review": [2024, 7], "age": [30, 31]}
    said = "reviews: rows: column 'review': {} rows are whole numbers: read as text"
    with pytest.warns(UserWarning, match="whole numbers") as caught:
        answer = package.predict(pl.DataFrame(rows))
    assert [str(one.message) for one in caught] == [said.format(2)]
    with pytest.warns(UserWarning, match="whole numbers") as caught:
        first = package.predict({name: values[0] for name, values in rows.items()})
    assert [str(one.message) for one in caught] == [said.format(1)]
    assert first["label"][0] == answer["label"][0]


def test_a_row_without_its_text_column_is_refused(package):
    with pytest.raises(RequestError, match="review"):
        package.predict({"title": "a", "age": 30})


def test_lists_of_rows_and_halves_of_a_character_are_refused_by_what_they_are(package):
    with pytest.raises(RequestError, match=r"a list of rows given, a table or a dict of columns needed"):
        package.predict([{"title": "Lovely"}])
    with pytest.raises(ValueError, match=r"'\\ud83d' at character 4 is half of a surrogate pair"):
        package.predict({"title": "cut \ud83d", "review": None, "age": 30})


def test_a_tokenizer_that_was_changed_or_is_of_another_model_is_refused(folder, tmp_path):
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "tokenizer.json").write_bytes(tiny_tokenizer().to_str().encode())
    with pytest.raises(PackageError, match="tokenizer.json"):
        Package.load(broken)
    contents = Package.load(folder).manifest
    assert contents.tokenizer is None
    assert contents.raw_input.files == ("tokenizer.json",)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["schema_version"] == 4
    manifest["raw_input"]["files"] = []
    (broken / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PackageError, match="tokenizer.json"):
        Package.load(broken)


def test_without_the_library_the_command_to_install_it_is_said(folder):
    code = (
        "import sys; sys.modules['tokenizers'] = None; from lightning_app.packaging import Package; "
        f"Package.load({str(folder)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'lightning-r2p[text]'" in done.stderr


def test_a_package_of_texts_needs_neither_torch_nor_transformers(folder):
    code = (
        "import sys; from lightning_app.packaging import Package; "
        f"p = Package.load({str(folder)!r}); p.predict({{'title': 'a', 'review': 'film', 'age': 3}}); "
        "assert not {'torch', 'transformers', 'lightning'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
