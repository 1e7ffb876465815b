"""Tables that scikit-learn brings, as rows of a data module."""

import pytest

from datamodules.tabular.text_table import read_text_table


def read(name: str) -> None:
    read_text_table(name, csv=None, root=None, key="data.rows")


def test_a_bundled_table_has_its_numbers_and_its_classes_by_name() -> None:
    table = read_text_table("sklearn:breast_cancer", csv=None, root=None, key="data.rows")
    assert table.shape == (569, 31)
    assert table["target"].value_counts(sort=True)["target"].to_list() == ["benign", "malignant"]
    assert table["worst_concave_points"].max() == pytest.approx(0.291)


def test_an_unknown_bundled_table_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="data.rows: sklearn:whine given, scikit-learn brings .* did you mean 'wine'"):
        read("sklearn:whine")
