"""Calls of the real `tritonclient.grpc`, run by `test_triton.py` with the interpreter of an environment of its own.

usage: triton_grpc_calls.py HOST:PORT     (prints what was answered as JSON)
"""

import json
import queue
import sys

import numpy as np
from tritonclient import grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

client = grpc.InferenceServerClient(sys.argv[1])
X = np.arange(12, dtype=np.float32).reshape(3, 4) / 10
found = {}


def tensors(arrays):
    inputs = []
    for name, array in arrays.items():
        inputs.append(grpc.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    return inputs


def ask(model, arrays, **options):
    return client.infer(model, tensors(arrays), **options)


def plain(result, *names):
    answers = {}
    for name in names:
        array = result.as_numpy(name)
        values = [value.decode() if isinstance(value, bytes) else value for value in array.ravel().tolist()]
        answers[name] = [str(array.dtype), list(array.shape), values]
    return answers


def refused(call):
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return None


found["live"] = [client.is_server_live(), client.is_server_ready(), client.is_model_ready("classes")]
found["server"] = client.get_server_metadata(as_json=True)
found["metadata"] = client.get_model_metadata("text", as_json=True)
found["raw"] = plain(ask("price", {"features": X}, request_id="from-triton-grpc"), "price")
found["id"] = ask("price", {"features": X}, request_id="from-triton-grpc").get_response().id
found["compressed"] = plain(ask("price", {"features": X}, compression_algorithm="gzip"), "price")
found["classes"] = plain(ask("classes", {"features": X}, model_version="3"), "label", "probabilities")
best = [grpc.InferRequestedOutput("probabilities", class_count=1)]
found["classification"] = plain(ask("classes", {"features": X}, outputs=best), "probabilities")
nodes = np.array([b"anna", "é".encode()], dtype=object)
found["nodes"] = plain(ask("nodes", {"node_id": nodes}), "node_id", "label")

first = ask("text", {"text": np.array([b"abc", b"cab"], dtype=object)})
state = {f"state_{place}": first.as_numpy(f"next_state_{place}") for place in (0, 1)}
second = ask("text", {"text": np.array([b"da", b"hb"], dtype=object), **state})
whole = ask("text", {"text": np.array([b"abcda", b"cabhb"], dtype=object)})
found["state"] = float(np.abs(whole.as_numpy("logits")[:, 3:] - second.as_numpy("logits")).max())

answers = queue.Queue()
client.start_stream(callback=lambda result, error: answers.put((result, error)))
for number in range(5):
    client.async_stream_infer(
        "none" if number == 2 else "price", tensors({"features": X * number}), request_id=f"stream-triton-{number}"
    )
found["stream"] = []
for _ in range(5):
    result, error = answers.get(timeout=30)
    answer = [None, error.message()] if error else [result.get_response().id, plain(result, "price")["price"][2]]
    found["stream"].append(answer)
client.stop_stream()

found["refused"] = {
    "model": refused(lambda: ask("none", {"features": X})),
    "version": refused(lambda: ask("classes", {"features": X}, model_version="4")),
    "shape": refused(lambda: ask("price", {"features": X[:, :3]})),
    "datatype": refused(lambda: ask("price", {"features": X.astype(np.int64)})),
    "nothing": refused(lambda: ask("price", {"features": X * np.nan})),
    "deadline": refused(lambda: ask("price", {"features": X}, headers={"x-deadline-ms": "0.001"})),
    "priority": refused(lambda: ask("price", {"features": X}, priority=1)),
    "id": refused(lambda: ask("price", {"features": X + 1}, request_id="from-triton-grpc")),
}
print(json.dumps(found))
