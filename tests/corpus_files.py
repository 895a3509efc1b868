"""Small corpora on disk, and what `prepare` made of them."""

import json

import numpy as np
import soundfile

from asr.corpora.prepare import prepare
from asr.data.manifest import read_manifest


def write_audio(path, duration_s=1.0, sample_rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).normal(0, 0.1, round(duration_s * sample_rate))
    soundfile.write(path, samples, sample_rate)
    return path


def write_text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def run(corpus, source, out, **options):
    return prepare(corpus, source, out, progress=False, **options)


def texts(out, split):
    return {item.id: item.text for item in read_manifest(out / f"{split}.jsonl")}


def speakers(out, split):
    return {item.extra["speaker"] for item in read_manifest(out / f"{split}.jsonl")}


def rejected(out):
    lines = (out / "rejected.jsonl").read_text().splitlines()
    return {(line["id"], line["reason"]) for line in map(json.loads, lines)}
