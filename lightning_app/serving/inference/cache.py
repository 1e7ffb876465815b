"""Cache of answers: the most recent ones of a model, by digest of the package and content of the request."""

from collections import OrderedDict

from lightning_app.serving.inference.loaded_model import Answer

CacheKey = tuple[str, bytes]
"""Digest of the package, and of the request's content."""


class AnswerCache:
    """Answers of a model, the one that was used longest ago going first.

    Args:
        most: Answers that are kept.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[CacheKey, Answer] = OrderedDict()

    def get(self, key: CacheKey) -> Answer | None:
        """The answer to a request; None if it is not kept.

        Args:
            key: Package and content.
        """
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: CacheKey, answer: Answer) -> None:
        """Keeps an answer, unless it depends on more than the request: on a session, or on a store.

        Args:
            key: Package and content.
            answer: The answer.
        """
        if answer.state or answer.features is not None:
            return
        self._answers[key] = answer
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)
