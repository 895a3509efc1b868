"""`preset=auto`: network, batches, epochs and augmentation that fit the training speech.

What somebody says on the command line is theirs: the preset chooses the rest, and says why. The
rules were measured on sets of 3 minutes to an hour (docs/results.md); those of long sets follow
what is usual for them.
"""

import math
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch

from asr.cli.starting_point import WAV2VEC2
from asr.ctc.targets import minimum_input_length
from asr.data.loading import Speech

# Small sets need many steps, not many seconds a step; each epoch is judged on the dev set once.
TOTAL_STEPS = 4000
STEPS_AN_EPOCH = 100
# Padded seconds of a step over all ranks: below, its statistics are too noisy; above, it learns
# no better and takes longer.
BATCH_S = (10, 80)
EPOCHS = (10, 60)
# From another model's weights a third of the way is left, at a third of the rate.
CONTINUED = 3
FEW_HOURS = 5.0
SOME_HOURS = 20.0
MANY_HOURS = 100.0
# Silence that augment=spec puts around an utterance, on average, and what batches are padded by.
SILENCE_S = 0.45
PADDING = 1.1
# Speech that augment=full plays this much faster must still have a frame for every character.
FASTEST = 1.1
# Of the utterances may be too fast for the frames; training leaves those out and counts them.
TOO_FAST = 0.01


class TrainingSpeech(NamedTuple):
    """What the preset looks at."""

    hours: float
    num_utterances: int
    num_speakers: int  # 0 where the manifest names none
    num_characters: int
    seconds_a_character: list[float]  # of every utterance, repeated characters counted twice

    @property
    def padded_s(self) -> float:
        """About how many seconds an epoch of augmented speech is."""
        return PADDING * (3600 * self.hours + SILENCE_S * self.num_utterances)


class Choice(NamedTuple):
    """Overrides, and the reason for them."""

    values: dict[str, str]
    reason: str


def measure(utterances: Sequence[Speech]) -> TrainingSpeech:
    """Count what training will hear.

    Raises:
        ValueError: there is no utterance.
    """
    if not utterances:
        raise ValueError("preset=auto needs training speech, and there is none")
    speakers = {str(s) for u in utterances if (s := getattr(u, "extra", {}).get("speaker"))}
    return TrainingSpeech(
        hours=sum(u.duration for u in utterances) / 3600,
        num_utterances=len(utterances),
        num_speakers=len(speakers),
        num_characters=len({character for u in utterances for character in u.text}),
        seconds_a_character=[
            u.duration / minimum_input_length(list(map(ord, u.text))) for u in utterances if u.text
        ],
    )


def choose(
    speech: TrainingSpeech, config: dict, *, on_gpu: bool, world_size: int = 1
) -> list[Choice]:
    """Choose what fits the speech.

    Args:
        speech: what training will hear.
        config: the configuration without the preset, resolved.
        on_gpu: whether the network runs on a GPU.
        world_size: processes that share a batch.

    Returns:
        Three choices: of the network, of the steps, of the augmentation.
    """
    return [
        _network(speech, config, on_gpu),
        _steps(speech, config, world_size),
        _augmentation(speech),
    ]


def on_gpu(device: str) -> bool:
    """Whether a configured device is one of NVIDIA's."""
    return device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())


def keep(choices: Sequence[Choice], named: Sequence[str]) -> list[Choice]:
    """Leave out what somebody said themselves: that key, or all keys of a group that they chose."""

    def said(key: str) -> bool:
        return key in named or key.partition(".")[0] in named

    return [
        choice._replace(values={key: v for key, v in choice.values.items() if not said(key)})
        for choice in choices
    ]


def describe(speech: TrainingSpeech, choices: Sequence[Choice]) -> list[str]:
    """Say what was seen, and a line for every choice."""
    speakers = f"{speech.num_speakers} speakers" if speech.num_speakers else "unknown speakers"
    hours = speech.hours
    length = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
    lines = [
        f"preset: {length} in {speech.num_utterances} utterances of {speakers}, "
        f"{speech.num_characters} characters"
    ]
    for choice in choices:
        words = " ".join(f"{key}={value}" for key, value in choice.values.items())
        lines.append(f"  {words or 'as you said'}: {choice.reason}")
    return lines


def _network(speech: TrainingSpeech, config: dict, on_gpu: bool) -> Choice:
    if config["init_from"] is None and on_gpu and speech.hours >= MANY_HOURS:
        return Choice({"model": "ds2_medium"}, f"5 layers of 512 for a GPU and {MANY_HOURS:g} h")
    values: dict[str, str] = {}
    reasons = ["the network of the file"]
    if config["init_from"] is None:
        values["model"] = "ds2_lstm"
        reasons = [
            "3 layers of 192 units, " + (f"under {MANY_HOURS:g} h" if on_gpu else "on a CPU")
        ]
    if speech.hours < FEW_HOURS:
        values["model.dropout"] = "0.2"
        reasons.append(f"more dropout under {FEW_HOURS:g} h")
    frames_out, too_fast = _frames_out(speech, config)
    if frames_out > 1:
        values["model.frames_out"] = str(frames_out)
        reasons.append(f"{100 * too_fast:.0f} % of the texts are too long for its frames otherwise")
    return Choice(values, ", ".join(reasons))


def _frames_out(speech: TrainingSpeech, config: dict) -> tuple[int, float]:
    """Output frames for one of the network's that texts need, and the share that need them."""
    model, features = config["model"], config["features"]
    if "frames_out" not in model or "alphabet" not in config["tokenizer"]:
        return 1, 0.0
    stride = prod(frames for frames, _ in model["conv_strides"])
    frame_s = stride * features["hop_length"] / features["sample_rate"]

    def too_fast(count: int) -> float:
        pace = [s for s in speech.seconds_a_character if s < FASTEST * frame_s / count]
        return len(pace) / speech.num_utterances

    counts = [count for count in range(model["frames_out"], stride + 1) if stride % count == 0]
    enough = [count for count in counts if too_fast(count) <= TOO_FAST]
    chosen = enough[0] if enough else counts[-1]
    return (1, 0.0) if chosen == counts[0] else (chosen, too_fast(counts[0]))


def _steps(speech: TrainingSpeech, config: dict, world_size: int) -> Choice:
    continued = config["init_from"] is not None
    shortest, longest = BATCH_S
    batch_s = min(max(round(speech.padded_s / STEPS_AN_EPOCH), shortest), longest)
    steps = math.ceil(speech.padded_s / batch_s)
    wanted = TOTAL_STEPS // (CONTINUED if continued else 1)
    fewest, most = EPOCHS
    epochs = min(max(math.ceil(wanted / steps), fewest), most)
    values = {
        "loading.batch_seconds": f"{batch_s / world_size:g}",
        "trainer.max_epochs": str(epochs),
        # The best epochs of a rate that falls like a cosine are the last.
        "trainer.patience": str(epochs),
    }
    if continued:
        values["optimizer.lr"] = "1e-4" if config["model"]["_target_"] == WAV2VEC2 else "1e-3"
    return Choice(
        values,
        f"an epoch is {speech.padded_s:,.0f} s with padding, "
        f"training{' from another model' if continued else ''} needs some {wanted:,} steps",
    )


def _augmentation(speech: TrainingSpeech) -> Choice:
    if speech.hours >= SOME_HOURS:
        return Choice({"augment": "spec"}, f"{SOME_HOURS:g} h or more bring their own variety")
    values = {"augment": "full"}
    reason = f"masks, noise and speeds under {SOME_HOURS:g} h"
    if speech.hours < FEW_HOURS:
        values["augment.waveform.speeds"] = "[0.85,0.9,0.95,1.0,1.05,1.1,1.15]"
        reason += f", more speeds under {FEW_HOURS:g} h"
    return Choice(values, reason)
