"""Text generation: a language-model package continues a text token by token, without torch."""

import warnings

import numpy as np

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.runtime.continuation.text_continuation import can_continue, continue_text
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.text.tokenizer import TOKENS
from lightning_app.packaging.runtime.values import Array

_ANSWER = "log_probabilities"


def generate(predictor: Predictor, prompt: str, num_tokens: int, *, temperature: float, seed: int | None) -> str:
    """Continues a text; see `Package.generate`.

    Args:
        predictor: Predictor of a language model.
        prompt: Text to continue.
        num_tokens: Number of tokens to add.
        temperature: Divides the logits; 0 takes the likeliest token.
        seed: Seed of the sampling; None is not reproducible.

    Raises:
        RequestError: The package is no language model of text, or an argument is invalid.
    """
    tokenizer = predictor.tokenizer
    continues = can_continue(predictor)
    if not continues and (tokenizer is None or _ANSWER not in {spec.name for spec in predictor.manifest.outputs}):
        raise RequestError(
            f"prompt: {predictor.manifest.name} is no language model of text, its task is {predictor.manifest.task}"
        )
    if num_tokens < 1:
        raise RequestError(f"num_tokens: {num_tokens} given, at least 1 is needed")
    if not 0 <= temperature < np.inf:
        raise RequestError(f"temperature: {temperature} given, a number from 0 is needed")
    if not isinstance(prompt, str):
        raise RequestError(f"prompt: {type(prompt).__name__} given, a text is needed")
    if continues:
        return continue_text(predictor, prompt, num_tokens, temperature=temperature, seed=seed)
    assert tokenizer is not None
    tokens = tokenizer.encode(prompt)
    if tokenizer.end_of_line is not None and not prompt.endswith("\n"):
        tokens = tokens[:-1]  # without the end-of-line token: generation continues the last line
    if not len(tokens):
        raise RequestError(f"prompt: {prompt!r} given, at least one {tokenizer.level} is needed to continue from")
    if unknown := tokenizer.unknown(prompt):
        shown = ", ".join(map(repr, unknown[:10]))
        warnings.warn(f"prompt: the model knows no {shown}; read as {tokenizer.vocabulary[0]}", stacklevel=3)
    generated, chunk, state = [*tokens], tokens[None], None
    generator = np.random.default_rng(seed)
    for _ in range(num_tokens):
        answer, state = predictor.advance({TOKENS: chunk}, state)
        token = _sample(answer[_ANSWER][0, -1].astype(np.float64), temperature, generator)
        generated.append(token)
        chunk = np.array([[token]])
    return tokenizer.decode(generated)


def _sample(log_probabilities: Array, temperature: float, generator: np.random.Generator) -> int:
    if not temperature:
        return int(log_probabilities.argmax())
    scores = log_probabilities / temperature
    weights = np.exp(scores - scores.max())
    return int(generator.choice(len(weights), p=weights / weights.sum()))
