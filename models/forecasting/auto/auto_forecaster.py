"""AutoForecaster: tries a portfolio of candidates in turn, and forecasts their mean as validation weighs them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch
from models.forecasting.auto.anchored_choice import anchored_choice
from models.forecasting.auto.candidate import Candidate, WindowSizes
from models.forecasting.auto.candidate_record import CandidateRecord
from models.forecasting.forecaster import Forecaster
from models.forecasting.mean_forecaster import MeanForecaster, MemberMean
from models.forecasting.member_choice import MOST_MEMBERS

_RECORDS, _PERIOD = "candidates", "period"


class AutoForecaster(MeanForecaster):
    """Fits candidates one after the other, cheapest first, within the CPU budget of the run (`run.budget`).

    `CandidateFits` fits them; one validation pass over all of them then weighs them, see `anchored_choice`. Members
    live in the checkpoint, so that it needs no other file. Point forecasts only.

    Args:
        candidates: What to try, by name, cheapest first; naive forecasts and closed forms first.
        loss: Logged only.
        num_channels: Target channels C.
        look_back: Input rows, L; candidates may see fewer.
        horizon: Forecast rows, H.
        num_past_covariates: Columns known up to the origin, P.
        num_future_covariates: Columns known over the horizon, K.
        num_static_covariates: Attributes of a channel, S.
        period: Rows of one season, for candidates that need one; None if there is none.
        leave_out: Names of candidates that are not tried.
        anchors: Names of naive candidates that others have to beat clearly.
    """

    run_callbacks = (*Forecaster.run_callbacks, "callbacks.candidate_fits:CandidateFits")
    injected_arguments = ("candidates", "loss")

    def __init__(
        self,
        *,
        candidates: Mapping[str, Candidate],
        loss: nn.Module,
        num_channels: int,
        look_back: int,
        horizon: int,
        num_past_covariates: int = 0,
        num_future_covariates: int = 0,
        num_static_covariates: int = 0,
        period: int | None = None,
        leave_out: Sequence[str] = (),
        anchors: Sequence[str] = ("repeat_last", "seasonal_naive"),
    ) -> None:
        for name in leave_out:
            if name not in candidates:
                raise ValueError(f"model.leave_out: {name!r} given, allowed are {', '.join(candidates)}")
        tried = {name: candidate for name, candidate in candidates.items() if name not in leave_out}
        if not 1 <= len(tried) <= MOST_MEMBERS:
            raise ValueError(f"model.candidates: {len(tried)} to try, 1 to {MOST_MEMBERS} are allowed")
        super().__init__(
            network=MemberMean(members=()),
            loss=loss,
            num_channels=num_channels,
            look_back=look_back,
            horizon=horizon,
            num_past_covariates=num_past_covariates,
            num_future_covariates=num_future_covariates,
            num_static_covariates=num_static_covariates,
        )
        self.candidates = tried
        self.anchors = tuple(anchors)
        self.sizes = WindowSizes(
            num_channels=num_channels,
            look_back=look_back,
            horizon=horizon,
            period=period,
            num_past_covariates=num_past_covariates,
            num_future_covariates=num_future_covariates,
            num_static_covariates=num_static_covariates,
        )
        self.records: dict[str, CandidateRecord] = {}
        """What became of the candidates that were looked at so far, by name."""
        self.back_tests = 0
        """Parts of the training rows on which closed forms were compared with the best naive forecast."""
        self.doubts: tuple[str, ...] = ()
        """Those of them that the naive forecast won, in words."""
        self.reason = ""
        """Why the chosen members were chosen, in words."""

    @property
    def member_names(self) -> list[str]:
        """Names of the members, in their order."""
        return [name for name, record in self.records.items() if record.is_member]

    @property
    @override
    def num_fitted(self) -> int:
        return sum(record.num_fitted for record in self.records.values() if record.chosen)

    @property
    @override
    def input_names(self) -> tuple[str, ...]:
        return self.network.inputs()

    def keep(self, name: str, record: CandidateRecord, member: Forecaster | None = None) -> None:
        """Keeps what became of a candidate.

        Args:
            name: Its name.
            record: What became of it.
            member: Its fitted forecaster, if it is to be a member.
        """
        self.records[name] = record
        if member is not None:
            member.trainer = None
            self.network.add(member.to(self.device).eval().requires_grad_(False))

    @override
    def choose_members(self, products: Tensor, counts: Tensor) -> dict[str, float]:
        names = self.member_names
        choice = anchored_choice(
            products,
            counts=counts,
            names=names,
            anchors=[index for index, name in enumerate(names) if name in self.anchors],
            closed_forms=[index for index, name in enumerate(names) if self.candidates[name].is_closed_form],
            horizon=self.horizon,
            back_tests=self.back_tests,
            doubts=self.doubts,
        )
        self.reason = choice.reason
        self.network.weigh(choice.weights)
        for name, weight, error in zip(names, choice.weights, choice.member_errors, strict=True):
            self.records[name] = replace(self.records[name], val_mse=error, chosen=weight > 0, weight=weight)
        errors = {f"val/{name}/mse": error for name, error in zip(names, choice.member_errors, strict=True)}
        return {
            "val/mse": choice.error,
            "val/num_members": float(sum(weight > 0 for weight in choice.weights)),
            **errors,
        }

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[_RECORDS] = {name: asdict(record) for name, record in self.records.items()}
        checkpoint[_PERIOD] = self.sizes.period

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes the members that the checkpoint has weights of."""
        self.sizes = replace(self.sizes, period=checkpoint[_PERIOD])
        self.records = {name: CandidateRecord(**record) for name, record in checkpoint[_RECORDS].items()}
        unknown = [name for name in self.member_names if name not in self.candidates]
        if unknown:
            raise ValueError(
                f"model.candidates: the checkpoint has a member {unknown[0]!r}, the config has "
                f"{list(self.candidates)}; take the config of its run"
            )
        made = [self.candidates[name].make(self.sizes) for name in self.member_names]
        self.network = MemberMean(members=made).to(self.device).requires_grad_(False)

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        example = super().example_inputs()
        return {name: value for name, value in example.items() if name in self.input_names}

    @torch.no_grad()
    def member_forecasts(self, batch: Batch) -> dict[str, Tensor]:
        """Forecasts (B, H, C) of all members in raw units, by name."""
        return dict(zip(self.member_names, self.network.forecasts(batch), strict=True))
