"""Search in an index of embeddings: exact with numpy and faiss, approximate with HNSW."""

from benchmarks.measure import run
from benchmarks.page import table

_ENGINES = {"numpy": "numpy, exact, embeddings on disk", "faiss": "faiss, exact", "hnsw": "faiss, HNSW"}


def retrieval() -> str:
    """Nearest rows of 100,000 x 384: one question and 1,000, exact and approximate."""
    rows = []
    for engine, name in _ENGINES.items():
        cost = run("index_search", engine)
        found = cost.answer
        rows.append(
            f"{name}|{found['one_ms']:.1f}|{found['many_ms']:,.0f}|{found['recall']:.4f}|{found['build_cpu_s']:.1f}|"
            f"{found['load_s']:.2f}|{cost.peak_mib:,.0f}"
        )
    return (
        "100,000 vectors of 384 numbers around 2,000 centres, the 10 nearest of each question, one thread; medians of 51 "
        "searches of one question and of 5 searches of 1,000. Building writes the folder with its checksums; opening "
        "verifies them, and answers the first question. Recall is the share of the exact 10 that are found.\n\n"
    ) + table("|1 question, ms|1,000 questions, ms|recall of 10|build, CPU s|open, s|MiB", *rows)


SECTIONS = {"retrieval": retrieval}
