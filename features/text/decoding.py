"""Decoding: the sequences of tags of texts from the probabilities of the tags of their words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.text.tag_set import OUTSIDE, TagSet, viterbi

_MOST_WORDS = 2**14
"""Words that are decoded together, padding included, unless a single text has more."""


def decode(
    log_probabilities: Sequence[NDArray[np.float32]], tag_set: TagSet, *, outside_penalty: float = 0.0
) -> list[NDArray[np.int64]]:
    """Likeliest sequences of tags that IOB2 allows, int64 (N,) each.

    Args:
        log_probabilities: Logarithms of the probabilities of the tags of each text's words, float32 (N, T) each.
        tag_set: The tags.
        outside_penalty: Subtracted from the log-probability of `O`: above 0 more entities are found, below 0 fewer.
    """
    lengths = np.array([len(one) for one in log_probabilities], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    tags: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)] * len(lengths)
    transitions, first = tag_set.transitions(), tag_set.first()
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        if not longest:  # and so are all that follow
            break
        together = order[start : start + max(1, _MOST_WORDS // longest)]
        emissions = np.zeros((len(together), longest, len(tag_set)), dtype=np.float32)
        for place, text in enumerate(together):
            emissions[place, : lengths[text]] = log_probabilities[text]
        emissions[..., OUTSIDE] -= outside_penalty
        found = viterbi(emissions, lengths[together], transitions=transitions, first=first)
        for place, text in enumerate(together):
            tags[text] = found[place, : lengths[text]]
        start += len(together)
    return tags
