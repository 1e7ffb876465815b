"""Gradient flow: norms of the gradients that reach each layer."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from models.layers.gate import Gate
from models.recurrent import EncoderModule, unroll
from models.recurrent.state import map_state

_DEAD = 0.01
_SHUT = "gate is shut: its least used head opens by {:.1e} on average, so that nothing is written"
_NOTHING = 1e-30  # lower end of the picture's scale


class GradientFlow(Callback):
    """Looks at all gradients every so many optimizer steps, warns of those that are dead, and draws the others.

    Warned of, by name and once each: a parameter without any gradient, one whose gradient is exactly zero or not
    finite at two looks in a row, and a write gate that stays shut. For recurrent models it also measures how far
    back the output depends on the input: |d h_t / d x_(t - lag)|. The picture is `gradient_flow.png` in the
    trainer's default_root_dir.

    Args:
        every_n_steps: Optimizer steps between two looks.
    """

    def __init__(self, *, every_n_steps: int = 100) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps: {every_n_steps} given, at least 1 is needed")
        self.every_n_steps = every_n_steps
        self.steps: list[int] = []
        self.norms: dict[str, list[float]] = {}
        self.by_lag: Tensor | None = None
        self._suspects: dict[str, str] = {}
        self._warned: set[str] = set()
        self._batch: Any = None
        self._openness: dict[str, Tensor] = {}
        self._hooks: list[RemovableHandle] = []

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for name, module in pl_module.named_modules():
            if isinstance(module, Gate) and name.endswith("plasticity"):
                self._hooks.append(module.register_forward_hook(self._look_at(name)))

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch = batch

    @override
    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if trainer.global_step % self.every_n_steps:
            return
        self.steps.append(trainer.global_step)
        found = {}
        for name, parameter in pl_module.named_parameters():
            if not parameter.requires_grad:
                continue
            norm = math.nan if parameter.grad is None else float(parameter.grad.norm())
            self.norms.setdefault(name, [math.nan] * (len(self.steps) - 1)).append(norm)
            if complaint := _complaint(parameter.grad, norm):
                found[name] = complaint
        found |= {name: _SHUT.format(float(openness)) for name, openness in self._openness.items() if openness < _DEAD}
        # At the very first step zeros are usual: a head that starts at zero passes no gradient on.
        for name in found.keys() & self._suspects.keys() - self._warned:
            self._warned.add(name)
            warnings.warn(f"GradientFlow: {name}: {found[name]} (step {trainer.global_step})", stacklevel=2)
        self._suspects = found
        for values in self.norms.values():
            values += [math.nan] * (len(self.steps) - len(values))  # frozen by now
        if isinstance(pl_module, EncoderModule):
            self.by_lag = gradient_by_lag(pl_module, self._batch)

    def _look_at(self, name: str) -> Callable[[Gate, Any, Tensor], None]:
        def look(gate: Gate, _: Any, output: Tensor) -> None:
            if gate.training:
                self._openness[name] = output.detach().flatten(0, -2).mean(dim=0).min()

        return look

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batch = None
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if trainer.is_global_zero and self.steps:
            path = Path(trainer.default_root_dir) / "gradient_flow.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_gradient_flow(self.steps, self.norms, self.by_lag, path)


def gradient_by_lag(module: EncoderModule, batch: dict[str, Tensor]) -> Tensor:
    """How strongly the encoder's last output depends on each input step, averaged over lanes.

    Args:
        module: A recurrent model; its state, gradients and random numbers are left as they are.
        batch: A training batch of it.

    Returns:
        (L,), lag 0 first, relative to lag 0.
    """
    with torch.enable_grad(), torch.random.fork_rng():
        embedded = module.embed(batch).detach().requires_grad_()
        state = map_state(lambda tensor: tensor.detach(), module.initial_state(len(embedded)))
        output, _ = unroll(module.encoder, embedded, state, batch["reset"], module.chunk_size)
        (gradient,) = torch.autograd.grad(output[:, -1].float().square().sum(), embedded)
    norms = gradient.float().norm(dim=2).mean(dim=0).flip(0)  # (L,)
    return (norms / norms[0].clamp_min(_NOTHING)).cpu()


def _complaint(gradient: Tensor | None, norm: float) -> str | None:
    if gradient is None:
        return "no gradient: the loss does not depend on it, or its graph was cut by detach"
    if norm == 0:
        return "gradient is exactly zero: what it does is never seen by the loss of a chunk"
    return None if math.isfinite(norm) else f"gradient is {norm}"


def draw_gradient_flow(steps: list[int], norms: dict[str, list[float]], by_lag: Tensor | None, path: Path) -> None:
    """Writes the picture: gradient norm of each parameter over time and, if measured, the gradient by lag.

    Args:
        steps: Optimizer steps looked at.
        norms: Gradient norm at each of them by parameter; NaN where there was no gradient.
        by_lag: (L,), see `gradient_by_lag`.
        path: The PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12 if by_lag is not None else 8, 1.6 + 0.22 * len(norms)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if by_lag is not None else 1, squeeze=False)[0]
    table = torch.tensor(list(norms.values())).clamp_min(_NOTHING).log10()
    table[table < math.log10(2 * _NOTHING)] = math.nan  # zero is left white, like no gradient at all
    image = axes[0].imshow(table, aspect="auto", interpolation="nearest", cmap="viridis")
    axes[0].set_yticks(range(len(norms)), list(norms), fontsize=7)
    shown = sorted({0, len(steps) // 2, len(steps) - 1})
    axes[0].set_xticks(shown, [str(steps[index]) for index in shown])
    axes[0].set_xlabel("optimizer step")
    axes[0].set_title("gradient norm before clipping (white: none)", fontsize=10)
    figure.colorbar(image, ax=axes[0], label="log10")
    if by_lag is not None:
        axes[1].semilogy(range(len(by_lag)), by_lag.clamp_min(1e-12))
        axes[1].set_xlabel("lag, steps back within the window")
        axes[1].set_title("|d output / d input| by lag, lag 0 = 1", fontsize=10)
        axes[1].spines[["top", "right"]].set_visible(False)
        axes[1].grid(alpha=0.3)
    figure.savefig(path, dpi=110)
