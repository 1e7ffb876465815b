"""Recording: rows of the journal and messages of answers and dead letters."""

import time

from lightning_app.serving.http.answers import encode_answer
from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.inference.prediction_record import arrow_features, content_digest
from lightning_app.serving.journal.record import Prediction
from lightning_app.serving.stream.address import Address
from lightning_app.serving.stream.answering.answering import Answered
from lightning_app.serving.stream.event import DeadLetter, Event, Output

ARM = "champion"


class Recording:
    """Makes rows and messages.

    Args:
        source: Where the events come from.
        answer_type: Media type of answers; None answers as the event was written.
        digits: Significant digits of numbers; None keeps all.
    """

    def __init__(self, source: Address, *, answer_type: str | None, digits: int | None) -> None:
        self._source, self._answer_type, self._digits = source, answer_type, digits

    def prediction(self, one: Answered, model: LoadedModel) -> Prediction:
        """The row of an answer.

        Args:
            one: The answer.
            model: The version that answered.
        """
        event = one.event
        media_type = event.content_type.partition(";")[0].strip().lower()
        answer_type = self._answer_type or media_type
        body = encode_answer(
            one.answer,
            model,
            media_type=answer_type,
            orient=one.request.orient,
            arm=ARM,
            request_id=event.request_id,
            digits=self._digits,
        )
        features = one.answer.features
        return Prediction(
            request_id=event.request_id,
            time=time.time() - one.seconds,
            model=model.name,
            version=model.version,
            digest=model.digest,
            arm=ARM,
            probability=1.0,
            entity=one.entity,
            num_rows=one.request.num_rows,
            latency_ms=1000 * one.seconds,
            content_type=media_type,
            body=one.body,
            query="",
            answer_type=answer_type,
            answer=body,
            features=None if features is None else arrow_features(features),
            body_digest=content_digest(event.body, media_type, self._answer_type, ""),
            key_id=None,
            degraded=None,
        )

    def output(self, event: Event, prediction: Prediction) -> Output:
        """The message of an answer.

        Args:
            event: The event.
            prediction: Its row.
        """
        headers = {
            **self._position(event),
            "model": prediction.model,
            "model-version": "" if prediction.version is None else str(prediction.version),
            "model-digest": prediction.digest,
        }
        return Output(event.request_id, event.key, prediction.answer_type, headers, prediction.answer)

    def letter(self, letter: DeadLetter) -> Output:
        """The message of a dead letter: the event as it came, with the reason.

        Args:
            letter: The letter.
        """
        event = letter.event
        reason = letter.reason.encode("ascii", "backslashreplace").decode()
        headers = {**self._position(event), "code": letter.code, "reason": reason}
        return Output(event.request_id, event.key, event.content_type or JSON, headers, event.body)

    def _position(self, event: Event) -> dict[str, str]:
        source = self._source
        if source.kind == "kafka":
            return {"input-topic": source.name, "input-partition": event.partition, "input-offset": event.position}
        return {"input-stream": source.name, "input-id": event.position}
