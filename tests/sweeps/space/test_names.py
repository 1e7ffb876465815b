from sweeps.space.names import short_names, value_name
from sweeps.space.parameter import Parameter


def test_keys_are_as_short_as_they_can_be_told_apart() -> None:
    keys = ["model.encoder.dropout", "model.decoder.dropout", "model.optimizer.lr", "lr", "data.size"]
    assert list(short_names(keys).values()) == ["encoder.dropout", "decoder.dropout", "optimizer.lr", "lr", "size"]


def test_a_class_keeps_as_much_of_its_path_as_no_other_choice_has() -> None:
    classes = ("models.graph.GCN", "models.graph.GAT", "mine.GAT")
    parameter = Parameter(key="model.encoder", kind="class", choices=classes)
    assert [value_name(choice, parameter) for choice in classes] == ["GCN", "graph.GAT", "mine.GAT"]
    assert value_name("models.Other", parameter) == "models.Other"  # of the base config


def test_texts_with_dots_are_not_shortened() -> None:
    parameter = Parameter(key="data.path", kind="categorical", choices=("train.csv", "cora.v1"))
    assert [value_name(choice, parameter) for choice in parameter.choices] == ["train.csv", "cora.v1"]
    assert [value_name(value) for value in ("a.b", 1.5, None, 0.00012345)] == ["a.b", "1.5", "None", "0.0001234"]
