"""One utterance, seen as a network sees it, and how its spikes emerged in training."""

from pathlib import Path

import numpy as np
import torch

from asr.acoustic.model import AcousticModel
from asr.audio import AudioError, audio_info
from asr.data.loading import Speech
from asr.data.manifest import Utterance
from asr.evaluation.errors import align_texts
from asr.evaluation.figures import Posteriors, draw_snapshots, draw_utterance
from asr.evaluation.metrics import Metric
from asr.evaluation.run_record import RunRecord
from asr.recognition.recognizer import Recognizer

# A longer utterance is too dense to read.
MAX_SEEN_S = 12.0


def find_seen(run: RunRecord) -> Speech | None:
    """Choose the utterance whose snapshots training kept, otherwise the first short decoded one.

    None where no recording of one is found.
    """
    for path in snapshot_paths(run)[:1]:
        with np.load(path) as snapshot:
            facts = {key: str(snapshot[key]) for key in snapshot.files if key != "log_probs"}
        found = _open(facts.get("audio_filepath"), facts["utterance_id"], facts["text"])
        if found is not None:
            return found
    for result in run.best_results():
        for record in result.records():
            found = _open(record.get("audio_filepath"), record["id"], record["text"])
            if found is not None and found.duration <= MAX_SEEN_S:
                return found
    return None


def draw_seen(model: AcousticModel, utterance: Speech, metric: Metric) -> dict:
    """Draw spectrogram, posteriors and words, and align what was said and heard."""
    waveform = utterance.waveform(model.sample_rate)
    batch, lengths = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
    energies = model.features.log_energies(batch, lengths)[0][0].numpy()  # (T, F)
    log_probs, _ = model.log_probs(batch, lengths)
    transcript = Recognizer(model).transcribe(waveform, model.sample_rate)
    svg = draw_utterance(
        energies,
        model.features.hop_length / model.sample_rate,
        log_probs[0].exp().numpy(),
        model.seconds_per_frame,
        transcript.words,
        model.tokenizer.tokens,
    )
    aligned = align_texts(utterance.id, utterance.text, transcript.text, metric)
    return {"svg": svg, "aligned": aligned}


def draw_spikes(run: RunRecord, model: AcousticModel, utterance: Speech | None) -> dict | None:
    """Draw the snapshots of training, and the final model's posteriors of the same utterance."""
    snapshots = []
    name = text = ""
    for path in snapshot_paths(run):
        with np.load(path) as snapshot:
            epoch = int(path.stem.removeprefix("epoch_"))
            label = f"after {epoch} epoch{'s' if epoch > 1 else ''}"
            snapshots.append(Posteriors(label, np.exp(snapshot["log_probs"])))
            name, text = str(snapshot["utterance_id"]), str(snapshot["text"])
    if not snapshots:
        return None
    if utterance is not None and (utterance.id, utterance.text) == (name, text):
        waveform = torch.from_numpy(utterance.waveform(model.sample_rate))[None]
        log_probs, _ = model.log_probs(waveform, torch.tensor([waveform.shape[1]]))
        snapshots.append(Posteriors("the final model", log_probs[0].exp().numpy()))
    svg = draw_snapshots(snapshots, model.seconds_per_frame, model.tokenizer.tokens)
    return {"svg": svg, "id": name, "text": text}


def snapshot_paths(run: RunRecord) -> list[Path]:
    """Files of posteriors that training kept, early ones first."""
    return sorted((run.path / "snapshots").glob("epoch_*.npz"))


def _open(path: object, name: str, text: str) -> Utterance | None:
    if not isinstance(path, str) or not path:
        return None
    try:
        info = audio_info(Path(path))
    except AudioError:
        return None
    return Utterance(Path(path), info.duration_s, text, {"id": name})
