"""Text continuation: a package of a causal language model adds tokens to a text, without torch."""

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.text_tokens import ATTENTION_MASK, TOKEN_IDS
from lightning_app.packaging.runtime.raw_kinds.texts_input import TextsInput

NEXT_TOKENS, NEXT_LOG_PROBABILITIES = "next_tokens", "next_log_probabilities"


def can_continue(predictor: Predictor) -> bool:
    """Whether a package takes texts and answers with the likeliest next tokens.

    Args:
        predictor: Predictor of the package.
    """
    outputs = {spec.name for spec in predictor.manifest.outputs}
    return isinstance(predictor.raw_input, TextsInput) and {NEXT_TOKENS, NEXT_LOG_PROBABILITIES} <= outputs


def continue_text(predictor: Predictor, prompt: str, num_tokens: int, *, temperature: float, seed: int | None) -> str:
    """Continues a text, up to its end-of-text token; each token reads the whole text again.

    A token is drawn among those that the package answers, the likeliest ones. Of a text that has become longer than the
    package reads, the first tokens after the very first are forgotten.

    Args:
        predictor: Predictor of the package, see `can_continue`.
        prompt: Text to continue; empty for a new one.
        num_tokens: Most tokens to add.
        temperature: Divides the log-probabilities; 0 takes the likeliest token.
        seed: Seed of the sampling; None is not reproducible.

    Raises:
        RequestError: The prompt has more tokens than the package reads.
    """
    assert isinstance(predictor.raw_input, TextsInput)
    tokenizer = predictor.raw_input.tokenizer
    rows = tokenizer.encode([prompt])
    if rows.truncated[0]:
        raise RequestError(f"prompt: more than {tokenizer.max_length} tokens given; shorten it")
    tokens = [int(token) for token in rows.ids]
    before, start = tokenizer.decode(tokens), len(tokens)
    generator = np.random.default_rng(seed)
    for _ in range(num_tokens):
        read = tokens if len(tokens) <= tokenizer.max_length else [tokens[0], *tokens[1 - tokenizer.max_length :]]
        ids = np.array([read], dtype=np.int64)
        answer, _ = predictor.run({TOKEN_IDS: ids, ATTENTION_MASK: np.ones_like(ids)}, None)
        log_probabilities = np.asarray(answer[NEXT_LOG_PROBABILITIES][0], dtype=np.float64)
        token = int(answer[NEXT_TOKENS][0][_drawn(log_probabilities, temperature, generator)])
        if token == tokenizer.pad_token_id:  # the end-of-text token
            break
        tokens.append(token)
    return prompt + tokenizer.decode(tokens)[len(before) :] if len(tokens) > start else prompt


def _drawn(log_probabilities: np.ndarray, temperature: float, generator: np.random.Generator) -> int:
    if not temperature:
        return int(log_probabilities.argmax())
    scores = log_probabilities / temperature
    weights = np.exp(scores - scores.max())
    return int(generator.choice(len(weights), p=weights / weights.sum()))
