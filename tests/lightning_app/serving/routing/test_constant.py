"""Constant fallbacks: checked against the model that they stand in for when that is loaded."""

from typing import Any

import numpy as np
import pytest

from lightning_app.errors import UsageError
from lightning_app.packaging import Package
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.routing.constant import ConstantAnswer
from tests.lightning_app.serving.model_packages import model_packages


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    packages = model_packages(tmp_path_factory.mktemp("constant"))
    return {name: LoadedModel(Package.load(path), name=name, version=4) for name, path in packages.items()}


def test_it_answers_in_the_form_of_the_model(models: dict[str, LoadedModel]) -> None:
    price: Any = ConstantAnswer(models["prices"], {"price": 12}).answer(3).predictions
    assert (price["price"].tolist(), price["price"].dtype) == ([12, 12, 12], np.float32)
    constant = ConstantAnswer(models["sizes"], {"probabilities": [0.2, 0.5, 0.3]})
    size: Any = constant.answer(2).predictions
    assert list(size) == list(models["sizes"].package.predict({"features": np.zeros((1, 4))}))
    assert (list(size["label"]), size["probability"].tolist()) == (["middle"] * 2, [0.5] * 2)
    assert (constant.model.name, constant.model.version, constant.model.digest) == ("sizes", None, "constant")
    assert models["sizes"].version == 4


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        ("prices", {"prise": 1.0}, "'prise' is no output of prices, which are price, did you mean 'price'"),
        ("prices", {}, "price is not given"),
        ("prices", {"price": "low"}, "'low' given, numbers needed"),
        ("prices", {"price": [1.0]}, r"shape \[1\] given, \[\] needed"),
        ("prices", {"price": float("nan")}, "not finite"),
        ("sizes", {"probabilities": [0.5, 0.5]}, r"shape \[2\] given, \[3\] needed"),
        ("sizes", {"probabilities": [0.5, 0.5, 0.5]}, "sum to 1"),
        ("load", {"forecast": 1.0}, "load does not answer row by row; fall back to a model"),
        ("letters", {"logits": 1.0}, "letters does not answer row by row"),
    ],
)
def test_what_is_no_answer_of_the_model_is_refused(
    models: dict[str, LoadedModel], model: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ConstantAnswer(models[model], values)
