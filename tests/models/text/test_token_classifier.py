"""TokenClassifier: losses, decoding and shapes of words."""

import pytest
import torch

from models import FocalLoss
from models.text import PretrainedEncoder, TokenClassifier
from models.text.entity_f1 import EntityRecall
from tests.tiny_encoder import tiny_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> PretrainedEncoder:
    return PretrainedEncoder(pretrained=str(tiny_encoder(tmp_path_factory.mktemp("encoder"))))


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Two texts; the second has one word, and an entity that no word has."""
    return {
        "row": torch.arange(2),
        "token_ids": torch.tensor([[2, 10, 11, 12, 3], [2, 13, 3, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        "word_shapes": torch.tensor([[0, 1, 2, 2, 0], [0, 3, 0, 0, 0]]),
        "words": torch.tensor([[1, 3, -1], [6, -1, -1]]),
        "target": torch.tensor([[0, 1, -100], [3, 1, -100]]),
    }


def test_only_words_count_in_the_loss_and_missed_entities_in_the_metrics(
    encoder: PretrainedEncoder, batch: dict[str, torch.Tensor]
) -> None:
    model = TokenClassifier(encoder=encoder, labels=["a", "b"]).eval()
    output = model.step(batch)
    logits = model.network(batch["token_ids"], batch["attention_mask"], batch["word_shapes"])
    words = torch.stack([logits[0, 1], logits[0, 3], logits[1, 1]])
    assert output.weight == 3
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(words, torch.tensor([0, 1, 3])))
    metrics = model.configure_metrics()
    metrics.update(output.predictions, output.targets)
    recall = metrics["recall"]
    assert isinstance(recall, EntityRecall)
    assert int(recall.counts[:, 2].sum()) == 3
    torch.testing.assert_close(
        model.evaluate(model(**{k: batch[k] for k in model.example_inputs()}), batch).loss, output.loss
    )


def test_a_batch_of_texts_without_words_has_no_loss_but_misses_entities(
    encoder: PretrainedEncoder, batch: dict[str, torch.Tensor]
) -> None:
    model = TokenClassifier(encoder=encoder, labels=["a"]).eval()
    batch = {**batch, "words": torch.full((2, 3), -1), "target": torch.tensor([[1, -100, -100], [-100, -100, -100]])}
    output = model.step(batch)
    assert (float(output.loss.detach()), output.weight) == (0.0, 1)


def test_the_penalty_of_outside_is_chosen_by_the_entities_of_validation(
    encoder: PretrainedEncoder, batch: dict[str, torch.Tensor]
) -> None:
    decoder = TokenClassifier(encoder=encoder, labels=["a"], outside_penalty="validation").decoder
    words, targets = torch.tensor([[0, 1, 2]]), torch.tensor([[1, 0, 0]])
    log_probabilities = torch.tensor([[[0.7, 0.3, 1e-9], [0.9, 0.1, 1e-9], [0.99, 0.01, 1e-9]]]).log()
    assert decoder(log_probabilities, words).tolist() == [[0, 0, 0]]
    for _ in range(2):  # a choice forgets the rows of the one before
        decoder.update(log_probabilities, words, targets)
        counts = decoder.choose()
        assert (float(decoder.penalty), counts.tolist()) == (1.0, [[1, 1, 1], [0, 0, 0]])
    assert decoder(log_probabilities, words).tolist() == [[1, 0, 0]]
    other = TokenClassifier(encoder=encoder, labels=["a"], outside_penalty="validation").decoder
    other.load_state_dict(decoder.state_dict())
    assert float(other.penalty) == 1.0
    given = TokenClassifier(encoder=encoder, labels=["a"], outside_penalty=0.25).decoder
    given.load_state_dict(decoder.state_dict())
    given.load_state_dict({})  # of a checkpoint from before the penalty
    assert float(given.penalty) == 0.25
    with pytest.raises(ValueError, match=r"model.outside_penalty: nan given, a finite number or validation is needed"):
        TokenClassifier(encoder=encoder, labels=["a"], outside_penalty=float("nan"))


def test_shapes_start_as_the_pretrained_encoder_and_learn(
    encoder: PretrainedEncoder, batch: dict[str, torch.Tensor]
) -> None:
    model = TokenClassifier(encoder=encoder, labels=["a"], dropout=0.0).eval()
    inputs = {name: batch[name] for name in ("token_ids", "attention_mask")}
    torch.testing.assert_close(model(**inputs, word_shapes=batch["word_shapes"]), model(**inputs))
    model.step({**batch, "target": batch["target"].clamp_max(1)}).loss.backward()
    assert model.network.shapes is not None
    gradient = model.network.shapes.weight.grad
    assert gradient is not None
    assert (gradient[[1, 2, 3]].abs().sum(dim=1) > 0).all()


def test_tags_are_weighted_by_the_loss(encoder: PretrainedEncoder, batch: dict[str, torch.Tensor]) -> None:
    weights = [0.1, 1.0, 1.0, 2.0, 2.0]
    model = TokenClassifier(encoder=encoder, labels=["a", "b"], loss=FocalLoss(gamma=0.0, class_weights=weights)).eval()
    logits = model.network(batch["token_ids"], batch["attention_mask"], batch["word_shapes"])
    words = torch.stack([logits[0, 1], logits[0, 3], logits[1, 1]])
    expected = torch.nn.functional.cross_entropy(words, torch.tensor([0, 1, 3]), weight=torch.tensor(weights))
    torch.testing.assert_close(model.step(batch).loss, expected)
    with pytest.raises(
        ValueError, match=r"model.loss.class_weights: 2 given, one for each of the 5 tags needed: O, B-a"
    ):
        TokenClassifier(encoder=encoder, labels=["a", "b"], loss=FocalLoss(class_weights=[1.0, 2.0]))


def test_the_head_learns_at_a_rate_of_its_own(encoder: PretrainedEncoder) -> None:
    model = TokenClassifier(
        encoder=encoder, labels=["a"], head_lr_scale=10.0, optimizer=lambda p: torch.optim.SGD(p, 0.01)
    )
    rates = {group["lr"] for group in model.configure_optimizers().param_groups}  # type: ignore[union-attr]
    assert rates == {0.01, 0.1}
