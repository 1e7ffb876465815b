"""Calls of the real `tritonclient`, run by `test_triton.py` with the interpreter of an environment of its own.

usage: triton_calls.py HOST:PORT     (prints what was answered as JSON)
"""

import json
import sys

import numpy as np
from tritonclient import http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

client = http.InferenceServerClient(sys.argv[1])
X = np.arange(12, dtype=np.float32).reshape(3, 4) / 10
found = {}


def ask(model, tensors, *, is_binary=True, outputs=None, **options):
    inputs = []
    for name, array in tensors.items():
        inputs.append(http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array, binary_data=is_binary)
    return client.infer(model, inputs, outputs=outputs, **options)


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
found["versions"] = [client.is_model_ready("classes", version) for version in ("3", "4")]
found["server"] = client.get_server_metadata()
found["metadata"] = client.get_model_metadata("text")

found["binary"] = plain(ask("price", {"features": X}), "price")
found["compressed"] = plain(
    ask("price", {"features": X}, request_compression_algorithm="gzip", response_compression_algorithm="gzip"), "price"
)
found["deflated"] = plain(ask("price", {"features": X}, request_compression_algorithm="deflate"), "price")
wanted = [http.InferRequestedOutput("price", binary_data=False)]
result = ask("price", {"features": X}, is_binary=False, outputs=wanted, request_id="from-triton")
found["json"] = plain(result, "price")
found["id"] = result.get_response()["id"]
pending = [
    client.async_infer("price", [http.InferInput("features", [3, 4], "FP32").set_data_from_numpy(X)]) for _ in range(4)
]
found["async"] = [plain(request.get_result(), "price") for request in pending]

found["classes"] = plain(ask("classes", {"features": X}, model_version="3"), "label", "probability", "probabilities")
best = [http.InferRequestedOutput("probabilities", class_count=1)]
found["classification"] = plain(ask("classes", {"features": X}, outputs=best), "probabilities")

nodes = np.array([b"anna", "é".encode()], dtype=object)
for mode in (True, False):
    found[f"nodes, binary {mode}"] = plain(ask("nodes", {"node_id": nodes}, is_binary=mode), "node_id", "label")

first = ask("text", {"text": np.array([b"abc", b"cab"], dtype=object)})
state = {f"state_{place}": first.as_numpy(f"next_state_{place}") for place in (0, 1)}
second = ask("text", {"text": np.array([b"da", b"hb"], dtype=object), **state})
whole = ask("text", {"text": np.array([b"abcda", b"cabhb"], dtype=object)})
found["stream"] = float(np.abs(whole.as_numpy("logits")[:, 3:] - second.as_numpy("logits")).max())

found["refused"] = {
    "model": refused(lambda: ask("none", {"features": X})),
    "version": refused(lambda: ask("classes", {"features": X}, model_version="4")),
    "shape": refused(lambda: ask("price", {"features": X[:, :3]})),
    "datatype": refused(lambda: ask("price", {"features": X.astype(np.int64)})),
    "name": refused(lambda: ask("price", {"x": X})),
    "output": refused(lambda: ask("price", {"features": X}, outputs=[http.InferRequestedOutput("y")])),
    "nothing": refused(lambda: ask("price", {"features": X * np.nan})),
    "priority": refused(lambda: ask("price", {"features": X}, priority=1)),
}
print(json.dumps(found))
