"""Tokenizer of whole texts, cut to a length, for data modules."""

from features.text.pretrained import fast_tokenizer, pad_token_id
from features.text.token_rows import FastTokenizer


def text_tokenizer(pretrained: str, *, max_length: int) -> FastTokenizer:
    """The tokenizer of a pretrained model.

    Args:
        pretrained: Where it comes from, see `features.text.pretrained_folder`.
        max_length: Most tokens of a text, special ones included.

    Raises:
        ValueError: It has no padding token, or `max_length` leaves no room for a text.
    """
    tokenizer = fast_tokenizer(pretrained)
    try:
        padding = pad_token_id(pretrained, tokenizer)
        return FastTokenizer(tokenizer, max_length=max_length, pad_token_id=padding)
    except ValueError as error:
        raise error if "data." in str(error) else ValueError(f"data.{error}") from error
