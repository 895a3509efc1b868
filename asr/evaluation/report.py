"""A run's folder -> report.html: one file with everything in it, to open, keep or send.

    curves - table of decoders - one utterance, seen and read - how its spikes emerged - worst
    utterances - environment, command, configuration

What a run does not have yet is left out and said so.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel
from asr.data.loading import Speech
from asr.evaluation.errors import align_texts, mark_error, worst_first
from asr.evaluation.figures import Curve, Posteriors, draw_history, draw_snapshots, draw_utterance
from asr.evaluation.results import HEADER, read_scores, table_rows
from asr.evaluation.scoring import Score
from asr.files import write_atomically
from asr.pages.template import render
from asr.recognition.recognizer import Recognizer

NUM_WORST = 12


class ScoredSet(NamedTuple):
    """A folder of results: what was decoded, and how well by each decoder."""

    name: str
    folder: Path
    scores: dict[str, Score]

    @property
    def best(self) -> str:
        """The decoder with the lowest word error rate, the first of equals."""
        return min(self.scores, key=lambda name: self.scores[name].wer.rate)


def write_report(run_path: Path, out: Path, *, utterance: Speech | None = None) -> None:
    """Write a report of a run.

    Args:
        run_path: the run's folder, as training made it; results of decoding are looked for in its
            `decode` folder.
        out: the HTML file, written under a temporary name and renamed.
        utterance: drawn with spectrogram, posteriors and words; best the one whose snapshots
            training keeps, the first of the dev set. None leaves that figure out.

    Raises:
        ValueError: a file of the run is broken; the message names it.
        OSError: a file cannot be read.
    """
    run_path = Path(run_path)
    history = _read_json_lines(run_path / "metrics.jsonl")
    sets = [
        ScoredSet(path.parent.relative_to(run_path / "decode").as_posix(), path.parent, scores)
        for path in sorted((run_path / "decode").rglob("scores.json"))
        if (scores := read_scores(path))
    ]
    best = run_path / "ckpt" / "best.ckpt"
    model = load_checkpoint(best) if best.is_file() else None
    page = render(
        "asr.evaluation",
        "run.html.j2",
        mark_error=mark_error,
        name=run_path.resolve().name,
        tiles=_tiles(history, sets, model),
        history=_history(history),
        header=HEADER,
        sets=[_describe_set(scored) for scored in sets],
        utterance=_utterance(model, utterance),
        snapshots=_snapshots(run_path, model, utterance),
        **_environment(run_path),
    )
    write_atomically(Path(out), page)


def _tiles(
    history: list[dict], sets: Sequence[ScoredSet], model: AcousticModel | None
) -> list[tuple[str, str]]:
    tiles = []
    for scored in sets[:1]:
        best = scored.scores[scored.best]
        tiles.append((f"{100 * best.wer.rate:.2f} %", f"WER on {scored.name}, {scored.best}"))
    if history:
        tiles.append((f"{100 * min(row['dev_wer'] for row in history):.2f} %", "best dev WER"))
        tiles.append((str(history[-1]["epoch"]), "epochs"))
        tiles.append((_duration(history[-1]["seconds"]), "training time"))
    if model is not None:
        size = sum(p.numel() for p in model.network.parameters())
        tiles.append((f"{size / 1e6:.2f} M", "parameters"))
    return tiles


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _history(history: list[dict]) -> dict | None:
    if not history:
        return None
    losses = [
        Curve("train", [row["train_loss"] for row in history]),
        Curve("dev", [row["dev_loss"] for row in history]),
    ]
    rates = [
        Curve("WER", [100 * row["dev_wer"] for row in history]),
        Curve("CER", [100 * row["dev_cer"] for row in history]),
    ]
    epochs = [int(row["epoch"]) for row in history]
    skipped = int(history[-1]["skipped_steps"])
    return {"svg": draw_history(epochs, losses, rates), "skipped": skipped}


def _describe_set(scored: ScoredSet) -> dict:
    first = scored.scores[scored.best]
    records = _read_json_lines(scored.folder / _folder_of(scored) / "hyp.jsonl")
    aligned = worst_first([align_texts(r["id"], r["text"], r["pred_text"]) for r in records])
    return {
        "name": scored.name,
        "best": scored.best,
        "size": f"{first.num_utterances} utterances, {_duration(first.audio_s)}",
        "rows": table_rows(scored.scores),
        "worst": [a for a in aligned if a.num_errors][:NUM_WORST],
    }


def _utterance(model: AcousticModel | None, utterance: Speech | None) -> dict | None:
    if model is None or utterance is None:
        return None
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
    return {"svg": svg, "aligned": align_texts(utterance.id, utterance.text, transcript.text)}


def _snapshots(
    run_path: Path, model: AcousticModel | None, utterance: Speech | None
) -> dict | None:
    paths = sorted((run_path / "snapshots").glob("epoch_*.npz"))
    if model is None or not paths:
        return None
    snapshots = []
    name = text = ""
    for path in paths:
        with np.load(path) as snapshot:
            epoch = int(path.stem.removeprefix("epoch_"))
            label = f"after {epoch} epoch{'s' if epoch > 1 else ''}"
            snapshots.append(Posteriors(label, np.exp(snapshot["log_probs"])))
            name, text = str(snapshot["utterance_id"]), str(snapshot["text"])
    if utterance is not None and (utterance.id, utterance.text) == (name, text):
        waveform = torch.from_numpy(utterance.waveform(model.sample_rate))[None]
        log_probs, _ = model.log_probs(waveform, torch.tensor([waveform.shape[1]]))
        snapshots.append(Posteriors("the final model", log_probs[0].exp().numpy()))
    svg = draw_snapshots(snapshots, model.seconds_per_frame, model.tokenizer.tokens)
    return {"svg": svg, "id": name, "text": text}


def _folder_of(scored: ScoredSet) -> str:
    table = json.loads((scored.folder / "scores.json").read_text())
    return table[scored.best]["folder"]


def _environment(run_path: Path) -> dict:
    """Command, environment and configuration of a run, as far as they are recorded."""
    command, rows, config = None, [], None
    if (run_path / "env.json").is_file():
        environment = _read_json(run_path / "env.json")
        command = shlex.join(environment.pop("command", []))
        rows = [(key.replace("_", " "), _shown(value)) for key, value in environment.items()]
    if (run_path / "config.yaml").is_file():
        config = (run_path / "config.yaml").read_text(encoding="utf-8")
    return {"command": command, "environment": rows, "config": config}


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    return "none" if value is None else str(value)


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from error


def _read_json_lines(path: Path) -> list[dict]:
    """Read JSON Lines; a file that is not there has none."""
    if not path.is_file():
        return []
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: is not JSON: {error}") from error
    return records
