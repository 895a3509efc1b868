"""Recurrent cells, slowly: an utterance after the other, a frame after the other, by equation.

A gate's weights are entries of dictionaries: W[gate] (H, F), R[gate] (H, H), b[gate] (H,) and
p[gate] (H,). Results are dictionaries of (T, N, H).
"""

import torch


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def over_time(step, x, hidden, cell):
    """Results of `step(x, hidden, cell)` for every frame of every utterance; hidden is "h"."""
    columns = []
    for n in range(x.shape[1]):
        h, c, rows = hidden[n], cell[n], []
        for t in range(x.shape[0]):
            rows.append(step(x[t, n], h, c))
            h, c = rows[-1]["h"], rows[-1].get("c")
        columns.append({key: torch.stack([row[key] for row in rows]) for key in rows[0]})
    return {key: torch.stack([column[key] for column in columns], dim=1) for key in columns[0]}


def peephole_lstm(x, hidden, cell, W, R, b, p):
    """Graves 2013 (arXiv:1308.0850), equations 7-11."""

    def step(x, h, c_before):
        i = sigmoid(W["i"] @ x + R["i"] @ h + p["i"] * c_before + b["i"])
        f = sigmoid(W["f"] @ x + R["f"] @ h + p["f"] * c_before + b["f"])
        g = torch.tanh(W["g"] @ x + R["g"] @ h + b["g"])
        c = f * c_before + i * g
        o = sigmoid(W["o"] @ x + R["o"] @ h + p["o"] * c + b["o"])
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}

    return over_time(step, x, hidden, cell)


def coupled_lstm(x, hidden, cell, W, R, b):
    """Greff et al. 2017, CIFG: what an input gate takes in, the forget gate drops."""

    def step(x, h, c_before):
        i = sigmoid(W["i"] @ x + R["i"] @ h + b["i"])
        g = torch.tanh(W["g"] @ x + R["g"] @ h + b["g"])
        c = (1 - i) * c_before + i * g
        o = sigmoid(W["o"] @ x + R["o"] @ h + b["o"])
        return {"i": i, "f": 1 - i, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}

    return over_time(step, x, hidden, cell)


def irnn(x, hidden, W, R, b):
    """Le et al. 2015: a plain RNN of rectified linear units."""

    def step(x, h, _):
        sums = W @ x + R @ h + b
        return {"h": sums * (sums > 0)}

    return over_time(step, x, hidden, hidden)
