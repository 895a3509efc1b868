"""Draw alpha, beta and the occupancies of one utterance, by a trained model.

    python benchmarks/ctc_picture.py --audio happy.opus --text happy \
        --checkpoint runs/speech_commands_letters_seed1/ckpt/best.ckpt \
        -o docs/images/ctc_variables.png

Alpha and beta are computed here, in logarithms, as the textbook has them; before anything is drawn
their product is asserted to be what the kernels of `asr.ctc` return.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import asr
from asr.audio import read_audio
from asr.ctc import ctc_loss, occupancies

FLOOR_LN = -60.0  # what is less probable than that, relative to the best cell, is drawn as nothing


def forward(log_probs: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return ln alpha (T, 2S + 1): Graves et al. 2006, equations 5 to 7."""
    may_skip = np.zeros(len(states), bool)
    may_skip[2:] = (states[2:] != 0) & (states[2:] != states[:-2])
    alpha = np.full((len(log_probs), len(states)), -np.inf)
    alpha[0, :2] = log_probs[0, states[:2]]
    for t in range(1, len(log_probs)):
        before = np.pad(alpha[t - 1], (2, 0), constant_values=-np.inf)
        skipped = np.where(may_skip, before[:-2], -np.inf)
        alpha[t] = np.logaddexp(np.logaddexp(before[2:], before[1:-1]), skipped)
        alpha[t] += log_probs[t, states]
    return alpha


def backward(log_probs: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return ln beta (T, 2S + 1) without the emission at t: equations 9 to 11 divided by it.

    The backward recursion is the forward one on the utterance reversed, emissions included.
    """
    with_emission = forward(log_probs[::-1], states[::-1])[::-1, ::-1]
    return with_emission - log_probs[:, states]


def draw(panels: list[tuple[str, np.ndarray]], names: list[str], out: Path) -> None:
    """Draw (T, 2S + 1) logarithms, one above the other."""
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(9.6, 9.6), sharex=True, layout="constrained"
    )
    for axis, (title, values) in zip(axes, panels, strict=True):
        relative = np.maximum(values - values.max(), FLOOR_LN)
        image = axis.imshow(
            relative.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest"
        )
        axis.set_yticks(range(len(names)), names)
        axis.set_title(title, loc="left", fontsize=10)
        figure.colorbar(image, ax=axis, label="ln, relative to the largest")
    axes[-1].set_xlabel("frame t")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--text", required=True, help="what is said in it")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/images/ctc_variables.png"))
    options = parser.parse_args()
    model = asr.load(options.checkpoint).model
    waveform = torch.from_numpy(read_audio(options.audio, model.sample_rate)[0])
    rows, _ = model.log_probs(waveform[None], torch.tensor([len(waveform)]))  # (1, T, C)
    log_probs = rows[0].double().log_softmax(-1)
    target = model.tokenizer.encode(options.text)
    states = np.zeros(2 * len(target) + 1, int)
    states[1::2] = target

    alpha = forward(log_probs.numpy(), states)
    beta = backward(log_probs.numpy(), states)
    log_p = np.logaddexp(*alpha[-1, -2:])
    lengths = [len(log_probs)], [len(target)]
    loss = ctc_loss(log_probs, torch.tensor(target), *lengths, reduction="sum")
    gamma = occupancies(log_probs, torch.tensor(target), *lengths)
    np.testing.assert_allclose(loss.item(), -log_p, rtol=1e-6)
    np.testing.assert_allclose(gamma.numpy(), np.exp(alpha + beta - log_p)[:, 1::2], atol=1e-6)

    names = ["" if k == 0 else model.tokenizer.tokens[k] for k in states]
    panels = [
        ("alpha: the target's first states end here", alpha),
        ("beta: from here the rest of the target can be spelt", beta),
        (f"occupancy: their product over p(target) = exp({log_p:.2f})", alpha + beta - log_p),
    ]
    draw(panels, names, options.out)
    print(f"{options.out}: {len(log_probs)} frames, {len(states)} states, loss {-log_p:.3f}")


if __name__ == "__main__":
    main()
