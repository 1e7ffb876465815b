"""Perplexity of plain loops over a two-layer LSTM of words, beside which ours is measured.

`constant` is the loop of pytorch/examples' word_language_model for one epoch: chunks of 35, dropout .2, rate 20 on the
mean loss, clipping at .25, weights as torch draws them. `zaremba` is the small model of Zaremba, Sutskever & Vinyals
(2014): chunks of 20, no dropout, weights from -.1 to .1, rate 1 on the loss summed over the steps of a chunk, clipping
at 5, the rate halved before each epoch after the fourth. On the mean loss that is rate 20 and clipping at .25.

usage: word_lstm_loop.py FOLDER constant|zaremba EPOCHS SEED
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.set_num_threads(1)
LANES, SIZE, RATE, CLIP = 20, 200, 20.0, 0.25
CHUNK = {"constant": 35, "zaremba": 20}
DROPOUT = {"constant": 0.2, "zaremba": 0.0}


class WordLSTM(nn.Module):
    def __init__(self, vocabulary: int, dropout: float) -> None:
        super().__init__()
        self.embedding, self.output = nn.Embedding(vocabulary, SIZE), nn.Linear(SIZE, vocabulary)
        self.rnn, self.drop = nn.LSTM(SIZE, SIZE, 2, dropout=dropout), nn.Dropout(dropout)

    def forward(self, tokens: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        found, state = self.rnn(self.drop(self.embedding(tokens)), state)
        return self.output(self.drop(found)).flatten(0, 1), state


def start() -> tuple[Tensor, ...]:
    return torch.zeros(2, LANES, SIZE), torch.zeros(2, LANES, SIZE)


def chunks(lanes: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    ends = range(0, len(lanes) - 1, length)
    return [(lanes[at : at + length][: len(lanes) - 1 - at], lanes[at + 1 : at + 1 + length]) for at in ends]


@torch.no_grad()
def perplexity(model: WordLSTM, lanes: Tensor) -> float:
    model.eval()
    state, total = start(), 0.0
    for tokens, targets in chunks(lanes, 35):
        scores, state = model(tokens, state)
        total += float(F.cross_entropy(scores, targets.flatten(), reduction="sum"))
    model.train()
    return math.exp(total / (len(lanes) - 1) / LANES)


def main(folder: Path, kind: str, epochs: int, seed: int) -> None:
    torch.manual_seed(seed)
    files = {split: (folder / f"{split}.txt").read_text().splitlines() for split in ("train", "valid", "test")}
    words = {split: [word for line in lines for word in (*line.split(), "<eos>")] for split, lines in files.items()}
    index = {word: place for place, word in enumerate(dict.fromkeys(["<unk>", *words["train"]]))}
    lanes = {}
    for split, found in words.items():
        tokens = torch.tensor([index[word] for word in found])
        lanes[split] = tokens[: len(tokens) // LANES * LANES].view(LANES, -1).T.contiguous()
    model, rate, validated = WordLSTM(len(index), DROPOUT[kind]), RATE, []
    if kind == "zaremba":
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)
    for epoch in range(epochs):
        if kind == "zaremba" and epoch >= 4:
            rate /= 2
        state = start()
        for tokens, targets in chunks(lanes["train"], CHUNK[kind]):
            scores, state = model(tokens, tuple(part.detach() for part in state))
            model.zero_grad()
            F.cross_entropy(scores, targets.flatten()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            for parameter in model.parameters():
                parameter.data.add_(parameter.grad, alpha=-rate)
        validated.append(perplexity(model, lanes["valid"]))
    print(json.dumps({"valid": validated, "test": perplexity(model, lanes["test"]), "vocabulary": len(index)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
