"""LitServe with batching in front of an ONNX file; runs in an environment of its own.

usage: serve_litserve.py MODEL PORT
"""

import sys

import litserve
import numpy as np
from onnxruntime import InferenceSession, SessionOptions


class Perceptron(litserve.LitAPI):  # at module level: the workers are spawned, and pickle it
    def setup(self, device: str) -> None:
        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: dict) -> list:  # LitServe looks for a parameter of this name
        return request["columns"]["features"][0]

    def batch(self, inputs: list) -> np.ndarray:
        return np.array(inputs, dtype=np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"features": np.atleast_2d(np.asarray(x, dtype=np.float32))})[0]

    def unbatch(self, output: np.ndarray) -> list:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict:
        return {"probabilities": np.ravel(output).tolist()}


if __name__ == "__main__":
    api = Perceptron(max_batch_size=64, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="warning",
        access_log=False,
    )  # fmt: skip
