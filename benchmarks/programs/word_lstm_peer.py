"""Tokens per CPU second of a plain loop with the sizes and steps of pytorch/examples' word_language_model.

Written for this page after that example: 2 layers of 200, time first, dropout .2, clipping at .25, SGD by hand, the
loss read at every step.

usage: word_lstm_peer.py TEXT STEPS
"""

import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)
WARM_UP, LANES, LENGTH, SIZE, RATE = 10, 20, 35, 200, 20.0


def main(path: str, steps: int) -> None:
    torch.manual_seed(0)
    words = [word for line in Path(path).read_text().splitlines() for word in (*line.split(), "<eos>")]
    index = {word: place for place, word in enumerate(dict.fromkeys(words))}
    tokens = torch.tensor([index[word] for word in words])
    lanes = tokens[: len(tokens) // LANES * LANES].view(LANES, -1).T.contiguous()
    embedding, output = nn.Embedding(len(index), SIZE), nn.Linear(SIZE, len(index))
    rnn, drop = nn.LSTM(SIZE, SIZE, 2, dropout=0.2), nn.Dropout(0.2)
    parameters = [*embedding.parameters(), *rnn.parameters(), *output.parameters()]
    hidden, start, total = (torch.zeros(2, LANES, SIZE), torch.zeros(2, LANES, SIZE)), 0.0, 0.0
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start = time.process_time()
        first = step * LENGTH % (len(lanes) - LENGTH - 1)
        chunk, targets = lanes[first : first + LENGTH], lanes[first + 1 : first + 1 + LENGTH].reshape(-1)
        for parameter in parameters:
            parameter.grad = None
        hidden = tuple(state.detach() for state in hidden)
        found, hidden = rnn(drop(embedding(chunk)), hidden)
        log_p = F.log_softmax(output(drop(found)).view(-1, len(index)), dim=1)
        loss = F.nll_loss(log_p, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.25)
        for parameter in parameters:
            parameter.data.add_(parameter.grad, alpha=-RATE)
        total += loss.item()
    seconds = time.process_time() - start
    print(json.dumps({"tokens_per_cpu_s": steps * LANES * LENGTH / seconds, "mean_loss": total / (WARM_UP + steps)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
