"""Word shapes: how a word is written (case, digits, marks), which an uncased tokenizer does not tell."""

SHAPES = ("none", "lower", "Capitalised", "UPPER", "mixEd", "digits", "digits and letters", "marks", "single upper")
"""Meaning of the indices; `none` is for padding and special tokens."""
_LOWER, _CAPITALISED, _UPPER, _MIXED, _DIGITS, _DIGITS_AND_LETTERS, _MARKS, _SINGLE = range(1, len(SHAPES))


def word_shape(word: str) -> int:
    """Index in `SHAPES` of a word, which is not empty; letters without case (as of Chinese) count as lower case.

    Args:
        word: The word as written.
    """
    if word.isdigit():
        return _DIGITS
    if any(map(str.isdigit, word)):
        return _DIGITS_AND_LETTERS
    if not any(map(str.isalpha, word)):
        return _MARKS
    if word == word.lower():
        return _LOWER
    if word == word.upper():
        return _UPPER if len(word) > 1 else _SINGLE
    return _CAPITALISED if word[0].isupper() and word[1:] == word[1:].lower() else _MIXED
