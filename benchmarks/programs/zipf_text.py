"""Writes a text of random words whose frequencies fall like those of a natural language.

usage: zipf_text.py PATH NUM_WORDS VOCABULARY
"""

import json
import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    path, num_words, vocabulary = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(3, vocabulary + 3)
    drawn = rng.choice(vocabulary, size=num_words, p=frequency / frequency.sum())
    drawn[:vocabulary] = np.arange(vocabulary)  # every word occurs
    lines = np.array_split(drawn, num_words // 20)
    path.write_text("\n".join(" ".join(f"w{word}" for word in line) for line in lines) + "\n")
    print(json.dumps({"words": num_words, "vocabulary": vocabulary}))
