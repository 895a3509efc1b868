"""One utterance, seen as a network sees it, and how its spikes emerged in training."""

from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch

from asr.acoustic.model import AcousticModel
from asr.audio import AudioError, audio_info
from asr.data.loading import Speech
from asr.data.manifest import Utterance
from asr.evaluation.errors import align_texts
from asr.evaluation.figures import Posteriors, draw_labels, draw_snapshots, draw_utterance
from asr.evaluation.metrics import Metric
from asr.evaluation.run_record import RunRecord
from asr.models import label_probabilities
from asr.recognition.recognizer import Recognizer

# A longer utterance is too dense to read.
MAX_SEEN_S = 12.0


class Snapshot(NamedTuple):
    """Posteriors of an utterance at a moment of training; `audio` is its file, or ""."""

    posteriors: Posteriors
    id: str
    text: str
    audio: str


def find_seen(run: RunRecord) -> Speech | None:
    """Choose the utterance whose snapshots training kept, otherwise the first short decoded one.

    None where no recording of one is found.
    """
    for snapshot in read_snapshots(run.path)[:1]:
        found = _open(snapshot.audio, snapshot.id, snapshot.text)
        if found is not None:
            return found
    for result in run.best_results():
        for record in result.records():
            found = _open(record.get("audio_filepath"), record["id"], record["text"])
            if found is not None and found.duration <= MAX_SEEN_S:
                return found
    return None


def draw_seen(model: AcousticModel, utterance: Speech, metric: Metric) -> dict:
    """Draw spectrogram, posteriors and words, and align what was said and heard.

    Of a model of whole clips, the probabilities of the labels are drawn.
    """
    waveform = utterance.waveform(model.sample_rate)
    batch, lengths = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
    energies = model.features.log_energies(batch, lengths)[0][0].numpy()  # (T, F)
    log_probs, _ = model.log_probs(batch, lengths)
    tokens = model.tokenizer.tokens
    transcript = Recognizer(model).transcribe(waveform, model.sample_rate)
    if model.max_samples is not None:
        svg = draw_labels(label_probabilities(log_probs[0]).numpy(), tokens)
    else:
        svg = draw_utterance(
            energies,
            model.features.hop_length / model.sample_rate,
            log_probs[0].exp().numpy(),
            model.seconds_per_frame,
            transcript.words,
            tokens,
        )
    aligned = align_texts(utterance.id, utterance.text, transcript.text, metric)
    return {"svg": svg, "aligned": aligned}


def draw_spikes(run: RunRecord, model: AcousticModel, utterance: Speech | None) -> dict | None:
    """Draw the snapshots of training, and the final model's posteriors of the same utterance.

    None without snapshots, and of a model of whole clips, which has no frames to tell apart.
    """
    if model.max_samples is not None:
        return None
    kept = read_snapshots(run.path)
    if not kept:
        return None
    snapshots = [snapshot.posteriors for snapshot in kept]
    name, text = kept[-1].id, kept[-1].text
    if utterance is not None and (utterance.id, utterance.text) == (name, text):
        waveform = torch.from_numpy(utterance.waveform(model.sample_rate))[None]
        log_probs, _ = model.log_probs(waveform, torch.tensor([waveform.shape[1]]))
        snapshots.append(Posteriors("the final model", log_probs[0].exp().numpy()))
    svg = draw_snapshots(snapshots, model.seconds_per_frame, model.tokenizer.tokens)
    return {"svg": svg, "id": name, "text": text}


def read_snapshots(run: Path) -> list[Snapshot]:
    """Read the posteriors that training kept in a run's folder, early ones first.

    Raises:
        ValueError: a file is none of training's; the message names it.
    """
    return [_read_snapshot(path) for path in sorted((run / "snapshots").glob("epoch_*.npz"))]


def _read_snapshot(path: Path) -> Snapshot:
    try:
        epoch = int(path.stem.removeprefix("epoch_"))
        with np.load(path) as kept:
            name, text = str(kept["utterance_id"]), str(kept["text"])
            audio = str(kept["audio_filepath"]) if "audio_filepath" in kept.files else ""
            probabilities = np.exp(kept["log_probs"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path}: is no snapshot of training: {error}") from error
    label = f"after {epoch} epoch{'s' if epoch > 1 else ''}"
    return Snapshot(Posteriors(label, probabilities), name, text, audio)


def _open(path: object, name: str, text: str) -> Utterance | None:
    if not isinstance(path, str) or not path:
        return None
    try:
        info = audio_info(Path(path))
    except AudioError:
        return None
    return Utterance(Path(path), info.duration_s, text, {"id": name})
