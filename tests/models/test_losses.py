import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from models import FocalLoss, InfoNCE, PinballLoss


def test_pinball_at_the_median_is_half_the_absolute_error() -> None:
    prediction, target = torch.randn(50, 1), torch.randn(50)
    loss = PinballLoss(quantiles=[0.5])(prediction, target)
    torch.testing.assert_close(loss, F.l1_loss(prediction[:, 0], target) / 2)


@settings(max_examples=10, deadline=None)
@given(level=st.sampled_from([0.1, 0.25, 0.5, 0.8]))
def test_pinball_is_lowest_at_the_quantile(level: float) -> None:
    sample = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    candidates = torch.linspace(-2, 2, 81)
    loss = PinballLoss(quantiles=[level])
    losses = torch.stack([loss(candidate.expand(2000, 1), sample) for candidate in candidates])
    assert abs(candidates[losses.argmin()] - sample.quantile(level)) < 0.06


@pytest.mark.parametrize("quantiles", [[], [0.5, 0.1], [0.0, 0.5], [0.5, 0.5]])
def test_pinball_refuses_levels_that_do_not_ascend_within_0_and_1(quantiles: list[float]) -> None:
    with pytest.raises(ValueError, match="quantiles"):
        PinballLoss(quantiles=quantiles)


def test_focal_loss_with_gamma_0_is_cross_entropy() -> None:
    logits, target = torch.randn(40, 5, dtype=torch.float64), torch.randint(5, (40,))
    weights = [0.5, 1.0, 2.0, 1.0, 3.0]
    torch.testing.assert_close(FocalLoss(gamma=0)(logits, target), F.cross_entropy(logits.float(), target))
    torch.testing.assert_close(
        FocalLoss(gamma=0, class_weights=weights)(logits, target),
        F.cross_entropy(logits.float(), target, weight=torch.tensor(weights)),
    )


def test_focal_loss_ignores_an_index_like_cross_entropy() -> None:
    logits, target = torch.randn(6, 3, 4), torch.randint(3, (6, 4))
    target[0] = -100
    torch.testing.assert_close(FocalLoss(gamma=0)(logits, target), F.cross_entropy(logits, target))


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_binary_focal_loss_with_gamma_0_is_binary_cross_entropy(task: str) -> None:
    logits, target = torch.randn(20, 3), torch.randint(2, (20, 3)).float()
    loss = FocalLoss(task=task, gamma=0)
    torch.testing.assert_close(loss(logits, target), F.binary_cross_entropy_with_logits(logits, target))


def test_focal_loss_follows_its_formula() -> None:
    logits, target = torch.randn(30, 4), torch.randint(4, (30,))
    p = logits.softmax(1)[torch.arange(30), target]
    torch.testing.assert_close(FocalLoss(gamma=2.0)(logits, target), ((1 - p) ** 2 * -p.log()).mean())


def test_focal_alpha_weighs_positives_and_negatives() -> None:
    logits, target = torch.zeros(2, 1), torch.tensor([[1.0], [0.0]])
    loss = FocalLoss(task="binary", gamma=0, class_weights=[0.25])(logits, target)
    torch.testing.assert_close(loss, torch.tensor(2.0).log() * (0.25 + 0.75) / 2)


@pytest.mark.parametrize("task", ["multiclass", "binary"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_and_its_gradient_are_finite_in_bfloat16(task: str, scale: float, gamma: float) -> None:
    logits = (torch.tensor([[1.0, -1.0], [-1.0, 1.0]]) * scale).bfloat16().requires_grad_()
    target = torch.tensor([0, 0]) if task == "multiclass" else torch.tensor([[1, 0], [1, 0]])
    loss = FocalLoss(task=task, gamma=gamma)(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_info_nce_is_the_cross_entropy_of_the_pairs_own_similarity() -> None:
    anchors, positives, negatives = (F.normalize(torch.randn(5, 8), dim=1) for _ in range(3))
    expected = torch.zeros(())
    for i in range(5):
        own = (anchors[i] @ positives[i] / 0.1).exp()
        others = sum((anchors[i] @ vector / 0.1).exp() for vector in [*positives, *negatives])
        expected = expected - (own / others).log() / 5
    torch.testing.assert_close(InfoNCE(temperature=0.1)(anchors, positives, negatives), expected)
    there, back = InfoNCE()(anchors, positives), InfoNCE()(positives, anchors)
    torch.testing.assert_close(InfoNCE(symmetric=True)(anchors, positives), (there + back) / 2)


def test_info_nce_leaves_masked_pairs_out() -> None:
    anchors, positives = torch.randn(4, 8), torch.randn(4, 8)
    positives[1] = positives[0]  # the same text: no negative of the other
    masked = torch.zeros(4, 4, dtype=torch.bool)
    masked[0, 1] = masked[1, 0] = True
    logits = anchors @ positives.T
    logits[0, 1] = logits[1, 0] = -torch.inf
    torch.testing.assert_close(
        InfoNCE(temperature=1)(anchors, positives, masked=masked | torch.eye(4, dtype=torch.bool)),
        F.cross_entropy(logits, torch.arange(4)),
    )
    with pytest.raises(ValueError, match="temperature: 0 given"):
        InfoNCE(temperature=0)
