"""CandidateFits: fits the candidates of an AutoForecaster in turn, within the CPU budget of the run."""

import os
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from callbacks.back_tests import back_tests
from callbacks.best_weights import BestWeights
from callbacks.candidate_report import describe, write_candidates
from callbacks.checkpoints import LastCheckpoint
from callbacks.cpu_budget import CpuBudget
from callbacks.exact_resume import ExactResume
from datamodules import ForecastingDataModule
from models.forecasting.auto import AutoForecaster, Candidate, CandidateDoesNotFitError, CandidateRecord
from models.forecasting.forecaster import Forecaster

_MOST_VALUES = 2048
"""Windows times channels per step; a batch of many channels has fewer windows."""
_FEWEST_STEPS = 20
"""Steps below which a network is not worth a start."""
_MOST_VALIDATIONS = 20
_ALLOWANCE = 0.15
"""Share by which a fit may exceed what was planned for it before it is stopped."""
_RESERVE = 0.1
"""Share of the budget that is kept for the choice, a validation of all members, and for plans that were too short."""
_CLOSED_FORM_SECONDS = 10.0
"""Least CPU seconds of a fit in closed form, whatever is left of the budget."""
_OVERHEAD = 1.25, 0.002
"""Factor and seconds by which a step of a trainer takes longer than forward and backward pass."""


@dataclass(frozen=True)
class FitPlan:
    """How much of a candidate's training fits into its share of the budget.

    Attributes:
        epochs: Epochs.
        batches: Batches per epoch.
        every: Epochs between validations.
        wanted: Epochs without a budget.
    """

    epochs: int
    batches: int
    every: int
    wanted: float


class CandidateFits(Callback):
    """Fits candidates, cheapest first as they are listed, before the only epoch of the outer fit.

    A candidate is an inner fit over the same data with its own look-back, seeded by the run's seed and its name. What
    is left of the budget is divided evenly among the networks that are still to come. A few steps are timed first: a
    network gets as many epochs as fit into its share, with a schedule of the learning rate that ends there. Naive
    forecasts and closed forms are always fitted. After each candidate the last checkpoint is saved: a killed fit goes
    on with the next one.
    """

    def __init__(self) -> None:
        self._limit: int | float = 1.0

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit" or not isinstance(pl_module, AutoForecaster):
            return
        _check(trainer)
        # What is limited are the batches of the candidates; the outer fit itself trains nothing.
        self._limit = 1.0 if trainer.limit_train_batches is None else trainer.limit_train_batches
        trainer.limit_train_batches = 1
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, ForecastingDataModule):  # a table may have fewer windows than its only batch
            data.batch_size = min(data.batch_size, len(data.dataset("train")))

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, AutoForecaster):
            return
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, ForecastingDataModule):
            raise ValueError(f"data: {type(data).__name__} given, AutoForecaster needs a ForecastingDataModule")
        if pl_module.sizes.period is None:
            pl_module.sizes = replace(pl_module.sizes, period=getattr(data, "period", None))
        budget = _budget(trainer)
        tested = False
        for name, candidate in pl_module.candidates.items():
            if not candidate.is_closed_form and not tested:
                self._back_test(trainer, pl_module, data)
                tested = True
            known = pl_module.records.get(name)
            if known is not None and known.outcome != "skipped":
                print(f"auto: {name:<16} kept from the run that this one continues", flush=True)  # noqa: T201
                continue
            share = _share(pl_module, name, budget)
            record, member = self._fit(trainer, pl_module, data, name, candidate, share)
            pl_module.keep(name, record, member)
            print(f"auto: {name:<16} {describe(record)}", flush=True)  # noqa: T201
            if record.is_member:
                for part in trainer.callbacks:  # type: ignore[attr-defined]
                    if isinstance(part, LastCheckpoint):
                        part.save(trainer)
        if not tested:
            self._back_test(trainer, pl_module, data)
        if not pl_module.member_names:
            reasons = "; ".join(f"{name}: {record.remark}" for name, record in pl_module.records.items())
            raise ValueError(f"model.candidates: none fits the data ({reasons})")

    def _back_test(self, trainer: Trainer, module: AutoForecaster, data: ForecastingDataModule) -> None:
        """Tells the module in which parts of the training rows a choice on validation did not pay."""

        def fit(name: str, candidate: Candidate, own: ForecastingDataModule) -> tuple[Forecaster, float] | None:
            try:
                own.batch_size = min(own.batch_size, len(own.dataset("train")))
                learns = name not in module.anchors
                if learns and len(own.dataset("train")) < own.look_back:
                    return None  # fewer windows than rows in each: it would say little of a fit to all rows
                batches = len(own.train_dataloader())
                best, member = BestWeights(monitor=module.monitor), self._make(module, candidate, _seed(name))
                plan = FitPlan(epochs=1, batches=batches, every=1, wanted=batches)
                inner = _inner_trainer(trainer, candidate, plan, [best, ExactResume()])
                own.trainer = inner
                inner.fit(member, train_dataloaders=own.train_dataloader(), val_dataloaders=own.val_dataloader())
            except ValueError:  # too few rows for a window of its look-back
                return None
            if best.score is None:
                return None
            member.load_state_dict(best.state)
            return member.to(module.device), best.score

        started = time.process_time()
        found = back_tests(module, data, fit)
        module.back_tests = len(found)
        module.doubts = tuple(test.describe() for test in found if test.lost)
        lost = (
            f"{sum(test.lost for test in found)} of {len(found)} lost to a naive forecast" if found else "too few rows"
        )
        print(f"auto: {'back-tests':<16} {lost}, {time.process_time() - started:.1f} CPU s", flush=True)  # noqa: T201

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, AutoForecaster) or trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        budget = _budget(trainer)
        seconds, used = (None, None) if budget is None else (budget.seconds, budget.used)
        print(f"auto: {pl_module.reason}", flush=True)  # noqa: T201
        write_candidates(pl_module, Path(trainer.default_root_dir), budget=seconds, used=used)

    def _fit(
        self,
        trainer: Trainer,
        module: AutoForecaster,
        data: ForecastingDataModule,
        name: str,
        candidate: Candidate,
        share: float,
    ) -> tuple[CandidateRecord, Forecaster | None]:
        started = time.process_time()
        if not candidate.is_closed_form and share <= 0:
            return CandidateRecord("skipped", remark="no budget is left"), None
        seed = _seed(name)
        look_back = candidate.look_back_of(module.sizes)
        windows = max(1, min(candidate.batch_size, max(8, _MOST_VALUES // module.num_channels)))
        own = data.with_look_back(look_back, batch_size=windows)
        try:
            windows = min(windows, len(own.dataset("train")))
            own.batch_size = windows
            member = self._make(module, candidate, seed)
        except (CandidateDoesNotFitError, ValueError) as error:
            return CandidateRecord("left out", look_back=look_back, remark=str(error)), None
        plan = self._plan(module, own, candidate, share, seed)
        if plan is None:
            spent = time.process_time() - started
            return CandidateRecord("skipped", spent, look_back, remark=f"{share:.0f} CPU seconds are too few"), None
        best, stop = BestWeights(monitor=module.monitor), CpuBudget(seconds=share, allowance=_ALLOWANCE, says=False)
        inner = _inner_trainer(trainer, candidate, plan, [best, ExactResume(), *candidate.callbacks, stop])
        own.trainer = inner
        try:
            inner.fit(member, train_dataloaders=own.train_dataloader(), val_dataloaders=own.val_dataloader())
        except ValueError as error:  # e.g. a closed form without a window whose horizon is wholly observed
            spent = time.process_time() - started
            return CandidateRecord("left out", spent, look_back, remark=str(error)), None
        record = CandidateRecord(
            "cut short" if stop.stopped else "finished" if plan.epochs * plan.batches >= plan.wanted else "shortened",
            cpu_seconds=time.process_time() - started,
            look_back=look_back,
            num_fitted=member.num_fitted,
            epochs=round(inner.fit_loop.epoch_loop.total_batch_idx + 1, 0) / max(1, len(own.train_dataloader())),
            remark=_ignored(module, member),
            val_mse=best.score,
        )
        if best.score is None:
            return replace(record, outcome="diverged", remark="its validation error is not finite"), None
        member.load_state_dict(best.state)
        return record, member

    def _make(self, module: AutoForecaster, candidate: Candidate, seed: int) -> Forecaster:
        """The forecaster with weights that depend on the run's seed and its name alone, and the run's scales."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            member = candidate.make(module.sizes)
        member.target_scale.load_state_dict(module.target_scale.state_dict())
        for name, scale in member.covariate_scales.items():
            scale.load_state_dict(module.covariate_scales[name].state_dict())
        member.has_statistics.fill_(True)
        return member

    def _plan(
        self,
        module: AutoForecaster,
        data: ForecastingDataModule,
        candidate: Candidate,
        share: float,
        seed: int,
    ) -> FitPlan | None:
        """How much to train; None if it is too little to be worth a start."""
        per_epoch = len(data.train_dataloader())
        batches = max(1, self._limit if isinstance(self._limit, int) else int(self._limit * per_epoch))
        batches = min(batches, per_epoch)
        if candidate.is_closed_form:
            return FitPlan(epochs=1, batches=batches, every=1, wanted=batches)
        limited = batches < per_epoch  # a trial on a part of the data: as many epochs as it says, no more
        epochs = candidate.epochs if limited else max(candidate.epochs, -(-candidate.least_steps // batches))
        wanted = epochs * batches
        if share != float("inf"):
            step, validation = self._costs(module, data, candidate, seed)
            every = max(1, epochs // _MOST_VALIDATIONS)
            affordable = int(share / (step * batches + validation / every))
            if affordable < 1:
                batches = min(batches, int((share - validation) / step))
                if batches < _FEWEST_STEPS:
                    return None
            epochs = max(1, min(epochs, affordable))
        every = max(1, epochs // _MOST_VALIDATIONS)
        epochs = max(every, epochs // every * every)  # the last one is validated
        return FitPlan(epochs=epochs, batches=batches, every=every, wanted=wanted - every * batches + 1)

    def _costs(
        self, module: AutoForecaster, data: ForecastingDataModule, candidate: Candidate, seed: int
    ) -> tuple[float, float]:
        """CPU seconds of a training step and of a validation, measured on a copy that is thrown away."""
        member = self._make(module, candidate, seed).to(module.device)
        train, val = data.dataset("train"), data.dataset("val")
        indices = np.arange(data.batch_size)
        seconds = []
        with torch.random.fork_rng(devices=[]):
            for _ in range(3):
                started = time.process_time()
                batch = {key: value.to(module.device) for key, value in train.__getitems__(indices).items()}
                member.train().step(batch).loss.backward()
                seconds.append(time.process_time() - started)
        size = min(len(val), data.eval_batch_size)
        started = time.process_time()
        with torch.no_grad():
            batch = {key: value.to(module.device) for key, value in val.__getitems__(np.arange(size)).items()}
            member.eval().step(batch)
        validation = (time.process_time() - started) * len(val) / size
        factor, fixed = _OVERHEAD
        return factor * sum(seconds[1:]) / 2 + fixed, factor * validation + 0.01


def _seed(name: str) -> int:
    """Seed of a candidate's weights, from the run's seed and its name."""
    return zlib.crc32(f"{os.environ.get('PL_GLOBAL_SEED', 0)} {name}".encode())


def _budget(trainer: Trainer) -> CpuBudget | None:
    return next((part for part in trainer.callbacks if isinstance(part, CpuBudget)), None)  # type: ignore[attr-defined]


def _share(module: AutoForecaster, name: str, budget: CpuBudget | None) -> float:
    """CPU seconds that a candidate may take."""
    if budget is None:
        return float("inf")
    if module.candidates[name].is_closed_form:
        return max(_CLOSED_FORM_SECONDS, budget.left / 2)
    coming = list(module.candidates)[list(module.candidates).index(name) :]
    networks = [other for other in coming if not module.candidates[other].is_closed_form]
    return max(0.0, budget.left - _RESERVE * budget.seconds) / len(networks)


def _inner_trainer(outer: Trainer, candidate: Candidate, plan: FitPlan, callbacks: list[Any]) -> Trainer:
    device = outer.strategy.root_device
    return Trainer(
        accelerator=device.type,
        devices=1 if device.index is None or device.type == "cpu" else [device.index],
        precision=outer.precision,
        max_epochs=plan.epochs,
        limit_train_batches=plan.batches,
        limit_val_batches=outer.limit_val_batches,
        check_val_every_n_epoch=plan.every,
        gradient_clip_val=candidate.gradient_clip,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        deterministic=None,
    )


def _ignored(module: AutoForecaster, member: Forecaster) -> str:
    """Names the columns that the run has and a candidate does not take."""
    given = [name for name, value in (
        ("past covariates", module.sizes.num_past_covariates),
        ("known-future covariates", module.sizes.num_future_covariates),
        ("static attributes", module.sizes.num_static_covariates),
    ) if value]  # fmt: skip
    taken = {"past_covariates": "past covariates", "future_covariates": "known-future covariates"}
    has = {taken.get(name, "static attributes") for name in member.input_names if name != "past"}
    ignored = [name for name in given if name not in has]
    return f"it ignores {' and '.join(ignored)}" if ignored else ""


def _check(trainer: Trainer) -> None:
    """Refuses options of the trainer that have no meaning for candidates.

    Raises:
        ValueError: One is given.
    """
    if trainer.world_size > 1:
        raise ValueError("trainer.devices: AutoForecaster fits its candidates in one process; give devices 1")
    if trainer.max_epochs != 1 or trainer.max_steps != -1:
        raise ValueError(
            "trainer.max_epochs: an AutoForecaster needs 1, and no max_steps; each candidate has `epochs` of its own"
        )
    if trainer.gradient_clip_val is not None or trainer.accumulate_grad_batches != 1:
        raise ValueError(
            "trainer.gradient_clip_val, accumulate_grad_batches: an AutoForecaster trains nothing itself; give its "
            "candidates gradient_clip and batch_size"
        )
