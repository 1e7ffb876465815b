"""Definitions of features: YAML and Python are one to one, and what cannot be meant is refused with its place."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.definitions import (
    Aggregate,
    Arithmetic,
    Calendar,
    Column,
    Definitions,
    Entity,
    FeatureView,
    FutureAggregate,
    LabelColumn,
    Lag,
    Source,
    TargetEncoding,
    TimeSince,
    Where,
)

SHOP: dict[str, Any] = {
    "description": "Purchases",
    "entities": {"customer": {"keys": {"customer": "str"}}},
    "sources": {
        "purchases": {
            "path": "purchases.csv",
            "time": "date",
            "time_format": "%Y%m%d",
            "available": "loaded",
            "columns": {"dollars": {"type": "float", "unit": "USD"}, "shop": {"type": "str"}},
        }
    },
    "views": {
        "history": {
            "entity": "customer",
            "source": "purchases",
            "ttl": "52w",
            "request": {"age": {"type": "int", "unit": "years"}, "churned": {"type": "bool"}},
            "features": {
                "purchases": {"kind": "aggregate", "function": "count"},
                "spend_90d": {
                    "kind": "aggregate",
                    "function": "sum",
                    "column": "dollars",
                    "window": "90d",
                    "where": {"column": "shop", "op": "==", "value": "north"},
                },
                "last": {"kind": "lag", "column": "dollars"},
                "recency": {"kind": "time_since"},
                "mean": {"kind": "arithmetic", "op": "/", "columns": ["spend_90d", "purchases"]},
                "hour": {"kind": "calendar", "part": "hour", "encoding": "sin"},
            },
        }
    },
    "labels": {
        "next": {"kind": "future", "source": "purchases", "entity": "customer", "function": "count", "window": "39w"},
        "churned": {"kind": "column", "column": "churned"},
    },
}


def with_change(place: str, value: Any) -> dict[str, Any]:
    content = deepcopy(SHOP)
    *parents, last = place.split("/")
    part = content
    for key in parents:
        part = part[key]
    part[last] = value
    return content


def test_yaml_and_python_are_one_to_one(tmp_path: Path) -> None:
    written = Definitions(
        description="Purchases",
        entities={"customer": Entity(keys={"customer": "str"})},
        sources={
            "purchases": Source(
                path="purchases.csv",
                time="date",
                time_format="%Y%m%d",
                available="loaded",
                columns={"dollars": Column(type="float", unit="USD"), "shop": Column(type="str")},
            )
        },
        views={
            "history": FeatureView(
                entity="customer",
                source="purchases",
                ttl="52w",
                request={"age": Column(type="int", unit="years"), "churned": Column(type="bool")},
                features={
                    "purchases": Aggregate(function="count"),
                    "spend_90d": Aggregate(
                        function="sum",
                        column="dollars",
                        window="90d",
                        where=Where(column="shop", op="==", value="north"),
                    ),
                    "last": Lag(column="dollars"),
                    "recency": TimeSince(),
                    "mean": Arithmetic(op="/", columns=("spend_90d", "purchases")),
                    "hour": Calendar(part="hour", encoding="sin"),
                },
            )
        },
        labels={
            "next": FutureAggregate(source="purchases", entity="customer", function="count", window="39w"),
            "churned": LabelColumn(column="churned"),
        },
    )
    file = tmp_path / "features.yaml"
    file.write_text(yaml.safe_dump(SHOP))
    assert Definitions.load(file) == written
    file.write_text(written.to_yaml())
    assert Definitions.load(file) == written
    assert Definitions.load(file).digest == written.digest


def test_the_digest_knows_content_and_not_the_order_of_keys() -> None:
    digest = Definitions.from_data(SHOP).digest
    assert Definitions.from_data(dict(reversed(SHOP.items()))).digest == digest
    assert Definitions.from_data(with_change("views/history/ttl", "51w")).digest != digest


def test_features_are_selected_by_view_and_by_name() -> None:
    definitions = Definitions.from_data(SHOP)
    assert definitions.select() == definitions.select(["history"])
    assert definitions.select(["history.last", "history.purchases"]) == ("history.last", "history.purchases")
    with pytest.raises(ValueError, match=r"feature 'history.lats' is not defined; did you mean 'history.last'\?"):
        definitions.select(["history.lats"])
    with pytest.raises(ValueError, match=r"feature 'history.last' is selected twice"):
        definitions.select(["history", "history.last"])


FEATURES = "views/history/features"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("viewz", {}, r"unknown key 'viewz'; did you mean 'views'\?"),
        ("views", {}, r"views: none given"),
        (f"{FEATURES}/last/colum", "dollars", r"features.last: unknown key 'colum'; did you mean 'column'\?"),
        (f"{FEATURES}/last/kind", "lagg", r"features.last: unknown kind 'lagg'; did you mean 'lag'\?"),
        (f"{FEATURES}/last", {"column": "dollars"}, r"features.last: no `kind` is given"),
        (f"{FEATURES}/last/column", "dollar", r"last.column: 'dollar' is no column of the source; did you mean 'doll"),
        (f"{FEATURES}/last/rows", 0, r"last.rows: 0 given, at least 1 is needed: 0 is the row itself"),
        (f"{FEATURES}/last/rows", -1, r"less is the future"),
        (f"{FEATURES}/last/rows", "two", r"last.rows: expected `int`, got `str`"),
        (f"{FEATURES}/spend_90d/window", "3mo", r"spend_90d.window: '3mo' is no duration"),
        (f"{FEATURES}/spend_90d/window", "-9d", r"spend_90d.window: '-9d' is no duration"),
        (f"{FEATURES}/spend_90d/window", "0d", r"spend_90d.window: '0d' is no duration"),
        (f"{FEATURES}/spend_90d/rows", 3, r"window '90d' and rows 3 given; give one of them"),
        (
            f"{FEATURES}/spend_90d/column",
            "shop",
            r"spend_90d.function: sum of 'shop', which is str; numbers are needed",
        ),
        (f"{FEATURES}/mean/columns", ["purchases"], r"mean.columns: \['purchases'\] given, two or more"),
        (f"{FEATURES}/mean/columns", ["mean", "age"], r"features read each other in a circle: .*history.mean"),
        (f"{FEATURES}/mean/columns", ["agee", "age"], r"'agee' is neither in .* nor a feature; did you mean 'age'\?"),
        (f"{FEATURES}/mean/columns", ["churned", "age"], r"reads 'churned', which is the label 'churned'"),
        (f"{FEATURES}/hour/part", "is_weekend", r"hour.encoding: is_weekend has no circle"),
        (f"{FEATURES}/text", {"kind": "text"}, r"features.text: no column given; name a text column"),
        (
            f"{FEATURES}/text",
            {"kind": "text", "column": "a", "columns": ["b"]},
            r"column 'a' and columns \['b'\] given",
        ),
        (f"{FEATURES}/text", {"kind": "text", "column": "age", "named": ["age"]}, r"column 'age' is named twice"),
        (f"{FEATURES}/text", {"kind": "text", "column": "agee"}, r"text: column 'agee' .*; did you mean 'age'\?"),
        ("views/history/source", "purchase", r"history.source: 'purchase' is not defined; did you mean 'purchases'\?"),
        ("views/history/ttl", "1 year", r"history.ttl: '1 year' is no duration"),
        ("sources/purchases/available", "date", r"available: 'date' is the event time itself"),
        ("sources/purchases/columns/dollars/type", "decimal", r"columns.*type: invalid enum value 'decimal'"),
        ("entities/customer/keys", {}, r"entities.customer.keys: none given"),
        ("labels/next/source", "sales", r"labels.next.source: 'sales' is not defined"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(place: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Definitions.from_data(with_change(place, value), name="features.yaml")


def test_a_target_encoding_alone_may_read_a_label() -> None:
    encoding = {"kind": "target_encoding", "columns": ["age"], "label": "churned"}
    definitions = Definitions.from_data(with_change(f"{FEATURES}/rate", encoding))
    assert definitions.feature("history.rate") == TargetEncoding(columns=("age",), label="churned")
    with pytest.raises(ValueError, match=r"rate.label: 'churnd' is not defined; did you mean 'churned'\?"):
        Definitions.from_data(with_change(f"{FEATURES}/rate", {**encoding, "label": "churnd"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [("views: [", "is no YAML"), ("- 1", "keys with values are needed, list given"), (None, "cannot be read")],
)
def test_a_file_that_is_no_features_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "own.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=rf"own.yaml.*{message}"):
        Definitions.load(file)
