"""TinyRecursiveModel (TRM): one small network that refines an answer and a latent recursively."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch._higher_order_ops import scan
from typing_extensions import override

from models.recurrent.encoder import Encoder
from models.recurrent.recursive_block import AttentionMixing, LengthMixing, RecursiveBlock, lecun_linear
from models.recurrent.state import RecurrentState

Mixing = Literal["attention", "causal_attention", "length"]


class TinyRecursiveModel(Encoder):
    """Improves an answer by recursion (Jolicoeur-Martineau, "Less is More: Recursive Reasoning with Tiny Networks").

    One recursion updates the latent `num_latent_updates` times from the question, the answer and itself, then the
    answer from the latent, with the same network. Only the last recursion of a supervision step is differentiated; the
    next step starts from its detached result.

    For a puzzle, `refine` is called repeatedly on one question. As an encoder of streams each chunk is one supervision
    step, and every position of a chunk starts from the final answer and latent of the previous chunk's last position.

    Args:
        input_size: Features of an input step, D.
        hidden_size: Features of answer and latent, E.
        mixing: How steps exchange information: `attention`, `causal_attention` (required for streams), or `length`, an
            MLP over the `seq_len` steps, which is faster and more accurate on small grids.
        seq_len: Length of every sequence, required by `length` only.
        num_layers: Blocks of the network.
        num_latent_updates: Updates of the latent per recursion, n.
        num_recursions: Recursions per supervision step, T.
        num_heads: Attention heads.
        expansion: Width of the feed-forward networks relative to the features.
    """

    initial_answer: Tensor
    initial_latent: Tensor

    def __init__(
        self,
        *,
        input_size: int,
        hidden_size: int,
        mixing: Mixing = "causal_attention",
        seq_len: int | None = None,
        num_layers: int = 2,
        num_latent_updates: int = 6,
        num_recursions: int = 3,
        num_heads: int = 4,
        expansion: float = 4.0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
            ("num_recursions", num_recursions),
        ):
            if value < 1:
                raise ValueError(f"network.{name}: {value} given, at least 1 is needed")
        if num_latent_updates < 1:
            raise ValueError(
                f"network.num_latent_updates: {num_latent_updates} given, at least 1 is needed: the answer is made "
                "from the latent alone, and without an update of the latent it would never see the input"
            )
        self.input_size = input_size
        self.output_size = hidden_size
        self.mixing = mixing
        self.num_latent_updates = num_latent_updates
        self.num_recursions = num_recursions
        self.projection = nn.Identity() if input_size == hidden_size else lecun_linear(input_size, hidden_size)
        self.blocks = nn.ModuleList(
            RecursiveBlock(
                mixing=_make_mixing(mixing, hidden_size, seq_len, num_heads, expansion),
                features=hidden_size,
                expansion=expansion,
            )
            for _ in range(num_layers)
        )
        # Buffers, not parameters: from the second recursion on, no gradient reaches the initial values.
        for name in ("initial_answer", "initial_latent"):
            self.register_buffer(name, nn.init.trunc_normal_(torch.empty(hidden_size)))

    def refine(
        self, question: Tensor, answer: Tensor, latent: Tensor, mask: Tensor | None = None, *, num_steps: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Runs supervision steps in sequence.

        Args:
            question: (B, L, D).
            answer: (B, L, E).
            latent: (B, L, E).
            mask: bool (B, L, L), True where a step may attend; None follows `mixing`.
            num_steps: Number of supervision steps.

        Returns:
            answer: (B, L, E), attached to the graph of the last recursion.
            latent: (B, L, E), likewise.
        """
        question = self.projection(question).transpose(0, 1).contiguous()  # (L, B, E)
        answer, latent = answer.transpose(0, 1).contiguous(), latent.transpose(0, 1).contiguous()
        num_recursions = num_steps * self.num_recursions
        if torch.compiler.is_exporting():
            answer, latent = self._recurse_in_a_scan(question, answer, latent, mask, num_recursions)
            return answer.transpose(0, 1), latent.transpose(0, 1)
        if num_recursions > 1:
            with torch.no_grad():
                for _ in range(num_recursions - 1):
                    answer, latent = self._recurse(question, answer, latent, mask)
            # Autocast's cache would pass weights cast here under no_grad to the last recursion, without a graph.
            torch.clear_autocast_cache()
        answer, latent = self._recurse(question, answer, latent, mask)
        return answer.transpose(0, 1), latent.transpose(0, 1)

    def _recurse(self, question: Tensor, answer: Tensor, latent: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        context = question + answer
        for _ in range(self.num_latent_updates):
            latent = self._apply_blocks(latent + context, mask)
        return self._apply_blocks(answer + latent, mask), latent

    def _recurse_in_a_scan(
        self, question: Tensor, answer: Tensor, latent: Tensor, mask: Tensor | None, num_recursions: int
    ) -> tuple[Tensor, Tensor]:
        """All recursions as one loop operator: unrolled, the 336 updates of a puzzle would take an hour to export."""
        turn = [False] * self.num_latent_updates + [True]
        is_answer = torch.tensor(turn * num_recursions)

        def update(carried: tuple[Tensor, Tensor], answers: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[()]]:
            answer, latent = carried
            new = self._apply_blocks(torch.where(answers, answer + latent, latent + question + answer), mask)
            return (torch.where(answers, new, answer), torch.where(answers, latent, new)), ()

        carried, _ = scan(update, (answer, latent), is_answer)
        return carried

    def _apply_blocks(self, steps: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.blocks:
            steps = block(steps, mask)
        return steps

    @override
    def initial_state(self, num_lanes: int) -> RecurrentState:
        """Answer and latent, each (B, E)."""
        return self.initial_answer.expand(num_lanes, -1), self.initial_latent.expand(num_lanes, -1)

    @override
    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        self._check_causal()
        answer, latent = spread(state, chunk.shape[1])
        answer, latent = self.refine(chunk, answer, latent)
        return answer, (answer[:, -1], latent[:, -1])

    @override
    def encode_documents(self, chunk: Tensor, state: RecurrentState, reset: Tensor) -> tuple[Tensor, RecurrentState]:
        """As in `Encoder`, without splitting the chunk: a split would change what other lanes' steps attend to."""
        self._check_causal()
        length = chunk.shape[1]
        document = reset.cumsum(dim=1)  # (B, L), 0 is the document that began in an earlier chunk
        continued = (document == 0).unsqueeze(-1)
        fresh = spread(self.initial_state(len(chunk)), length)
        answer, latent = (
            torch.where(continued, carried, new) for carried, new in zip(spread(state, length), fresh, strict=True)
        )
        mask = (document.unsqueeze(2) == document.unsqueeze(1)).tril()
        answer, latent = self.refine(chunk, answer, latent, mask)
        return answer, (answer[:, -1], latent[:, -1])

    def _check_causal(self) -> None:
        if self.mixing != "causal_attention":
            raise ValueError(
                f"network.mixing: with {self.mixing!r} a step sees those after it; a stream needs 'causal_attention'"
            )


def spread(state: tuple[Tensor, Tensor], length: int) -> tuple[Tensor, Tensor]:
    """Broadcasts answer and latent of each lane (B, E) to initial values of every step, (B, L, E)."""
    answer, latent = (tensor.unsqueeze(1).expand(-1, length, -1) for tensor in state)
    return answer, latent


def _make_mixing(
    mixing: Mixing, hidden_size: int, seq_len: int | None, num_heads: int, expansion: float
) -> LengthMixing | AttentionMixing:
    if mixing == "length":
        if seq_len is None:
            raise ValueError("network.seq_len: none given, the mixing 'length' needs the number of steps")
        return LengthMixing(seq_len=seq_len, expansion=expansion)
    if mixing not in ("attention", "causal_attention"):
        raise ValueError(f"network.mixing: {mixing!r} given, it must be 'attention', 'causal_attention' or 'length'")
    return AttentionMixing(features=hidden_size, num_heads=num_heads, causal=mixing == "causal_attention")
