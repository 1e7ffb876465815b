"""Transformer encoder of 4 layers, width 256, 128 tokens: fp32, int8 and fp16, asked in turns on one thread.

usage: encoder_variants.py BATCH_SIZE SECONDS
"""

import json
import statistics
import sys
import time

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from lightning_app.packaging import TensorSpec
from lightning_app.packaging.export.onnx_file import write_onnx
from lightning_app.packaging.optimize.fp16 import halve_weights
from lightning_app.packaging.optimize.int8 import quantize_weights

TOKENS, FEATURES, WIDTH, HEADS, LAYERS, CLASSES = 128, 32, 256, 8, 4, 10


class Encoder(nn.Module):
    """Tokens of features to one vector of classes."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.embedding = nn.Linear(FEATURES, WIDTH)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor) -> tuple[Tensor]:
        """(B, T, F) -> (B, classes)."""
        return (self.head(self.encoder(self.embedding(tokens)).mean(dim=1)),)


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def main(batch_size: int, seconds: float) -> None:
    torch.manual_seed(0)
    single = write_onnx(
        Encoder().eval(),
        (torch.randn(2, TOKENS, FEATURES),),
        inputs=[TensorSpec("tokens", "float32", ("batch", TOKENS, FEATURES), unit="")],
        outputs=[TensorSpec("logits", "float32", ("batch", CLASSES), unit="")],
    )
    models = {"fp32": single, "int8": quantize_weights(single), "fp16": halve_weights(single)}
    sessions = {kind: session(model) for kind, model in models.items()}
    request = {"tokens": np.random.default_rng(0).standard_normal((batch_size, TOKENS, FEATURES)).astype(np.float32)}
    answers = {kind: asked.run(None, request)[0] for kind, asked in sessions.items()}
    times: dict[str, list[float]] = {kind: [] for kind in models}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["fp32"]) < 10:
        for kind, asked in sessions.items():
            start = time.perf_counter()
            asked.run(None, request)
            times[kind].append(1e3 * (time.perf_counter() - start))
    largest = np.abs(answers["fp32"]).max()
    print(
        json.dumps(
            {
                kind: {
                    "ms": statistics.median(times[kind]),
                    "least_ms": min(times[kind]),
                    "bytes": len(models[kind]),
                    "apart": float(np.abs(answers[kind] - answers["fp32"]).max() / largest),
                }
                for kind in models
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
