"""Writes train.txt, valid.txt and test.txt as the Penn Treebank of language models is written, of text that is here.

A sentence per line, lower case, no punctuation, numbers are N, words beyond the vocabulary of the training text <unk>.

usage: penn_like_text.py FOLDER reviews|plays NUM_TOKENS VOCABULARY
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import polars as pl

from datamodules.sources import data_root

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+")


def sentences(text: str) -> list[list[str]]:
    found = (WORD.findall(sentence.lower()) for sentence in re.split(r"(?<=[.!?])\s+|\n+", text))
    return [["N" if word[0].isdigit() else word for word in sentence] for sentence in found if sentence]


def reviews() -> dict[str, list[list[str]]]:
    """Reviews of womens_clothing: those of val.csv train; of test.csv a quarter is held out, the rest trains as well."""
    tables = [pl.read_csv(data_root(None) / f"womens_clothing/{part}.csv") for part in ("val", "test")]
    first, second = (table["Review Text"].drop_nulls().to_list() for table in tables)
    eighth = len(second) // 8
    parts = {"train": first + second[2 * eighth :], "valid": second[:eighth], "test": second[eighth : 2 * eighth]}
    return {split: [line for text in texts for line in sentences(text)] for split, texts in parts.items()}


def plays() -> dict[str, list[list[str]]]:
    """Shakespeare's plays: first 80 % of the characters, next 10 %, last 10 %."""
    text = (data_root(None) / "tinyshakespeare/input.txt").read_text()
    cuts = [0, *(int(share * len(text)) for share in (0.8, 0.9, 1.0))]
    spans = zip(("train", "valid", "test"), cuts[:-1], cuts[1:], strict=True)
    return {split: sentences(text[start:end]) for split, start, end in spans}


def main(folder: Path, name: str, num_tokens: int, vocabulary: int) -> None:
    parts = {"reviews": reviews, "plays": plays}[name]()
    kept, size = [], 0
    for line in parts["train"]:
        if size >= num_tokens:
            break
        kept.append(line)
        size += len(line) + 1
    parts["train"] = kept
    counts = Counter(word for line in kept for word in line)
    known = {word for word, _ in counts.most_common(vocabulary - 2)}  # beside <unk> and the end of a line
    sizes = {}
    for split, lines in parts.items():
        written = (" ".join(word if word in known else "<unk>" for word in line) for line in lines)
        (folder / f"{split}.txt").write_text("".join(f" {line} \n" for line in written))
        sizes[split] = sum(len(line) + 1 for line in lines)
    print(json.dumps({"tokens": sizes, "vocabulary": len(known) + 2}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
