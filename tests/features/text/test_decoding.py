"""Decoding of tags: the best sequence that IOB2 allows; entities and scores of tags; shapes of words."""

from itertools import product

import numpy as np
import pytest

from features.text.decoding import decode
from features.text.found_entities import found_entities, label_scores
from features.text.tag_set import TagSet, entity_spans, parse_tag
from features.text.word_shapes import SHAPES, word_shape

TAG_SET = TagSet(["a", "b"])


def allowed(tags: tuple[int, ...]) -> bool:
    return all(
        tag == 0 or tag % 2 == 1 or before in (tag - 1, tag) for before, tag in zip((0, *tags), tags, strict=False)
    )


def test_the_best_allowed_sequence_of_each_text() -> None:
    rng = np.random.default_rng(0)
    texts = [np.log(rng.dirichlet(np.ones(5), size=size)).astype(np.float32) for size in (1, 4, 0, 3, 5)]
    for scores, tags in zip(texts, decode(texts, TAG_SET), strict=True):
        sequences = [one for one in product(range(5), repeat=len(scores)) if allowed(one)]
        totals = [sum(scores[word, tag] for word, tag in enumerate(one)) for one in sequences]
        assert tuple(tags.tolist()) == sequences[int(np.argmax(totals))]


def test_a_penalty_of_outside_finds_more_entities() -> None:
    text = np.log(np.array([[0.6, 0.4, 0, 0, 0], [0.9, 0.1, 0, 0, 0]], np.float32) + 1e-9)
    for penalty, tags in ((0.0, [0, 0]), (1.0, [1, 0]), (3.0, [1, 1])):
        (found,) = decode([text], TAG_SET, outside_penalty=penalty)
        assert found.tolist() == tags


def test_entities_have_the_mean_probability_of_their_label() -> None:
    text = "Ann Lee sang"
    offsets = np.array([[0, 3], [4, 7], [8, 12]])
    tags = np.array([1, 2, 0])
    probabilities = np.array([[0.1, 0.6, 0.2, 0.1, 0.0], [0.2, 0.3, 0.4, 0.1, 0.0], [0.9, 0.1, 0, 0, 0]], np.float32)
    scores = label_scores(probabilities, tags)
    np.testing.assert_allclose(scores, [0.8, 0.7, 0.9], atol=1e-6)
    assert found_entities(text, offsets, tags, scores, TAG_SET) == [
        {"start": 0, "end": 7, "text": "Ann Lee", "label": "a", "score": 0.75}
    ]


def test_tags_of_every_scheme_are_read_as_entities() -> None:
    for written in ("I-a I-a O B-b", "B-a E-a O S-b", "B-a I-a O I-b"):
        spans = list(entity_spans([parse_tag(tag) for tag in written.split()]))
        assert spans == [(0, 2, "a"), (3, 4, "b")]


@pytest.mark.parametrize("labels", [[], ["a", "a"], [""]])
def test_labels_need_names_of_their_own(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="one or more different names of entities are needed"):
        TagSet(labels)


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("paris", "lower"), ("Paris", "Capitalised"), ("NATO", "UPPER"), ("iPhone", "mixEd"), ("2017", "digits"),
        ("4th", "digits and letters"), ("#", "marks"), ("😀", "marks"), ("A", "single upper"), ("東京", "lower"),
        ("Éa", "Capitalised"),
    ],
)  # fmt: skip
def test_shapes_of_words(word: str, shape: str) -> None:
    assert SHAPES[word_shape(word)] == shape
