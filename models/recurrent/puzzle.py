"""PuzzleSolver: deep supervision of a recursive network, one optimizer step per supervision step."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection
from typing_extensions import override

from models.base import Batch, OptimizerFactory, SchedulerFactory, StepOutput
from models.recurrent.puzzle_metrics import CellAccuracy, ExactAccuracy, QAccuracy
from models.recurrent.recursive_block import lecun_linear
from models.recurrent.state import RecurrentState, where_reset
from models.recurrent.stream import StreamModule
from models.recurrent.trm import TinyRecursiveModel, spread


class PuzzleCarry(NamedTuple):
    """State of the training lanes, B of them.

    Attributes:
        puzzle: int64 (B, L).
        solution: int64 (B, L).
        answer: (B, L, E).
        latent: (B, L, E).
        num_steps: int64 (B,), supervision steps spent on the puzzle; 0 where the lane is free.
    """

    puzzle: Tensor
    solution: Tensor
    answer: Tensor
    latent: Tensor
    num_steps: Tensor


class PuzzleSolver(StreamModule):
    """Trains a recursive network to fill in puzzles, one supervision step per optimizer step.

    A training lane keeps its puzzle over several optimizer steps, until the supervision steps are used up or the model
    predicts that its answer is correct; then it takes the batch's puzzle for this lane. Puzzles for busy lanes are
    skipped. Evaluation runs the same number of steps on every puzzle, from the initial state.

    Args:
        network: The recursive network.
        vocab_size: Tokens; 0 is an empty cell.
        seq_len: Cells of a puzzle, L.
        num_supervision_steps: Maximum supervision steps per puzzle in training.
        evaluation_steps: Supervision steps in evaluation; None for `num_supervision_steps`.
        renamings: Evaluation solves each puzzle under this many cyclic renamings of the tokens from 1 and averages the
            log-probabilities, as many times the work; for puzzles whose tokens are mere names, like sudoku.
        exploration: Probability that a lane must run a random number of steps, at least 2, before it may halt.
        optimizer: Optimizer factory.
        scheduler: Scheduler factory, see `BaseModule`.
    """

    names: Tensor
    exporter = "lightning_app.packaging.export.families.puzzle:PuzzleExporter"
    injected_arguments = (*StreamModule.injected_arguments, "network")

    def __init__(
        self,
        *,
        network: TinyRecursiveModel,
        vocab_size: int,
        seq_len: int,
        num_supervision_steps: int = 16,
        evaluation_steps: int | None = None,
        renamings: int = 1,
        exploration: float = 0.1,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        for name, value, least in (
            ("vocab_size", vocab_size, 2),
            ("seq_len", seq_len, 1),
            ("num_supervision_steps", num_supervision_steps, 1),
            ("evaluation_steps", evaluation_steps, 1),
        ):
            if value is not None and value < least:
                raise ValueError(f"model.{name}: {value} given, at least {least} is needed")
        if not 1 <= renamings < vocab_size:
            raise ValueError(
                f"model.renamings: {renamings} given, 1 to {vocab_size - 1} are possible with {vocab_size} tokens, of "
                "which 0 is an empty cell"
            )
        if not 0 <= exploration <= 1:
            raise ValueError(f"model.exploration: {exploration} given, a probability from 0 to 1 is needed")
        self.evaluation_steps = evaluation_steps or num_supervision_steps  # read by configure_metrics
        super().__init__(optimizer=optimizer, scheduler=scheduler)
        self.seq_len = seq_len
        self.vocab_size = vocab_size
        self.num_supervision_steps = num_supervision_steps
        self.exploration = exploration
        shifts, tokens = torch.arange(renamings).unsqueeze(1), torch.arange(vocab_size - 1)
        renamed = F.pad((tokens + shifts) % (vocab_size - 1) + 1, (1, 0))
        self.register_buffer("names", renamed, persistent=False)  # (R, V), the new name of each token
        self.network = network
        self.embedding = nn.Embedding(vocab_size, network.input_size)
        std = network.input_size**-0.5
        nn.init.trunc_normal_(self.embedding.weight, std=std, a=-2 * std, b=2 * std)
        self.output_head = lecun_linear(network.output_size, vocab_size)
        # An untrained model must not predict that it is correct: its lanes would halt at once.
        self.q_head = nn.Linear(network.output_size, 1)
        nn.init.zeros_(self.q_head.weight)
        nn.init.constant_(self.q_head.bias, -5.0)

    @override
    def configure_metrics(self) -> MetricCollection:
        by_step = {f"exact_accuracy_step_{step + 1}": ExactAccuracy(step=step) for step in range(self.evaluation_steps)}
        return MetricCollection(
            {"exact_accuracy": ExactAccuracy(), "cell_accuracy": CellAccuracy(), "q_accuracy": QAccuracy()} | by_step,  # type: ignore[arg-type]
            compute_groups=False,
        )

    @override
    def initial_state(self, num_lanes: int) -> PuzzleCarry:
        """Free lanes."""
        empty = torch.zeros(num_lanes, self.seq_len, dtype=torch.long, device=self.device)
        return self._start(puzzle=empty, solution=empty)

    @override
    def may_start(self, batch: Batch) -> Tensor:
        return torch.ones(len(batch["puzzle"]), dtype=torch.bool, device=batch["puzzle"].device)

    @override
    def step(self, batch: Batch) -> StepOutput:
        return super().step(batch) if self.training else self._evaluate_from_start(batch)

    @override
    def stream_step(self, batch: Batch, state: RecurrentState) -> tuple[StepOutput, RecurrentState]:
        """Runs one supervision step in every lane.

        Args:
            batch: `puzzle` and `solution`, int64 (B, L), for the free lanes.
            state: `PuzzleCarry`.
        """
        fresh = self._start(puzzle=batch["puzzle"], solution=batch["solution"])
        carry: PuzzleCarry = where_reset(state.num_steps == 0, fresh, state)
        answer, latent = self.network.refine(self._embed(carry.puzzle), carry.answer, carry.latent)
        logits, q_logits = self._read(answer)
        loss, right = self._loss(logits, q_logits, carry.solution)
        num_steps = carry.num_steps + 1
        waiting = self._halted(num_steps, q_logits.detach() > 0)
        carry = carry._replace(answer=answer, latent=latent, num_steps=num_steps.masked_fill(waiting, 0))
        return StepOutput(loss=loss, predictions=right, targets=carry.solution, weight=len(right)), carry

    def _start(self, *, puzzle: Tensor, solution: Tensor) -> PuzzleCarry:
        answer, latent = spread(self.network.initial_state(len(puzzle)), self.seq_len)
        num_steps = torch.zeros(len(puzzle), dtype=torch.long, device=puzzle.device)
        return PuzzleCarry(puzzle=puzzle, solution=solution, answer=answer, latent=latent, num_steps=num_steps)

    def _halted(self, num_steps: Tensor, claimed: Tensor) -> Tensor:
        explores = torch.rand(num_steps.shape, device=num_steps.device) < self.exploration
        random_steps = torch.randint_like(num_steps, 2, max(2, self.num_supervision_steps) + 1)
        may_stop = num_steps >= torch.where(explores, random_steps, 1)
        return (num_steps >= self.num_supervision_steps) | (claimed & may_stop)

    def _embed(self, puzzle: Tensor) -> Tensor:
        # Weights as small as those of the other layers, so that one learning rate fits all; the input has unit scale.
        return self.embedding(puzzle) * self.network.input_size**0.5

    def _read(self, answer: Tensor) -> tuple[Tensor, Tensor]:
        """Token logits (B, L, V), and the logit that all tokens are correct (B,)."""
        return self.output_head(answer), self.q_head(answer.mean(dim=1)).squeeze(1)

    def _renamed(self, puzzle: Tensor) -> Tensor:
        """Puzzles (B, L) under every renaming, (R B, L)."""
        return torch.cat([names[puzzle] for names in self.names])

    def _averaged(self, logits: Tensor, q_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the renamed puzzles, (R B, L, V) and (R B,), to those of the puzzles, (B, L, V) and (B,)."""
        if len(self.names) == 1:
            return logits, q_logits
        parts = logits.float().log_softmax(dim=-1).view(len(self.names), -1, *logits.shape[1:])
        old_names = [part.index_select(-1, names) for part, names in zip(parts, self.names, strict=True)]
        return torch.stack(old_names).mean(dim=0), q_logits.view(len(self.names), -1).mean(dim=0)

    def _loss(self, logits: Tensor, q_logits: Tensor, solution: Tensor) -> tuple[Tensor, Tensor]:
        right = logits.detach().argmax(dim=-1) == solution  # (B, L)
        cells = F.cross_entropy(logits.flatten(0, 1).float(), solution.flatten())
        solved = right.all(dim=1).to(torch.float32)
        return cells + 0.5 * F.binary_cross_entropy_with_logits(q_logits.float(), solved), right

    def _solve(self, puzzle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Runs the evaluation steps; returns both logits of the last one, and the tokens after each, (B, N, L)."""
        puzzle = self._renamed(puzzle)
        embedded = self._embed(puzzle)
        answer, latent = spread(self.network.initial_state(len(puzzle)), puzzle.shape[1])
        tokens = []
        for _ in range(self.evaluation_steps):
            answer, latent = self.network.refine(embedded, answer, latent)
            logits, q_logits = self._averaged(*self._read(answer))
            tokens.append(logits.argmax(dim=-1))
        return logits, q_logits, torch.stack(tokens, dim=1)

    def _evaluate_from_start(self, batch: Batch) -> StepOutput:
        logits, q_logits, tokens = self._solve(batch["puzzle"])
        loss, _ = self._loss(logits, q_logits, batch["solution"])
        return self._step_output(loss, tokens, q_logits > 0, batch)

    @override
    def evaluate(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> StepOutput:
        """See `BaseModule.evaluate`; the loss is NaN, as it takes logits, and metrics know the last step alone.

        Args:
            outputs: What `solve` gives: solution int64 (B, L), confidence (B,).
            batch: With `solution`.
        """
        solution, confidence = outputs
        return self._step_output(torch.tensor(torch.nan), solution.unsqueeze(1), confidence > 0.5, batch)

    def _step_output(self, loss: Tensor, tokens: Tensor, claimed: Tensor, batch: Batch) -> StepOutput:
        """Which tokens (B, N, L) are right after each step, and whether the model claims all of them to be."""
        right = tokens == batch["solution"].unsqueeze(1)
        return StepOutput(loss=loss, predictions=right, targets=claimed, weight=len(right))

    def forward(self, puzzle: Tensor) -> Tensor:
        """Solves puzzles: int64 (B, L) -> int64 (B, L)."""
        return self.solve(puzzle)[0]

    def solve(self, puzzle: Tensor) -> tuple[Tensor, Tensor]:
        """Solves puzzles and estimates the confidence.

        Args:
            puzzle: int64 (B, L).

        Returns:
            solution: int64 (B, L).
            confidence: Probability that every cell is correct, (B,).
        """
        puzzle = self._renamed(puzzle)
        # shape, not len(): len() would fix the batch size in an export.
        answer, latent = spread(self.network.initial_state(puzzle.shape[0]), puzzle.shape[1])
        answer, _ = self.network.refine(self._embed(puzzle), answer, latent, num_steps=self.evaluation_steps)
        logits, q_logits = self._averaged(*self._read(answer))
        return logits.argmax(dim=-1), q_logits.float().sigmoid()

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> Batch:
        _, q_logits, tokens = self._solve(batch["puzzle"])
        return {"puzzle": batch["puzzle"], "solution": tokens[:, -1], "confidence": q_logits.float().sigmoid()}

    @override
    def example_inputs(self) -> dict[str, Tensor]:
        return {"puzzle": torch.randint(self.vocab_size, (2, self.seq_len))}
