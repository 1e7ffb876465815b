"""EntityDecoder: tags of words from their probabilities, with a penalty of `O` that validation may choose."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from features.text.decoding import decode
from features.text.tag_set import OUTSIDE, TagSet
from models.text.entity_f1 import EntityF1, entity_metrics

CANDIDATES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""Penalties that are tried; coarse, because neighbours differ by less than another validation split would."""


class EntityDecoder(nn.Module):
    """Finds the likeliest sequence of tags that IOB2 allows (Viterbi), after a penalty of `O`.

    The penalty is subtracted from the log-probability of `O`: above 0 more entities are found, below 0 fewer. A chosen
    one is that of the highest F1 of entities on the rows of a validation; it is kept in the checkpoint.

    Args:
        tag_set: The tags.
        outside_penalty: The penalty, or `validation` to choose it among `CANDIDATES`.

    Raises:
        ValueError: The penalty is neither a finite number nor `validation`.
    """

    penalty: Tensor

    def __init__(self, *, tag_set: TagSet, outside_penalty: float | Literal["validation"] = 0.0) -> None:
        super().__init__()
        self.chooses = outside_penalty == "validation"
        if not self.chooses and (isinstance(outside_penalty, str) or not np.isfinite(outside_penalty)):
            raise ValueError(f"model.outside_penalty: {outside_penalty} given, a finite number or validation is needed")
        self.register_buffer("penalty", torch.tensor(0.0 if self.chooses else float(outside_penalty)))
        self.register_load_state_dict_pre_hook(_keep_given)
        self.tag_set = tag_set
        metrics = [entity_metrics(tag_set)["f1"] for _ in CANDIDATES if self.chooses]
        self._candidates = nn.ModuleList(metrics)

    def forward(self, log_probabilities: Tensor, words: Tensor) -> Tensor:
        """Tags of the words, int64 (B, N); `O` where there is no word.

        Args:
            log_probabilities: Of the tags of each word, (B, N, T).
            words: Places of the words, negative for none, int64 (B, N).
        """
        return self._tags(log_probabilities, words, (float(self.penalty),))[0]

    def _tags(self, log_probabilities: Tensor, words: Tensor, penalties: tuple[float, ...]) -> list[Tensor]:
        """Tags for each of several penalties."""
        scores = log_probabilities.detach().float().cpu().numpy()
        lengths = (words >= 0).sum(dim=1).tolist()
        texts = [one[:length] for one, length in zip(scores, lengths, strict=True)]
        several = []
        for penalty in penalties:
            tags = np.full(words.shape, OUTSIDE, dtype=np.int64)
            for row, one in enumerate(decode(texts, self.tag_set, outside_penalty=penalty)):
                tags[row, : len(one)] = one
            several.append(torch.from_numpy(tags).to(words.device))
        return several

    def update(self, log_probabilities: Tensor, words: Tensor, targets: Tensor) -> None:
        """Adds rows of a validation, from which `choose` chooses.

        Args:
            log_probabilities: As of `forward`.
            words: As of `forward`.
            targets: True tags, int64 (B, N).
        """
        for metric, tags in zip(self._metrics, self._tags(log_probabilities, words, CANDIDATES), strict=True):
            metric.update(tags, targets)

    def choose(self) -> Tensor:
        """Sets the penalty of the highest F1, of equal ones that nearest to 0, and forgets the rows.

        Returns:
            Entities of this process at that penalty, see `EntityMetric.counts`.
        """
        f1 = [float(metric.compute()) for metric in self._metrics]
        best = max(range(len(f1)), key=lambda place: (f1[place], -abs(CANDIDATES[place])))
        self.penalty.fill_(CANDIDATES[best])
        counts = self._metrics[best].counts.clone()
        for metric in self._metrics:
            metric.reset()
        return counts

    @property
    def _metrics(self) -> list[EntityF1]:
        return [metric for metric in self._candidates if isinstance(metric, EntityF1)]

    def describe(self) -> str:
        """The penalty in words; empty without one."""
        penalty = float(self.penalty)
        if not penalty:
            return ""
        how = ", chosen on validation" if self.chooses else ""
        return f"entities are found after subtracting {penalty:g} from the log-probability of O{how}"


def _keep_given(decoder: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """A penalty that is given holds over that of a checkpoint; checkpoints from before the penalty have none."""
    assert isinstance(decoder, EntityDecoder)
    name = f"{prefix}penalty"
    if not decoder.chooses or name not in state:
        state[name] = decoder.penalty.clone()
