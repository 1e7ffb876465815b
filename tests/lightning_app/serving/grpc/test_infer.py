"""Inference over gRPC: the same answers, checks and journal rows as over HTTP."""

import sqlite3
from typing import Any

import numpy as np
import pytest

from lightning_app.serving.grpc.messages import ErrorInfo, RpcStatus
from tests.lightning_app.packaging.runtime.test_node_ids import TEXTS
from tests.lightning_app.serving.grpc.grpc_calls import Calls, infer_request, raw_outputs, refused
from tests.lightning_app.serving.model_packages import LOOK_BACK
from tests.lightning_app.serving.server import RunningWorker
from tests.lightning_app.serving.v2.infer_bodies import infer_body
from tests.lightning_app.serving.v2.test_infer import HEADER, REFUSED, X

INPUTS: dict[str, dict[str, np.ndarray]] = {
    "price": {"features": X},
    "classes": {"features": X},
    "text": {"text": np.array([b"abc", b"cab"], dtype=object), "state_0": np.full((2, 6), 0.5, "f4"),
             "state_1": np.full((2, 6), -0.5, "f4")},
    "nodes": {"node_id": np.array([text.encode() for text in TEXTS[:3]], dtype=object)},
    "load": {"past": np.linspace(0, 9, 2 * LOOK_BACK, dtype="f4").reshape(2, LOOK_BACK, 1)},
}  # fmt: skip


def journalled(worker: RunningWorker, request_id: str) -> Any:
    """What the journal holds of a request, but the time."""
    names = (
        "model, version, digest, experiment, arm, probability, entity, num_rows, content_type, body, query, "
        "answer_type, answer, key_id, degraded"
    )
    with sqlite3.connect(worker.folder.parent / "journal.db") as database:
        return database.execute(f"select {names} from journal where request_id = ?", (request_id,)).fetchone()


def over_http(worker: RunningWorker, message: Any, inputs: dict[str, np.ndarray]) -> Any:
    """The answer to the same request over HTTP, with an id of the same length."""
    body, length = infer_body(inputs, id=message.id, parameters={"binary_data_output": True})
    answer = worker.client.post(f"/v2/models/{message.model_name}/infer", content=body, headers={HEADER: str(length)})
    assert answer.status_code == 200, answer.text
    header = answer.headers[HEADER]
    return answer, answer.content[int(header) :]


@pytest.mark.parametrize("model", INPUTS)
@pytest.mark.parametrize("is_raw", [True, False])
def test_answers_and_journal_rows_are_those_of_http(
    worker: RunningWorker, calls: Calls, model: str, is_raw: bool
) -> None:
    inputs = INPUTS[model]
    message = infer_request(
        model, inputs, is_raw=is_raw, id=f"{model}-{is_raw}-g", parameters={"binary_data_output": True}
    )
    response, facts = calls.infer(message)
    by_http = infer_request(model, inputs, id=f"{model}-{is_raw}-h")
    answer, content = over_http(worker, by_http, inputs)
    assert b"".join(response.raw_output_contents) == content
    assert (response.id, response.model_name) == (message.id, model)
    for name in ("x-model", "x-model-version", "x-model-digest", "x-arm"):
        assert facts[name] == answer.headers[name]
    assert facts["x-request-id"] == message.id
    row, other = journalled(worker, message.id), journalled(worker, by_http.id)
    assert row[:8] == other[:8]
    assert row[8].partition("=")[0] == other[8].partition("=")[0]
    assert row[12].replace(message.id.encode(), by_http.id.encode()) == other[12]  # the answer
    assert row[11:12] + row[13:] == other[11:12] + other[13:]
    raw = infer_request(model, inputs, id=message.id)
    assert calls.infer(raw)[1]["x-answered-before"] == "true"  # typed or raw, it is the same request


def test_a_typed_request_has_a_typed_answer_unless_it_says_otherwise(calls: Calls) -> None:
    message = infer_request("classes", {"features": X}, is_raw=False)
    typed, _ = calls.infer(message)
    raw, _ = calls.infer(infer_request("classes", {"features": X}))
    assert not typed.raw_output_contents
    assert typed.model_version == raw.model_version == "3"
    values = raw_outputs(raw)
    label, probability = typed.outputs[0], typed.outputs[1]
    assert list(probability.contents.fp32_contents) == np.frombuffer(values["probability"][2], "<f4").tolist()
    assert (
        b"".join(len(text).to_bytes(4, "little") + text for text in label.contents.bytes_contents) == values["label"][2]
    )


def test_only_what_was_asked_for_is_answered(calls: Calls) -> None:
    wanted = {"probabilities": {"classification": 2}, "label": {}}
    response, _ = calls.infer(infer_request("classes", {"features": X}, outputs=wanted))
    assert [(output.name, list(output.shape)) for output in response.outputs] == [
        ("probabilities", [3, 2]), ("label", [3])
    ]  # fmt: skip


def test_an_id_is_answered_once_whichever_protocol_asks(worker: RunningWorker, calls: Calls) -> None:
    message = infer_request("price", {"features": X}, id="both-ways")
    first, _ = calls.infer(message)
    row = journalled(worker, "both-ways")
    length = row[8].rpartition("=")[2]
    again = worker.client.post("/v2/models/price/infer", content=row[9], headers={HEADER: length})
    assert again.headers["x-answered-before"] == "true"
    assert again.content.endswith(first.raw_output_contents[0])
    other = refused(lambda: calls.infer(infer_request("price", {"features": X + 1}, id="both-ways")))
    assert other[:2] == ("ALREADY_EXISTS", "X-Request-Id: used for another request before; take a new one")


CODES = {
    400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 413: "RESOURCE_EXHAUSTED", 422: "INVALID_ARGUMENT",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip


@pytest.mark.parametrize("what", [name for name in REFUSED if name != "size"])
def test_what_http_refuses_is_refused_with_the_same_words(calls: Calls, what: str) -> None:
    address, inputs, fields, status, message = REFUSED[what]
    model, _, version = address.partition("/versions/")
    fields = dict(fields)
    if "outputs" in fields:
        fields["outputs"] = {output["name"]: {} for output in fields["outputs"]}
    request = infer_request(model, inputs, model_version=version, **fields)
    code, details, facts = refused(lambda: calls.infer(request))
    assert (code, details[: len(message)]) == (CODES[status], message)
    assert facts["x-request-id"]
    of = RpcStatus.FromString(facts["grpc-status-details-bin"])
    assert (of.code, of.message) == ({"INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "RESOURCE_EXHAUSTED": 8,
                                      "DEADLINE_EXCEEDED": 4}[code], details)  # fmt: skip
    assert ErrorInfo.FromString(of.details[0].value).reason.isupper()


def typed(change: Any) -> Any:
    message = infer_request("price", {"features": X}, is_raw=False)
    change(message)
    return message


def raw(change: Any) -> Any:
    message = infer_request("price", {"features": X})
    change(message)
    return message


def other_field(message: Any) -> None:
    message.inputs[0].contents.ClearField("fp32_contents")
    message.inputs[0].contents.fp64_contents.extend([1.0] * 12)


MISTAKES: dict[str, tuple[Any, str]] = {
    "no message": (b"\xff\xff", "body: no ModelInferRequest"),
    "empty message": (b"", "model: '' given, served are price"),
    "no inputs": (infer_request("price", {}), "body: "),
    "few values": (
        typed(lambda m: m.inputs[0].contents.fp32_contents.pop()),
        "features: 11 values given, shape [3, 4] has 12",
    ),
    "another field": (typed(other_field), "features: fp64_contents given for datatype 'FP32', fp32_contents needed"),
    "both": (
        raw(lambda m: m.inputs[0].contents.fp32_contents.append(1)),
        "features: contents given beside raw_input_contents",
    ),
    "raw of one": (raw(lambda m: m.raw_input_contents.append(b"")), "raw_input_contents: 2 given for 1 inputs"),
    "raw too short": (
        raw(lambda m: m.raw_input_contents.__setitem__(0, b"abc")),
        "features: 3 bytes given, FP32 [3, 4] has 48",
    ),
    "huge shape": (raw(lambda m: m.inputs[0].shape.__setitem__(0, 2**60)), "body: expected `int` <="),
    "negative shape": (raw(lambda m: m.inputs[0].shape.__setitem__(0, -3)), "body: expected `int` >= 0"),
    "many values": (
        raw(lambda m: m.inputs[0].shape.extend([2**27, 2**27])),
        "features: shape [3, 4, 134217728, 134217728] given, at most",
    ),
    "twice": (
        raw(lambda m: (m.inputs.add().CopyFrom(m.inputs[0]), m.raw_input_contents.append(m.raw_input_contents[0]))),
        "features: given twice",
    ),
    "half": (infer_request("price", {"features": X.astype("f2")}), "features: datatype FP16 given, FP32 needed"),
    "half, typed": (typed(lambda m: setattr(m.inputs[0], "datatype", "FP16")), "features: FP16 has no typed contents"),
    "datatype": (
        raw(lambda m: setattr(m.inputs[0], "datatype", "BF16")),
        "features: datatype 'BF16' given, allowed: BOOL",
    ),
    "datatype, typed": (
        typed(lambda m: setattr(m.inputs[0], "datatype", "X")),
        "features: fp32_contents given for datatype 'X'",
    ),
    "parameter": (
        infer_request("price", {"features": X}, parameters={"priority": 3}),
        "parameters: parameter 'priority' given, allowed",
    ),
    "nothing in it": (raw(lambda m: m.parameters["x"].Clear()), "parameters: parameter x: no value given"),
    "raw?": (
        infer_request("price", {"features": X}, parameters={"binary_data_output": 1}),
        "parameters: parameter binary_data_output: 1 given",
    ),
    "shared memory": (
        raw(lambda m: setattr(m.inputs[0].parameters["shared_memory_region"], "string_param", "a")),
        "features: parameter 'shared_memory_region' given",
    ),
    "size": (
        raw(lambda m: setattr(m.inputs[0].parameters["binary_data_size"], "int64_param", 1)),
        "features: parameter binary_data_size: given",
    ),
    "binary": (
        infer_request("price", {"features": X}, outputs={"price": {"binary_data": False}}),
        "price: parameter binary_data: given",
    ),
    "range": (
        typed(
            lambda m: (
                setattr(m.inputs[0], "datatype", "INT8"),
                m.inputs[0].ClearField("contents"),
                m.inputs[0].contents.int_contents.extend([300] * 12),
            )
        ),
        "features: a value is out of the range of INT8",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_in_a_message_are_named(calls: Calls, what: str) -> None:
    message, words = MISTAKES[what]
    code, details, _ = refused(lambda: calls.infer(message))
    assert (code, details[: len(words)]) == ("NOT_FOUND" if what == "empty message" else "INVALID_ARGUMENT", words)


def test_a_deadline_may_be_in_the_metadata(calls: Calls) -> None:
    message = infer_request("price", {"features": X})
    by_header = refused(lambda: calls.infer(message, metadata=(("x-deadline-ms", "0.001"),)))
    assert by_header[:2] == ("DEADLINE_EXCEEDED", "the deadline passed before the answer was there")
    calls.infer(message, metadata=(("x-deadline-ms", "20000"),))
    wrong = refused(lambda: calls.infer(message, metadata=(("x-deadline-ms", "soon"),)))
    assert wrong[:2] == (
        "INVALID_ARGUMENT", "X-Deadline-Ms: a number of milliseconds from above 0 to a day needed"
    )  # fmt: skip


def test_metadata_name_the_request_and_its_trace(calls: Calls) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    metadata = (("x-request-id", "of-metadata"), ("traceparent", trace), ("x-unknown", "1"), ("some-bin", b"\0"))
    response, facts = calls.infer(infer_request("price", {"features": X}), metadata=metadata)
    assert response.id == facts["x-request-id"] == "of-metadata"
    assert facts["traceparent"].split("-")[1] == "a" * 32
    both = refused(lambda: calls.infer(infer_request("price", {"features": X}, id="x"), metadata=metadata))
    assert both[:2] == ("INVALID_ARGUMENT", "id: 'x' given, the header X-Request-Id has another one")


def test_a_stream_answers_in_order_and_survives_errors(worker: RunningWorker, calls: Calls) -> None:
    requests = [infer_request("price", {"features": X * number}, id=f"stream-{number}") for number in range(20)]
    requests[7] = infer_request("none", {"features": X}, id="stream-7")
    requests[8] = b"\xff\xff"
    requests[9] = infer_request("price", {"features": X * np.nan}, id="stream-9", is_raw=False)
    answers = list(calls.stream(requests))
    expected = ["" if number in (7, 8, 9) else f"stream-{number}" for number in range(20)]
    assert [answer.infer_response.id if not answer.error_message else "" for answer in answers] == expected
    assert [answers[7].error_message[:21], answers[8].error_message, answers[9].error_message[:5]] == [
        "model: 'none' given, ", "body: no ModelInferRequest", "row 0"
    ]  # fmt: skip
    assert (answers[7].infer_response.id, answers[7].infer_response.model_name) == ("stream-7", "none")
    parameters = answers[0].infer_response.parameters
    assert parameters["arm"].string_param == "champion"
    assert parameters["digest"].string_param
    alone, _ = calls.infer(infer_request("price", {"features": X * 3}))
    assert answers[3].infer_response.raw_output_contents == alone.raw_output_contents
    assert journalled(worker, "stream-3") is not None
    again = list(calls.stream(requests[:1]))
    assert again[0].infer_response.parameters["answered_before"].string_param == "true"
    (refusal,) = calls.stream(requests[:1], metadata=(("x-request-id", "one"),))
    assert refusal.error_message.startswith("X-Request-Id: given for a stream")


def test_a_sequence_in_a_stream_goes_on_from_request_to_request(calls: Calls) -> None:
    texts, marks = [b"abc", b"d", b"a"], [{"sequence_start": True}, {}, {"sequence_end": True}]
    answers = calls.stream(
        infer_request(
            "text",
            {"text": np.array([text], dtype=object)},
            parameters={"sequence_id": 77, **mark},
            outputs={"logits": {}},
        )
        for text, mark in zip(texts, marks, strict=True)
    )
    parts = [raw_outputs(answer.infer_response)["logits"] for answer in answers]
    assert [shape for _, shape, _ in parts] == [[1, 3, 10], [1, 1, 10], [1, 1, 10]]
    whole = calls.infer(infer_request("text", {"text": np.array([b"abcda"], dtype=object)}))[0]
    expected = np.frombuffer(raw_outputs(whole)["logits"][2], "<f4")
    found = np.frombuffer(b"".join(content for _, _, content in parts), "<f4")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
