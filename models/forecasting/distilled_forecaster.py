"""DistilledForecaster: trains a small forecaster with a large one as teacher."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from models.base import Batch, OptimizerFactory, SchedulerFactory
from models.forecasting.forecaster import Forecaster


class DistilledForecaster(Forecaster):
    """Knowledge distillation (Hinton et al., 2015): trains on the targets and on a trained forecaster's forecasts.

    The loss is (1 - w) times the loss to the future plus w times the mean absolute difference to the teacher's
    forecast, an estimate of the expectation where the future is mostly noise. Only training needs the teacher:
    checkpoints contain the student alone, and are validated, tested and exported like any `Forecaster`.

    Args:
        network: The student; see `Forecaster`.
        loss: (forecast, future) -> mean loss.
        teacher: A run folder (its best checkpoint) or a checkpoint of a forecaster on the same data.
        teacher_weight: Weight w of the teacher, 0 to 1.
        num_channels: Target channels C.
        look_back: Input rows, L; at least the teacher's.
        horizon: Forecast rows, H; equal to the teacher's.
        num_past_covariates: Columns known up to the origin, P.
        num_future_covariates: Columns known over the horizon, K.
        num_static_covariates: Attributes of a channel, S.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        loss: nn.Module,
        teacher: str | Path,
        teacher_weight: float = 0.5,
        num_channels: int,
        look_back: int,
        horizon: int,
        num_past_covariates: int = 0,
        num_future_covariates: int = 0,
        num_static_covariates: int = 0,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        if not 0 <= teacher_weight <= 1:
            raise ValueError(f"model.teacher_weight: {teacher_weight} given, a number from 0 to 1 is needed")
        super().__init__(
            network=network,
            loss=loss,
            num_channels=num_channels,
            look_back=look_back,
            horizon=horizon,
            num_past_covariates=num_past_covariates,
            num_future_covariates=num_future_covariates,
            num_static_covariates=num_static_covariates,
            optimizer=optimizer,
            scheduler=scheduler,
        )
        self.teacher = teacher
        self.teacher_weight = teacher_weight
        self._loaded: tuple[Forecaster, ...] = ()  # a tuple, so that the teacher is not registered as a submodule

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and not self._loaded:
            self._loaded = (self._load_teacher(),)

    def _load_teacher(self) -> Forecaster:
        path = Path(self.teacher)
        file = path / "checkpoints" / "best.ckpt" if path.is_dir() else path
        if not file.is_file():
            raise FileNotFoundError(
                f"model.teacher: {self.teacher} is neither a checkpoint nor a run folder with a best one"
            )
        teacher = Forecaster.load_from_checkpoint(file, map_location="cpu", weights_only=True)
        sizes = (teacher.num_channels, teacher.horizon)
        if sizes != (self.num_channels, self.horizon) or teacher.look_back > self.look_back:
            raise ValueError(
                f"model.teacher: {file} maps {teacher.look_back} rows of {teacher.num_channels} channels to "
                f"{teacher.horizon}, the student {self.look_back} rows of {self.num_channels} to {self.horizon}; the "
                "teacher may see fewer rows, all else must be the same"
            )
        columns = {name: len(scale.mean) for name, scale in teacher.covariate_scales.items()}  # type: ignore[arg-type]
        student_columns = {name: len(scale.mean) for name, scale in self.covariate_scales.items()}  # type: ignore[arg-type]
        if any(student_columns.get(name) != count for name, count in columns.items()) or (
            teacher.num_static_covariates not in (0, self.num_static_covariates)
        ):
            raise ValueError(
                f"model.teacher: {file} takes covariates ({', '.join(columns) or 'static'}) that the student lacks; "
                "add them to the data section and choose a network that takes them, or choose a teacher without"
            )
        levels, teacher_levels = self.quantiles, teacher.quantiles
        if levels and levels != teacher_levels:
            raise ValueError(
                f"model.teacher: {file} forecasts {teacher_levels or 'no quantiles'}, the student {levels}"
            )
        return teacher.eval().requires_grad_(False)

    @override
    def training_loss(self, inputs: Batch, future: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        loss, forecast = super().training_loss(inputs, future, mask)
        if not self.training:
            return loss, forecast
        apart = F.l1_loss(forecast, self._teacher_forecast(inputs, like=forecast))
        return (1 - self.teacher_weight) * loss + self.teacher_weight * apart, forecast

    @torch.no_grad()
    def _teacher_forecast(self, inputs: Batch, *, like: Tensor) -> Tensor:
        """The teacher's forecast in the student's standardised units, in the shape of `like`."""
        teacher = self._loaded[0].to(like.device)
        raw = {"past": self.target_scale.invert(inputs["past"])}
        for name in teacher._network_inputs:
            if name in self.covariate_scales:
                raw[name] = self.covariate_scales[name].invert(inputs[name])  # type: ignore[operator]
            elif name in inputs:
                raw[name] = inputs[name]
        forecast: Tensor = teacher(**raw)
        return self.to_standard_units(teacher.point_forecast(forecast) if like.ndim == 3 else forecast)
