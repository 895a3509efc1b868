"""Draw the pictures of docs/concepts.md, from the project's own loss, alignment and decoder.

    python -m manual.pictures

Each has a white ground of its own, so that it is read on a light page and on a dark one.
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from asr.ctc import ctc_loss, forced_align, occupancies
from asr.decoding import BeamSearchDecoder, Hypothesis
from asr.files import replacing

FOLDER = Path(__file__).parents[1] / "docs/images"
BLUE, AMBER, GREEN, GREY, RED = "#2f6da8", "#c77700", "#2e8b57", "#9aa0a6", "#b23b3b"
LETTER_COLOURS = {"c": AMBER, "a": BLUE, "t": GREEN}
# Same picture, same bytes, with the same matplotlib.
mpl.rcParams |= {"svg.hashsalt": "asr", "font.size": 9, "axes.spines.top": False}
mpl.rcParams |= {"axes.spines.right": False, "figure.facecolor": "white"}

WORD = "cat"
TOKENS = ["<blank>", *sorted(WORD)]


def save(figure: Figure, name: str) -> None:
    """Write a picture below docs/images."""
    with replacing(FOLDER / name) as path:
        figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


# What CTC is: the paths of a word


def example_log_probs() -> torch.Tensor:
    """Return ln p (T, C) of eight frames in which "cat" is likely, not certain."""
    #                     blank   a     c     t
    rows = torch.tensor(
        [
            [0.70, 0.05, 0.20, 0.05],
            [0.25, 0.05, 0.65, 0.05],
            [0.45, 0.15, 0.35, 0.05],
            [0.40, 0.50, 0.05, 0.05],
            [0.30, 0.60, 0.05, 0.05],
            [0.75, 0.10, 0.05, 0.10],
            [0.30, 0.05, 0.05, 0.60],
            [0.70, 0.05, 0.05, 0.20],
        ]
    )
    return rows.log()


def draw_paths() -> None:
    """Draw the states of "cat" over the frames: how probable each is, and the best path."""
    log_probs = example_log_probs()
    target = [TOKENS.index(letter) for letter in WORD]
    lengths = torch.tensor([len(log_probs)]), torch.tensor([len(target)])
    gamma = occupancies(log_probs, torch.tensor(target), *lengths)  # (T, S)
    path, _ = forced_align(log_probs[:, None], torch.tensor([target]), *lengths)
    loss = ctc_loss(log_probs, torch.tensor(target), *lengths, reduction="sum")

    figure, axis = plt.subplots(figsize=(7.2, 3.3), layout="constrained")
    rows = state_rows(path[0].tolist(), target)
    shares = state_shares(log_probs, target, gamma)
    draw_trellis(axis, shares)
    axis.plot(range(len(rows)), rows, color=RED, linewidth=2.2, zorder=2, label="best path")
    written = "".join("_" if token == 0 else TOKENS[token] for token in path[0].tolist())
    axis.set_title(
        f'P("{WORD}") = sum over all paths = {np.exp(-loss.item()):.3f}     '
        f"best path: {written}, P = {np.exp(path_score(log_probs, path[0])):.3f}",
        loc="left",
        fontsize=9,
    )
    axis.legend(loc="lower right", frameon=False)
    save(figure, "ctc_paths.svg")


def state_rows(path: list[int], target: list[int]) -> list[int]:
    """Return the state of each frame of a path: 2s + 1 in label s, even in a blank."""
    rows, label = [], -1
    for before, token in zip([0, *path], path, strict=False):
        if token != 0 and (token != before or not rows or rows[-1] % 2 == 0):
            label += 1
        rows.append(2 * label + 1 if token != 0 else 2 * (label + 1))
    assert label == len(target) - 1
    return rows


def path_score(log_probs: torch.Tensor, path: torch.Tensor) -> float:
    """Return ln P of one path."""
    return log_probs.gather(1, path[:, None].long()).sum().item()


def state_shares(log_probs: torch.Tensor, target: list[int], gamma: torch.Tensor) -> np.ndarray:
    """Return how probable each state is at each frame (T, 2S + 1), given the text.

    `gamma` (T, S) is that of the labels. A blank's is the share of paths that write the first s
    labels before, and the others after: the paths of two texts in two halves around it.
    """
    num_frames, num_labels = gamma.shape
    shares = np.zeros((num_frames, 2 * num_labels + 1))
    shares[:, 1::2] = gamma
    for t in range(num_frames):
        for s in range(num_labels + 1):
            before = text_probability(log_probs[:t], target[:s])
            after = text_probability(log_probs[t + 1 :], target[s:])
            shares[t, 2 * s] = before * log_probs[t, 0].exp() * after
    shares[:, 0::2] /= text_probability(log_probs, target)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-5)
    return shares


def text_probability(log_probs: torch.Tensor, target: list[int]) -> float:
    """Return P of a text under (T, C); of no frames it is 1 for the empty text alone."""
    if not len(log_probs):
        return float(not target)
    lengths = torch.tensor([len(log_probs)]), torch.tensor([len(target)])
    labels = torch.tensor([target], dtype=torch.long).reshape(1, len(target))
    return (-ctc_loss(log_probs[:, None], labels, *lengths, reduction="sum")).exp().item()


def draw_trellis(axis: Axes, shares: np.ndarray) -> None:
    """Draw states as discs with an area by their probability, and the steps between them."""
    num_frames, num_states = shares.shape
    for t in range(num_frames - 1):
        for state in range(num_states):
            skips = [2] if state % 2 else []  # to the next label, past the blank
            for step in (0, 1, *skips):
                if state + step < num_states and shares[t, state] and shares[t + 1, state + step]:
                    axis.plot([t, t + 1], [state, state + step], color="#d5d8dc", lw=0.8, zorder=1)
    for state in range(num_states):
        colour = LETTER_COLOURS[WORD[state // 2]] if state % 2 else GREY
        sizes = 420 * shares[:, state]
        axis.scatter(range(num_frames), [state] * num_frames, s=sizes, color=colour, zorder=3)
    names = ["_" if state % 2 == 0 else WORD[state // 2] for state in range(num_states)]
    axis.set_yticks(range(num_states), names)
    axis.set_xticks(range(num_frames), [str(frame + 1) for frame in range(num_frames)])
    axis.set_xlabel("frame")
    axis.set_ylabel("state (_ is blank)")


# Why spikes: a small network while it learns


@dataclass(frozen=True)
class Sounds:
    """Words as sounds: features (N, T, 3), and where each letter begins and ends, in frames."""

    features: torch.Tensor
    targets: torch.Tensor
    spans: list[list[tuple[int, int]]]


def make_sounds(count: int, generator: torch.Generator) -> Sounds:
    """Make words of three different letters; each letter is a level that lasts 6 to 10 frames."""
    num_frames = 40
    features = 0.35 * torch.randn(count, num_frames, 3, generator=generator)
    targets = torch.stack([torch.randperm(3, generator=generator) for _ in range(count)])
    spans: list[list[tuple[int, int]]] = []
    for n in range(count):
        places, at = [], 4
        for letter in targets[n].tolist():
            length = int(torch.randint(6, 11, (1,), generator=generator))
            features[n, at : at + length, letter] += 1.0
            places.append((at, at + length))
            at += length + 2
        spans.append(places)
    return Sounds(features, targets + 1, spans)


def learn(steps: list[int]) -> tuple[Sounds, dict[int, np.ndarray]]:
    """Train a network of two convolutions; return a word and its posteriors (T, C) after steps."""
    torch.manual_seed(2)
    generator = torch.Generator().manual_seed(2)
    network = nn.Sequential(
        nn.Conv1d(3, 32, 9, padding=4), nn.ReLU(), nn.Conv1d(32, len(TOKENS), 1)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    shown = make_sounds(1, torch.Generator().manual_seed(5))
    found = {}
    for step in range(max(steps) + 1):
        if step in steps:
            with torch.no_grad():
                logits = network(shown.features.transpose(1, 2))[0].T  # (T, C)
            found[step] = logits.softmax(-1).numpy()
        batch = make_sounds(16, generator)
        logits = network(batch.features.transpose(1, 2)).permute(2, 0, 1)  # (T, N, C)
        lengths = torch.full((16,), logits.shape[0]), torch.full((16,), 3)
        loss = ctc_loss(logits, batch.targets, *lengths, from_logits=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return shown, found


def draw_spikes() -> None:
    """Draw what the network says of one word, before, while and after it learns."""
    shown, found = learn([0, 100, 180, 1000])
    figure, axes = plt.subplots(
        len(found), 1, figsize=(7.2, 5.4), sharex=True, layout="constrained"
    )
    for axis, (step, posteriors) in zip(axes, found.items(), strict=True):
        for (begin, end), token in zip(shown.spans[0], shown.targets[0].tolist(), strict=True):
            colour = LETTER_COLOURS[TOKENS[token]]
            axis.axvspan(begin - 0.5, end - 0.5, color=colour, alpha=0.15, linewidth=0)
            if step == 0:
                middle = (begin + end - 1) / 2
                axis.text(middle, 0.78, f"the sound {TOKENS[token]}", ha="center", fontsize=8)
        axis.plot(posteriors[:, 0], color=GREY, linewidth=1.2, label="blank")
        for token, letter in enumerate(TOKENS[1:], start=1):
            axis.plot(posteriors[:, token], color=LETTER_COLOURS[letter], lw=1.8, label=letter)
        axis.set_ylim(0, 1.02)
        axis.set_ylabel("P")
        axis.set_title(f"after {step} steps", loc="left", fontsize=9)
    axes[0].legend(ncols=4, loc="upper right", bbox_to_anchor=(1, 1.35), frameon=False)
    axes[-1].set_xlabel("frame")
    save(figure, "ctc_spikes.svg")


# What a beam does


def beam_steps(width: int) -> tuple[list[str], list[list[Hypothesis]]]:
    """Return the tokens, and the best prefixes after each frame of the README's kind of example."""
    tokens = ["<blank>", "a", "b"]
    probabilities = np.array(
        [[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.45, 0.1, 0.45], [0.5, 0.05, 0.45]], dtype=np.float32
    )
    decoder = BeamSearchDecoder(
        tokens,
        beam_width=width,
        n_best=width,
        token_min_logp=-np.inf,
        beam_prune_logp=-np.inf,
    )
    log_probs = np.log(probabilities)
    return tokens, [decoder(log_probs[:t])[0] for t in range(1, len(log_probs) + 1)]


def draw_beam(width: int = 3) -> None:
    """Draw the prefixes that a beam keeps, frame by frame, and what each grew from."""
    _, steps = beam_steps(width)
    figure, axis = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
    columns = [[("", 1.0)]]
    columns += [[("".join(h.tokens), float(np.exp(h.score))) for h in kept] for kept in steps]
    for t, column in enumerate(columns):
        best = column[0][0]
        for row, (prefix, probability) in enumerate(column):
            for before, (parent, _) in enumerate(columns[t - 1] if t else []):
                if parent in (prefix, prefix[:-1]):
                    axis.plot([t - 0.68, t - 0.32], [-before, -row], color="#c4c8cc", lw=1.1)
            colour = AMBER if prefix == best and t else BLUE
            label = f"{prefix or 'nothing'}\n{probability:.2f}"
            box = {
                "boxstyle": "round,pad=0.35",
                "facecolor": "white",
                "edgecolor": colour,
                "lw": 1.6,
            }
            axis.text(t, -row, label, ha="center", va="center", bbox=box, fontsize=9)
    axis.set_xlim(-0.6, len(columns) - 0.4)
    axis.set_ylim(-width + 0.4, 0.6)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_xticks(range(len(columns)), ["start", *(f"frame {t}" for t in range(1, len(columns)))])
    axis.set_title(
        f"the {width} most probable texts so far; the best in amber", loc="left", fontsize=9
    )
    save(figure, "beam.svg")


def main() -> None:
    """Draw all of them."""
    torch.set_num_threads(1)  # tiny tensors: a second thread only waits
    draw_paths()
    draw_spikes()
    draw_beam()


if __name__ == "__main__":
    main()
