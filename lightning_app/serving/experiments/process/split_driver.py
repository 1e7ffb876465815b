"""SplitDriver: fixed shares; a ramp moves only the keys that have to move."""

from collections.abc import Mapping

from typing_extensions import override

from lightning_app.serving.experiments.process.evidence import Evidence
from lightning_app.serving.experiments.process.experiment_driver import ExperimentDriver
from lightning_app.serving.experiments.process.experiment_state import ExperimentState


class SplitDriver(ExperimentDriver):
    """Shares are those of the configuration; rewards are summed for the page."""

    @override
    def first(self, state: ExperimentState) -> None:
        pass

    @override
    def learn(self, state: ExperimentState, evidence: Evidence, now: float) -> None:
        pass

    @override
    def shares(self, state: ExperimentState) -> Mapping[str, float]:
        return state.settings.shares
