"""QuantileNormal: ranks of the training rows as normal scores."""

import pytest
import torch

from datamodules.tabular.statistics import number_quantiles
from models.tabular.number_scaling import QuantileNormal


def test_training_rows_become_normal_and_numbers_beyond_them_keep_the_score_of_the_ends() -> None:
    numbers = torch.rand(2000, 1, generator=torch.Generator().manual_seed(0)).exp() ** 5
    scale = QuantileNormal(num_columns=1)
    scale.set_quantiles(number_quantiles(numbers))
    scores = scale(numbers)
    assert float(scores.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(scores.std()) == pytest.approx(1.0, abs=0.02)
    far = scale(torch.tensor([[-1e30], [float(numbers.min())], [float(numbers.max())], [1e30]]))[:, 0].tolist()
    assert far == pytest.approx([-3.2, -3.2, 3.2, 3.2], abs=0.02)
    ordered = numbers.sort(dim=0).values
    assert (scale(ordered).diff(dim=0) >= 0).all()


def test_scores_are_those_of_scikit_learn() -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="needs scikit-learn")
    numbers = torch.randn(3000, 2, generator=torch.Generator().manual_seed(1)).exp()
    scale = QuantileNormal(num_columns=2)
    scale.set_quantiles(number_quantiles(numbers))
    theirs = preprocessing.QuantileTransformer(output_distribution="normal", n_quantiles=721, subsample=None)
    expected = torch.from_numpy(theirs.fit_transform(numbers.double().numpy()))
    inner = expected.abs() < 2.5
    assert float((scale(numbers) - expected)[inner].abs().max()) < 0.01


def test_a_value_that_many_rows_share_has_the_score_of_the_middle_of_their_ranks() -> None:
    numbers = torch.cat([torch.zeros(50), torch.arange(1.0, 51)]).unsqueeze(1)
    constant = torch.full_like(numbers, 7.0)
    scale = QuantileNormal(num_columns=2)
    scale.set_quantiles(number_quantiles(torch.cat([numbers, constant], dim=1)))
    zero = scale(torch.tensor([[0.0, 7.0]]))[0]
    assert float(zero[0]) == pytest.approx(-0.68, abs=0.02)  # the quartile of a normal distribution
    assert float(zero[1]) == pytest.approx(0.0, abs=1e-6)
