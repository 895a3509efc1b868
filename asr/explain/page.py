"""One recording and a word of it -> one HTML file that shows what the word's score rests on.

maps over the spectrogram - what each shows - are they complete - do the frames that they point at
matter - do they need what was learnt - layers - gates - filters - weights - training
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from asr.acoustic.model import AcousticModel
from asr.evaluation.clips import ClipBudget
from asr.evaluation.figures import Posteriors, draw_labels, draw_snapshots
from asr.evaluation.seen_utterance import Snapshot
from asr.explain.charts import (
    draw_deletions,
    draw_matrix,
    draw_randomisation,
    draw_responses,
)
from asr.explain.deletion import Deletions, delete_frames
from asr.explain.figures import Scene, draw_image, draw_scene
from asr.explain.filters import learnt_filters
from asr.explain.gates import CellStates, cell_states
from asr.explain.gradients import Integral, sample_gradient
from asr.explain.layers import layer_outputs
from asr.explain.methods import SaliencyMap, compute_integral, compute_maps, in_order
from asr.explain.randomisation import Randomisation, randomise_maps
from asr.explain.recording import LayerOutput
from asr.explain.score import ScoredNetwork, score_of
from asr.explain.subject import Choice, Subject
from asr.explain.weights import describe_weights
from asr.features import Raw
from asr.files import write_atomically
from asr.models import label_probabilities
from asr.pages.template import render

# Seconds beside a word within which maps of random networks are compared with those of the trained.
MARGIN_S = 0.2
# Channels of a layer that are drawn, and matrices.
MOST_CHANNELS = 6
MOST_MATRICES = 24

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How an explanation is computed.

    Attributes:
        tolerance: of integrated gradients' sum, relative, > 0.
        max_steps: of integrated gradients, >= 1.
        draws: random orders of the deletion curve, >= 1.
        seed: of random orders and random weights, >= 0.

    Raises:
        ValueError: an option is out of its range.
    """

    tolerance: float
    max_steps: int
    draws: int
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be > 0, got {self.tolerance}")
        for name, least in (("max_steps", 1), ("draws", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, got {getattr(self, name)}")


class Explanation(NamedTuple):
    """What was found of a word.

    Attributes:
        score: Q, nats.
        probability: geometric mean of the probabilities of its labels at their frames.
        num_frames: output frames that it is expected to take.
        maps: of every method.
        integral: how complete integrated gradients are.
        deletions: curves.
        randomisation: rank correlations.
        slopes: of the score by the samples (L,), or None.
    """

    score: float
    probability: float
    num_frames: float
    maps: dict[str, SaliencyMap]
    integral: Integral
    deletions: Deletions
    randomisation: Randomisation
    slopes: np.ndarray | None


def explain_word(
    model: AcousticModel, subject: Subject, choice: Choice, options: Options
) -> Explanation:
    """Compute the maps of a word and check them."""
    score = score_of(subject.log_probs, subject.labels, choice.places)
    scored = ScoredNetwork(model.network, score)
    with torch.no_grad():
        value = scored(subject.features)
    logger.info("maps of %r", choice.title)
    integral, found = compute_integral(
        scored, subject.features, options.tolerance, options.max_steps
    )
    maps = in_order(compute_maps(scored, subject.features) | {"integrated_gradients": found})
    logger.info("deletion curves")
    deletions = delete_frames(scored, subject.features, maps, options.draws, options.seed)
    logger.info("random weights")
    frames = frames_near(model, subject, choice)
    randomisation = randomise_maps(scored, subject.features, maps, frames, options.seed)
    waveform = torch.from_numpy(subject.waveform).to(model.device)
    slopes = sample_gradient(scored, model.features, waveform)
    return Explanation(
        float(value),
        float(score.probability(value)),
        score.num_frames,
        maps,
        integral,
        deletions,
        randomisation,
        None if slopes is None else slopes.cpu().numpy(),
    )


def frames_near(model: AcousticModel, subject: Subject, choice: Choice) -> np.ndarray:
    """Mark the frames (T,) of the features that are in the chosen words or close to them."""
    frame_s = model.features.hop_length / model.sample_rate
    middles = (np.arange(subject.features.shape[1]) + 0.5) * frame_s
    near = np.zeros(len(middles), bool)
    for number in choice.words:
        word = subject.times[number]
        near |= (middles > word.start_s - MARGIN_S) & (middles < word.end_s + MARGIN_S)
    return near


def write_page(
    out: Path,
    model: AcousticModel,
    subject: Subject,
    choice: Choice,
    found: Explanation,
    snapshots: Sequence[Snapshot],
    facts: Sequence[tuple[str, str]],
    audio: str,
) -> None:
    """Draw all there is to see and write it as one HTML file.

    Args:
        out: the file, written under a temporary name and renamed.
        model: the model.
        subject: the recording.
        choice: the word.
        found: of `explain_word`.
        snapshots: of the training that made the model.
        facts: command and options, for the reader.
        audio: the recording's file.

    Raises:
        OSError: the file cannot be written.
    """
    logger.info("pictures")
    clip, no_clip = ClipBudget().embed(audio)
    page = render(
        "asr.explain",
        "explain.html.j2",
        title=choice.title,
        text=subject.text,
        clip=clip,
        no_clip=no_clip,
        tiles=_tiles(model, subject, choice, found),
        scene=_draw_scene(model, subject, choice, found),
        labels=_draw_labels(model, subject, choice),
        methods=[_describe(name, found) for name in found.maps],
        integral=found.integral,
        deletions=draw_deletions(found.deletions),
        random_area=found.deletions.random_areas(),
        randomisation=draw_randomisation(found.randomisation),
        margin_s=MARGIN_S,
        facts=facts,
        **_layers(model, subject),
        **_weights(model),
        evolution=_evolution(model, snapshots),
    )
    write_atomically(out, page)


def _tiles(
    model: AcousticModel, subject: Subject, choice: Choice, found: Explanation
) -> list[tuple[str, str]]:
    words = [subject.times[number] for number in choice.words]
    tiles = [
        (f"{100 * found.probability:.3g} %", "probability of its labels, geometric mean"),
        (f"{found.score:.3g}", "score Q, nats"),
    ]
    if model.max_samples is not None:  # one label, of the whole clip
        return tiles
    begins = (f"{words[0].start_s:.2f} s", f"when it begins; it ends at {words[-1].end_s:.2f} s")
    return [begins, *tiles, (f"{found.num_frames:.3g}", "output frames that it takes")]


def _draw_scene(model: AcousticModel, subject: Subject, choice: Choice, found: Explanation) -> str:
    features = subject.features[0].cpu().numpy()
    over_samples = isinstance(model.features, Raw)
    bands = over_samples or features.shape == subject.energies.shape
    scene = Scene(
        duration_s=len(subject.waveform) / model.sample_rate,
        waveform=subject.waveform,
        energies=subject.energies if bands else features,
        bins="band" if bands else "feature",
        posteriors=None if model.max_samples is not None else subject.log_probs.exp().numpy(),
        output_frame_s=model.seconds_per_frame,
        tokens=model.tokenizer.tokens,
        words=subject.times,
        chosen=[subject.times[number] for number in choice.words],
        over_samples=over_samples,
    )
    maps = [made for made in found.maps.values() if made.values is not None]
    return draw_scene(scene, maps, found.slopes)


def _draw_labels(model: AcousticModel, subject: Subject, choice: Choice) -> str | None:
    """Draw what a model of whole clips takes this one for; None for other models."""
    if model.max_samples is None:
        return None
    chosen = {subject.labels[place] for place in choice.places}
    return draw_labels(
        label_probabilities(subject.log_probs).numpy(), model.tokenizer.tokens, chosen
    )


def _describe(name: str, found: Explanation) -> dict[str, str]:
    """What a method is, and how it stood the checks."""
    made = found.maps[name]
    checks = {"area": "", "random": "", "floor": ""}
    if made.values is not None:
        checks = {
            "area": f"{found.deletions.area(name):.3f}",
            "random": _shown(found.randomisation.correlations[name][-1]),
            "floor": _shown(found.randomisation.floor[name]),
        }
    return {**made.method._asdict(), "remark": made.remark, **checks}


def _shown(correlation: float) -> str:
    return "a flat map" if np.isnan(correlation) else f"{correlation:.2f}"


def _layers(model: AcousticModel, subject: Subject) -> dict:
    layers = layer_outputs(model.network, subject.features)
    duration_s = len(subject.waveform) / model.sample_rate
    states = cell_states(model.network, subject.features)
    responses = learnt_filters(model.network, model.sample_rate)
    return {
        "layers": [
            {"name": output.name, "svgs": draw_layer(output, duration_s)}
            for output in layers.outputs
        ],
        "num_layers": layers.num_layers,
        "gates": [] if states is None else _draw_gates(states, duration_s),
        "gates_of": "" if states is None else f"{states.cell} {states.name}",
        "filters": None if responses is None else draw_responses(responses),
    }


def draw_layer(output: LayerOutput, duration_s: float) -> list[str]:
    """Draw a layer: maps (T, K, F) of the most varied channels; units (T, K) in one picture."""
    values = output.values.numpy()
    if values.ndim == 3:
        order = np.argsort(-values.std((0, 2)), kind="stable")[:MOST_CHANNELS]
        return [
            draw_image(values[:, k].T, duration_s, f"channel {k}", "bin", wide=False)
            for k in sorted(order.tolist())
        ]
    order = np.argsort(np.abs(values).argmax(0), kind="stable")
    return [draw_image(values[:, order].T, duration_s, "", "unit, by its peak", wide=True)]


def _draw_gates(states: CellStates, duration_s: float) -> list[str]:
    order = np.argsort(np.abs(states.state.numpy()).argmax(0), kind="stable")
    pictures = {**states.gates, states.state_name: states.state}
    return [
        draw_image(
            values.numpy()[:, order].T, duration_s, name, "cell, by its peak", wide=True, limit=1.0
        )
        for name, values in pictures.items()
    ]


def _weights(model: AcousticModel) -> dict:
    matrices = describe_weights(model.network)
    rows = [
        [
            matrix.name,
            " x ".join(map(str, matrix.shape)),
            f"{matrix.mean:.3g}",
            f"{matrix.deviation:.3g}",
            f"{matrix.singular_values[0]:.3g}",
            f"{matrix.effective_rank:.0f} of {len(matrix.singular_values)}",
        ]
        for matrix in matrices
    ]
    largest = sorted(matrices, key=lambda m: -np.prod(m.shape))[:MOST_MATRICES]
    shown = [matrix for matrix in matrices if any(matrix is one for one in largest)]
    return {
        "matrix_rows": rows,
        "matrices": [{"name": m.name, "svg": draw_matrix(m)} for m in shown],
    }


def _evolution(model: AcousticModel, snapshots: Sequence[Snapshot]) -> dict | None:
    """Pictures of the snapshots that training kept, one a moment; None without any."""
    snapshots = [
        snapshot
        for snapshot in snapshots
        if snapshot.posteriors.probabilities.shape[1:] == (len(model.tokenizer.tokens),)
    ]
    if not snapshots:
        return None
    svgs = [_draw_moment(model, kept.posteriors) for kept in snapshots]
    titles = [kept.posteriors.title for kept in snapshots]
    last = snapshots[-1]
    return {"frames": list(zip(titles, svgs, strict=True)), "id": last.id, "text": last.text}


def _draw_moment(model: AcousticModel, posteriors: Posteriors) -> str:
    tokens = model.tokenizer.tokens
    if model.max_samples is not None:
        rows = torch.from_numpy(posteriors.probabilities).log()
        return draw_labels(label_probabilities(rows).numpy(), tokens)
    return draw_snapshots([posteriors], model.seconds_per_frame, tokens)
