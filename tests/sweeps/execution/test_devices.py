import pytest

from lightning_app.errors import UsageError
from sweeps.execution.devices import make_devices, visible_devices


def test_each_trial_has_gpus_of_its_own_as_long_as_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1,GPU-5,0,7")
    found = [device["CUDA_VISIBLE_DEVICES"] for device in make_devices(3, 2)]
    assert found == ["3,1", "GPU-5,0", "3,1"]
    with pytest.raises(UsageError, match="devices-per-trial: 6 given, there are 5 GPUs"):
        make_devices(1, 6)


@pytest.mark.parametrize(("given", "devices"), [("", []), ("-1", []), ("0,-1,1", ["0"]), ("2", ["2"])])
def test_what_follows_something_that_is_no_device_does_not_count(
    given: str, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_devices() == devices


def test_without_gpus_trials_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("sweeps.execution.devices.num_cores", lambda: 8)
    assert make_devices(3, 1) == [{"OMP_NUM_THREADS": "2"}] * 3
