"""Entity metrics count as seqeval does, and do not depend on batches or processes."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from features.text.tag_set import TagSet
from models.text.entity_f1 import IGNORED, EntityF1, EntityMetric, EntityPrecision, EntityRecall, entity_metrics

seqeval_metrics = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed (extra dev)")
seqeval_scheme = pytest.importorskip("seqeval.scheme", reason="seqeval is what metrics are compared with")

TAGS_OF = {
    "IOB2": ["O", *(f"{prefix}-{label}" for label in ("A", "B") for prefix in "BI")],
    "IOBES": ["O", *(f"{prefix}-{label}" for label in ("A", "B") for prefix in "BIES")],
}
METRICS: dict[type[EntityMetric], str] = {
    EntityF1: "f1_score",
    EntityPrecision: "precision_score",
    EntityRecall: "recall_score",
}
Sequences = list[list[str]]

# The documented examples of seqeval: README and docstrings of its metrics.
EXAMPLES = [
    (
        [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
        [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
        0.5,
    ),
    ([["B-NP", "I-NP", "O"]], [["I-NP", "I-NP", "O"]], 1.0),
    ([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "O", "B-LOC"]], 1.0),
    ([["O", "O", "O", "B-MISC", "I-MISC", "B-MISC", "I-MISC", "O"]], [["O"] * 8], 0.0),
]


def indices(sequences: Sequences, tags: list[str], *, fill: int) -> Tensor:
    width = max(map(len, sequences))
    return torch.tensor([[*map(tags.index, one), *[fill] * (width - len(one))] for one in sequences])


def value(
    metric_class: type[EntityMetric], true: Sequences, predicted: Sequences, tags: list[str], strict: bool = False
) -> float:
    metric = metric_class(tags=tags, strict=strict)
    metric.update(indices(predicted, tags, fill=0), indices(true, tags, fill=IGNORED))
    return float(metric.compute())


@pytest.mark.parametrize(("true", "predicted", "f1"), EXAMPLES)
def test_documented_examples_of_seqeval(true: Sequences, predicted: Sequences, f1: float) -> None:
    tags = sorted({tag for one in (*true, *predicted) for tag in one} | {"O"})
    assert value(EntityF1, true, predicted, tags) == f1 == pytest.approx(seqeval_metrics.f1_score(true, predicted))


@st.composite
def tagged_texts(draw: st.DrawFn, tags: list[str]) -> tuple[Sequences, Sequences]:
    true = draw(st.lists(st.lists(st.sampled_from(tags), min_size=1, max_size=9), min_size=1, max_size=4))
    predicted = [[draw(st.sampled_from([tag, tag, *tags])) for tag in one] for one in true]
    return true, predicted


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_random_tags_count_as_in_seqeval(scheme: str, data: st.DataObject) -> None:
    tags = TAGS_OF[scheme]
    true, predicted = data.draw(tagged_texts(tags))
    strict = {"mode": "strict", "scheme": getattr(seqeval_scheme, scheme)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of precision without a prediction
        for metric_class, name in METRICS.items():
            expected = getattr(seqeval_metrics, name)
            assert value(metric_class, true, predicted, tags) == pytest.approx(expected(true, predicted))
            ours = value(metric_class, true, predicted, tags, strict=True)
            assert ours == pytest.approx(expected(true, predicted, **strict))


def test_values_by_label_are_those_of_seqeval_and_batches_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    names = ["PER", "LOC"]
    tags = ["O", *(f"{prefix}-{name}" for name in names for prefix in "BI")]
    true, predicted = torch.randint(len(tags), (2, 40, 12), generator=generator)
    report = seqeval_metrics.classification_report(
        [[tags[tag] for tag in one] for one in true.tolist()],
        [[tags[tag] for tag in one] for one in predicted.tolist()],
        output_dict=True,
    )
    for name in names:
        parts = [EntityF1(tags=tags, label=name) for _ in range(2)]
        parts[0].update(predicted[:3], true[:3])
        parts[1].update(predicted[3:], true[3:])
        parts[0].counts += parts[1].counts  # as processes are summed
        assert float(parts[0].compute()) == pytest.approx(report[name]["f1-score"])


def test_words_to_ignore_are_no_part_of_the_sequence() -> None:
    tags = ["O", "B-A", "I-A"]
    metric = EntityF1(tags=tags)
    metric.update(torch.tensor([[1, 0, 2, 0]]), torch.tensor([[1, IGNORED, 2, IGNORED]]))
    assert float(metric.compute()) == 1.0


def test_a_tag_without_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="tags: 'person' given, O, or B-, I-, E- or S- before a label is needed"):
        EntityF1(tags=["O", "person"])


def test_entities_of_a_label_without_tags_are_never_found() -> None:
    tag_set = TagSet(["A"])
    recall = entity_metrics(tag_set)["recall"]
    recall.update(torch.tensor([[1, 0]]), torch.tensor([[1, len(tag_set)]]))
    assert float(recall.compute()) == 0.5


def test_the_base_class_says_which_metrics_there_are() -> None:
    with pytest.raises(NotImplementedError, match=r"EntityMetric counts entities .* use EntityF1, EntityPrecision or"):
        EntityMetric(tags=["O", "B-a", "I-a"]).compute()
