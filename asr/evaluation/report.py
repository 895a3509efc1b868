"""A run's folder -> report.html: one file with everything in it, to open, keep or send.

    curves - table of decoders - one utterance, seen and read - how its spikes emerged - worst
    utterances - environment, command, configuration

What a run does not have yet is left out and said so.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel
from asr.data.loading import Speech
from asr.evaluation.errors import Aligned, align_texts, mark_error, worst_first
from asr.evaluation.figures import Curve, Posteriors, draw_history, draw_snapshots, draw_utterance
from asr.evaluation.results import HEADER, read_scores, table_rows
from asr.evaluation.scoring import Score
from asr.files import write_atomically
from asr.recognition.recognizer import Recognizer

NUM_WORST = 12
MARKS = {"": "", "S": "sub", "D": "del", "I": "ins"}


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
    body = [
        _header(run_path),
        _tiles(history, sets, model),
        _history_section(history),
        _decoders_section(sets),
        _utterance_section(model, utterance),
        _snapshots_section(run_path, model, utterance),
        *(_worst_section(scored) for scored in sets),
        _environment_section(run_path),
    ]
    write_atomically(Path(out), _page(f"Run {run_path.resolve().name}", body))


def _page(title: str, body: Sequence[str]) -> str:
    css = files("asr.evaluation").joinpath("report.css").read_text()
    content = "\n".join(body)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        f"{content}\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _note(text: str) -> str:
    return f'<p class="muted">{escape(text)}</p>'


def _figure(svg: str) -> str:
    return f'<div class="scroll">{svg}</div>'


def _header(run_path: Path) -> str:
    return (
        f"<h1>Run {escape(run_path.resolve().name)}</h1>\n"
        '<p class="muted">Speech recognition with CTC: training, decoding and errors.</p>'
    )


def _tiles(history: list[dict], sets: Sequence[ScoredSet], model: AcousticModel | None) -> str:
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
    cells = [
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in tiles
    ]
    return f'<div class="tiles">{"".join(cells)}</div>'


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _history_section(history: list[dict]) -> str:
    title = "Training"
    if not history:
        return _section(title, _note("No epoch has ended yet."))
    losses = [
        Curve("train", [row["train_loss"] for row in history]),
        Curve("dev", [row["dev_loss"] for row in history]),
    ]
    rates = [
        Curve("WER", [100 * row["dev_wer"] for row in history]),
        Curve("CER", [100 * row["dev_cer"] for row in history]),
    ]
    skipped = int(history[-1]["skipped_steps"])
    note = f"Steps skipped for a loss or gradient that was not finite: {skipped}."
    epochs = [int(row["epoch"]) for row in history]
    return _section(title, _figure(draw_history(epochs, losses, rates)), _note(note))


def _decoders_section(sets: Sequence[ScoredSet]) -> str:
    title = "Decoders"
    if not sets:
        return _section(title, _note("Nothing has been decoded yet."))
    parts = [
        _note(
            "The same posteriors, searched in different ways. The interval is where 95 % of test "
            "sets of this size would fall, drawn from these utterances; RTF is seconds of work, "
            "model and decoder, for a second of audio."
        )
    ]
    for scored in sets:
        first = scored.scores[scored.best]
        parts.append(
            f"<h3>{escape(scored.name)} <span class='muted'>{first.num_utterances} utterances, "
            f"{_duration(first.audio_s)}</span></h3>"
        )
        parts.append(_table(scored))
    return _section(title, *parts)


def _table(scored: ScoredSet) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in HEADER)
    rows = []
    for row in table_rows(scored.scores):
        mark = ' class="best"' if row[0] == scored.best else ""
        rows.append(f"<tr{mark}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n")
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{"".join(rows)}</table></div>'


def _utterance_section(model: AcousticModel | None, utterance: Speech | None) -> str:
    title = "One utterance, seen and read"
    if model is None or utterance is None:
        return _section(title, _note("No utterance was given, or no model is there yet."))
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
    note = (
        "Above, log-mel energies; below, what the network makes of them: the posterior of every "
        "label, the blank's dashed. Words stand where greedy decoding found them."
    )
    aligned = align_texts(utterance.id, utterance.text, transcript.text)
    return _section(title, _note(note), _figure(svg), _alignment(aligned))


def _snapshots_section(
    run_path: Path, model: AcousticModel | None, utterance: Speech | None
) -> str:
    title = "How the spikes emerge"
    paths = sorted((run_path / "snapshots").glob("epoch_*.npz"))
    if model is None or not paths:
        return _section(title, _note("No snapshot has been kept yet."))
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
    note = (
        f"Utterance {name}, \u201c{text}\u201d. To look for: blank, dashed, covers almost "
        "everything at first; labels rise out of it one by one, and end as short spikes."
    )
    return _section(title, _note(note), _figure(svg))


def _worst_section(scored: ScoredSet) -> str:
    records = _read_json_lines(scored.folder / _folder_of(scored) / "hyp.jsonl")
    aligned = worst_first([align_texts(r["id"], r["text"], r["pred_text"]) for r in records])
    worst = [a for a in aligned if a.num_errors][:NUM_WORST]
    title = f"Worst utterances of {scored.name}, {scored.best}"
    if not worst:
        return _section(title, _note("Every utterance was read without an error."))
    key = (
        '<p class="key"><span class="sub"><del>said</del> <ins>heard</ins></span> substitution '
        '&nbsp; <span class="del"><del>said</del></span> deletion &nbsp; '
        '<span class="ins"><ins>heard</ins></span> insertion</p>'
    )
    return _section(title, key, *(_alignment(a) for a in worst))


def _folder_of(scored: ScoredSet) -> str:
    table = json.loads((scored.folder / "scores.json").read_text())
    return table[scored.best]["folder"]


def _alignment(aligned: Aligned) -> str:
    """An utterance's words, what was said struck out and what was heard beside it."""
    words = []
    for reference, hypothesis in aligned.pairs:
        mark = mark_error(reference, hypothesis)
        said = f"<del>{escape(reference)}</del>" if mark and reference else ""
        heard = f"<ins>{escape(hypothesis)}</ins>" if mark and hypothesis else ""
        inner = " ".join(filter(None, (said, heard))) if mark else escape(reference or "")
        words.append(
            f'<span class="{MARKS[mark]}">{inner}</span>' if mark else f"<span>{inner}</span>"
        )
    count = f"{aligned.num_errors} error{'' if aligned.num_errors == 1 else 's'}"
    return (
        f'<div class="utterance"><div class="muted">{escape(aligned.id)}: {count} in '
        f'{aligned.num_words} words</div><div class="words">{"".join(words)}</div></div>'
    )


def _environment_section(run_path: Path) -> str:
    parts = []
    if (run_path / "env.json").is_file():
        environment = _read_json(run_path / "env.json")
        command = environment.pop("command", [])
        parts.append(f'<pre class="wrap">{escape(shlex.join(command))}</pre>')
        parts.append(_definitions(environment))
    if (run_path / "config.yaml").is_file():
        config = (run_path / "config.yaml").read_text(encoding="utf-8")
        parts.append(
            f"<details><summary>configuration</summary><pre>{escape(config)}</pre></details>"
        )
    return _section("Command and environment", *(parts or [_note("Not recorded.")]))


def _definitions(values: Mapping[str, object]) -> str:
    rows = []
    for key, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {version}" for name, version in value.items())
        shown = "none" if value is None else str(value)
        rows.append(f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(shown)}</dd>")
    return f"<dl>{''.join(rows)}</dl>"


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
