"""RecordRedaction: what may be written of records of one worker, as the configuration of the journal says."""

import asyncio
from collections.abc import Collection

from msgspec.structs import replace

from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.errors import JournalDownError
from lightning_app.serving.journal.record import Prediction, Shadow
from lightning_app.serving.journal.redaction import Redaction

_LARGE_BYTES = 2**18
_LEFT_OUT = "the reason is left out: it may quote columns that are dropped or hashed"


class RecordRedaction:
    """Drops and hashes columns, once the salt of the journal is known.

    Args:
        config: Which columns.

    Attributes:
        is_needed: Whether there are columns to drop or to hash.
        num_unreadable: Bodies and answers that were left out, because their format is unknown.
    """

    def __init__(self, config: JournalConfig) -> None:
        self.is_needed = bool(config.drop or config.hash)
        self.num_unreadable = 0
        self._config = config
        self._salt: bytes | None = None
        self._tensors: frozenset[str] = frozenset()
        self._redaction: Redaction | None = None

    def use_salt(self, salt: bytes) -> None:
        """Takes the salt of the journal.

        Args:
            salt: The salt.
        """
        if self.is_needed:
            self._salt = salt
            self._renew()

    def drop_tensors(self, names: Collection[str]) -> None:
        """Leaves out whole tensors, because a column that is to be dropped or hashed is among their columns.

        Args:
            names: Inputs of models; those of earlier calls stay left out.
        """
        self._tensors |= frozenset(names)
        if self._salt is not None:
            self._renew()

    async def prediction(self, prediction: Prediction) -> Prediction:
        """What may be written of a prediction.

        Args:
            prediction: As it was answered.

        Raises:
            JournalDownError: The salt is not known yet.
        """
        redaction = self._known()
        if len(prediction.body) + len(prediction.answer) < _LARGE_BYTES:
            redacted, unreadable = redaction.apply(prediction)
        else:
            loop = asyncio.get_running_loop()
            redacted, unreadable = await loop.run_in_executor(None, redaction.apply, prediction)
        self.num_unreadable += unreadable
        return redacted

    def shadow(self, shadow: Shadow) -> Shadow:
        """What may be written of the answer of a shadow; may be called by any thread.

        Args:
            shadow: As it answered.

        Raises:
            JournalDownError: The salt is not known yet.
        """
        if not self.is_needed:
            return shadow
        redaction = self._known()
        error = None if shadow.error is None else _LEFT_OUT
        answer = None if shadow.answer is None else redaction.answer(shadow.answer, shadow.answer_type)[0]
        return replace(shadow, answer=answer, error=error)

    def _known(self) -> Redaction:
        if self._redaction is None:
            raise JournalDownError("journal: it was not open yet; columns are hashed with its salt")
        return self._redaction

    def _renew(self) -> None:
        assert self._salt is not None
        self._redaction = Redaction(
            dropped={*self._config.drop, *self._tensors}, hashed=self._config.hash, salt=self._salt
        )
