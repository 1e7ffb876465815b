"""CPU seconds of forward and backward of the delta rule, step by step and chunkwise, beside the peer's.

Chunkwise forms count at the faster of two chunk sizes. The peer is flash-linear-attention on a CPU: the plain PyTorch
form that it keeps beside its Triton kernels. FOLDER holds it and einops: pip install --no-deps --target FOLDER fla-core==0.6.0 einops

usage: delta_rule.py [FOLDER] [--repeats 5]
"""

import argparse
import importlib.util
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.delta_rule import chunkwise_delta_rule, recurrent_delta_rule

torch.set_num_threads(1)
SIZES = {"B8 H4 T512 d64": (8, 4, 512, 64), "B2 H4 T2048 d64": (2, 4, 2048, 64)}
CHUNK_SIZES = (32, 64)
KINDS = ("chunkwise", "peer")
Rule = Callable[..., Tensor]


def peer_rules(folder: Path, gated: bool) -> dict[str, Rule]:
    """The peer's rules with our arguments; their file is read by itself, its package would ask for Triton."""
    sys.path.append(str(folder))
    name = "gated_delta_rule" if gated else "delta_rule"
    spec = importlib.util.spec_from_file_location(f"peer_{name}", folder / "fla" / "ops" / name / "naive.py")
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)

    # The gated ones take (B, T, H, ...): these transposes undo those that they start and end with.
    def recurrent(*inputs: Tensor) -> Tensor:
        if not gated:
            return peer.delta_rule_recurrence(*inputs)[0]
        return peer.naive_recurrent_gated_delta_rule(*(x.transpose(1, 2) for x in inputs))[0].transpose(1, 2)

    def chunkwise(*inputs: Tensor, chunk_size: int) -> Tensor:
        if not gated:
            return peer.delta_rule_chunkwise(*inputs, chunk_size=chunk_size)[0]
        query, key, value, plasticity, log_decay = (x.transpose(1, 2) for x in inputs)
        output, _ = peer.naive_chunk_gated_delta_rule(query, key, value, log_decay, plasticity, chunk_size=chunk_size)
        return output.transpose(1, 2)

    chunked = {f"peer {size}": partial(chunkwise, chunk_size=size) for size in CHUNK_SIZES}
    return {"peer recurrent": recurrent, **chunked}


def ours(rule: Callable[..., Any], **options: int) -> Rule:
    return lambda *inputs: rule(*inputs[:4], log_decay=inputs[4] if len(inputs) > 4 else None, **options)[0]


def make_inputs(batch: int, heads: int, length: int, size: int, gated: bool) -> list[Tensor]:
    """Query, key, value, plasticity and, if gated, log decay."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(batch, heads, length, size, generator=generator) for _ in range(3))
    plasticity, decay = (torch.randn(batch, heads, length, generator=generator) for _ in range(2))
    inputs = [F.normalize(query, dim=-1), F.normalize(key, dim=-1), value, plasticity.sigmoid()]
    inputs += [F.logsigmoid(decay + 3)] if gated else []
    return [x.requires_grad_() for x in inputs]


def cpu_seconds(rule: Rule, inputs: list[Tensor]) -> float:
    start = time.process_time()
    torch.autograd.grad(rule(*inputs).square().sum(), inputs)
    return time.process_time() - start


def measure(rules: dict[str, Rule], inputs: list[Tensor], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each rule, run in turn; what the rule before left of the allocator meets a first run."""
    with torch.no_grad():
        expected = rules["recurrent"](*inputs)
        for name, rule in rules.items():
            torch.testing.assert_close(rule(*inputs), expected, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    runs: dict[str, list[float]] = {name: [] for name in rules}
    for _ in range(repeats):
        for name, rule in rules.items():
            cpu_seconds(rule, inputs)
            runs[name].append(cpu_seconds(rule, inputs))
    return {name: statistics.median(seconds) for name, seconds in runs.items()}


def main(folder: Path | None, repeats: int) -> None:
    rows = []
    for size, shape in SIZES.items():
        for gated in (False, True):
            rules = {"recurrent": ours(recurrent_delta_rule)}
            rules |= {f"chunkwise {size}": ours(chunkwise_delta_rule, chunk_size=size) for size in CHUNK_SIZES}
            rules |= peer_rules(folder, gated) if folder else {}
            seconds = measure(rules, make_inputs(*shape, gated), repeats)
            best = {kind: min(seconds.get(f"{kind} {size}", math.nan) for size in CHUNK_SIZES) for kind in KINDS}
            ratios = {"over_recurrent": seconds["recurrent"] / best["chunkwise"]}
            if folder:
                ratios["over_peer"] = best["peer"] / best["chunkwise"]
                ratios["over_peer_recurrent"] = seconds["peer recurrent"] / best["chunkwise"]
            rows.append({"size": size, "gated": gated, "cpu_s": seconds, **ratios})
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.folder, arguments.repeats)
