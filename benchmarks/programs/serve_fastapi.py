"""FastAPI and uvicorn doing nothing but predict with an ONNX file; runs in an environment of its own.

usage: serve_fastapi.py MODEL PORT
"""

import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from onnxruntime import InferenceSession, SessionOptions
from pydantic import BaseModel

options = SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Columns(BaseModel):
    features: list[list[float]]


class Body(BaseModel):
    columns: Columns


class Answer(BaseModel):
    probabilities: list[list[float]]


@app.post("/predict")
async def predict(body: Body) -> Answer:
    x = np.array(body.columns.features, dtype=np.float32)
    return Answer(probabilities=session.run(None, {"features": x})[0].tolist())


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop", http="httptools", access_log=False,
        log_level="warning",
    )  # fmt: skip
