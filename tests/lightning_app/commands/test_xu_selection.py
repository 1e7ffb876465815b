import statistics
from pathlib import Path

import pytest

from lightning_app.commands.xu_selection import best_mean_epoch, is_xu_protocol


def history(path: Path, accuracies: dict[int, float]) -> Path:
    """A `metrics.csv` with a training row between the validations."""
    lines = ["step,epoch,train/loss,val/accuracy"]
    for epoch, accuracy in accuracies.items():
        lines += [f"{10 * epoch + 4},{epoch},0.5,", f"{10 * epoch + 9},{epoch},,{accuracy}"]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_epoch_is_that_of_the_best_mean_not_of_each_fold(tmp_path: Path) -> None:
    curves = [{0: 0.5, 1: 0.9, 2: 0.8}, {0: 0.5, 1: 0.2, 2: 0.7}, {0: 0.95, 1: 0.5, 2: 0.6}]
    found = best_mean_epoch([history(tmp_path / f"{fold}.csv", curve) for fold, curve in enumerate(curves)])
    assert found.epoch == 2
    assert found.mean == pytest.approx(0.7)
    assert found.deviation == pytest.approx(statistics.stdev([0.8, 0.7, 0.6]))
    assert found.mean < statistics.fmean(max(curve.values()) for curve in curves)


def test_of_equal_means_the_first_epoch_counts(tmp_path: Path) -> None:
    curves = [{0: 0.25, 3: 0.75, 6: 0.5}, {0: 0.25, 3: 0.25, 6: 0.5}]
    found = best_mean_epoch([history(tmp_path / f"{fold}.csv", curve) for fold, curve in enumerate(curves)])
    assert (found.epoch, found.mean) == (3, 0.5)


@pytest.mark.parametrize("other", [{0: 0.5}, {0: 0.5, 2: 0.5}, {}])
def test_folds_that_stopped_at_different_epochs_are_refused(tmp_path: Path, other: dict[int, float]) -> None:
    histories = [history(tmp_path / "a.csv", {0: 0.5, 1: 0.6}), history(tmp_path / "b.csv", other)]
    with pytest.raises(ValueError, match=r"b\.csv: val/accuracy was logged in .* without early stopping"):
        best_mean_epoch(histories)


def test_a_history_without_the_metric_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="val/mae was logged in 0 epochs"):
        best_mean_epoch([history(tmp_path / "a.csv", {0: 0.5})] * 2, metric="val/mae")


def test_the_protocol_is_known_by_its_name() -> None:
    assert [is_xu_protocol(name) for name in ("xu_10_folds", "xu_5_folds", "errica_folds", "my_xu_10_folds", None)] == [
        True, True, False, False, False,
    ]  # fmt: skip
