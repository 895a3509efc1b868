"""Files of every kind that the project reads: an intact one, how it is read, and damage to it."""

import argparse
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

RATE = 16000
# One file in so many of those that are no audio holds a pickle that writes a marker.
BOMB_EVERY = 20
# By libsndfile: format and subtype.
SOUNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
}
# By PyAV: container and codec.
CONTAINERS = {"m4a": ("mp4", "aac"), "webm": ("webm", "libopus")}


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: as in the table.
        intact: one that is good.
        read: reads a file as the project does.
        refusals: what may be raised.
        bombs: contents that write a marker where they are unpickled.
    """

    name: str
    intact: Path
    read: Callable[[Path], object]
    refusals: tuple[type[Exception], ...]
    bombs: tuple[bytes, ...] = ()


def make_kinds(folder: Path, marker: Path) -> list[Kind]:
    """Write an intact file of every kind; bombs write the marker."""
    bombs = make_bombs(marker)
    files: dict[str, tuple[Path, Callable[[Path], object]]] = {
        "checkpoint": (write_checkpoint(folder / "model.ckpt"), read_checkpoint),
        "manifest": (write_manifest(folder / "manifest.jsonl"), read_manifest),
        "log-probabilities": (write_emissions(folder / "p.safetensors"), read_emissions),
        **write_texts(folder),
        **write_language_models(folder),
    }
    others = [Kind(name, *pair, (ValueError, OSError), bombs) for name, pair in files.items()]
    noise = np.random.default_rng(0).normal(0, 0.1, RATE // 4).astype(np.float32)
    return [*make_audio_kinds(folder, noise), *others]


def make_audio_kinds(folder: Path, waveform: np.ndarray) -> list[Kind]:
    """Write samples at 16 kHz in every format."""
    kinds = []
    for suffix in (*SOUNDFILE, *CONTAINERS):
        path = folder / f"intact.{suffix}"
        if suffix in CONTAINERS:
            write_container(path, waveform, *CONTAINERS[suffix])
        else:
            form, subtype = SOUNDFILE[suffix]
            soundfile.write(path, waveform, RATE, format=form, subtype=subtype)
        kinds.append(Kind(f"audio, {suffix}", path, read_audio, (ValueError,)))
    return kinds


def write_container(path: Path, waveform: np.ndarray, form: str, codec: str) -> None:
    import av

    with av.open(str(path), "w", format=form) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(waveform[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


def write_checkpoint(path: Path) -> Path:
    import tones

    from asr.acoustic.checkpoint import save_checkpoint

    save_checkpoint(path, tones.untrained_model())
    return path


def write_manifest(path: Path) -> Path:
    from asr.data.manifest import Utterance, write_manifest

    clips = [path.parent / f"clip{n}.wav" for n in range(20)]
    write_manifest(path, [Utterance(clip, 1.5, "a b", {"speaker": "s"}) for clip in clips])
    return path


def write_emissions(path: Path) -> Path:
    from noisy_words import make_emissions

    from asr.tuning.emissions import save_emissions

    made = make_emissions(5)
    save_emissions(path, made.log_probs, made.references, made.tokens, ids=made.ids)
    return path


def write_texts(folder: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    texts = {
        "vocabulary, JSON": ("v.json", '{"<pad>": 0, "|": 1, "a": 2, "b": 3}', read_vocabulary),
        "vocabulary, text": ("tokens.txt", "<blk> 0\n\u2581 1\na 2\nb 3\n", read_vocabulary),
        "grammar": (
            "commands.jsgf",
            "#JSGF V1.0; grammar g; public <s> = (turn | switch) [the] light (on | off);\n",
            read_grammar,
        ),
        "lexicon": ("lexicon.txt", "ab\ncab\tcab\tcad\nbad\n", read_lexicon),
        "options that were tuned": (
            "best.yaml",
            "overrides: [decoder.lm=lm.arpa, decoder.beam_width=32]\n"
            "options: {lm_alpha: 0.7, lm_beta: 1.5}\n",
            read_options,
        ),
    }
    for file, text, _ in texts.values():
        (folder / file).write_text(text, encoding="utf-8")
    return {name: (folder / file, read) for name, (file, _, read) in texts.items()}


def write_language_models(
    folder: Path,
) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    from noisy_words import write_bigram

    from asr.decoding import NGramLM

    arpa, compiled = write_bigram(folder / "lm.arpa"), folder / "lm.bin"
    NGramLM(arpa).save(compiled)
    return {
        "language model, ARPA": (arpa, read_language_model),
        "language model, compiled": (compiled, read_language_model),
    }


def read_audio(path: Path) -> object:
    from asr.media.streams import stream_audio

    return list(stream_audio(path, RATE))


def read_checkpoint(path: Path) -> object:
    from asr.acoustic.checkpoint import load_checkpoint

    return load_checkpoint(path)


def read_manifest(path: Path) -> object:
    from asr.data.manifest import read_manifest

    return read_manifest(path)


def read_language_model(path: Path) -> object:
    from asr.decoding import NGramLM

    score = NGramLM(path).score("ab cab zz")
    assert not np.isnan(score), "the score is NaN"
    return score


def read_emissions(path: Path) -> object:
    from asr.tuning.emissions import read_emissions

    return read_emissions(path)


def read_vocabulary(path: Path) -> object:
    from asr.decoding.vocabulary import read_vocabulary

    return read_vocabulary(path)


def read_grammar(path: Path) -> object:
    from asr.decoding import BeamSearchDecoder

    return BeamSearchDecoder(["<blank>", *" abcdefghijklmnopqrstuvwxyz"], grammar=path)


def read_lexicon(path: Path) -> object:
    from asr.decoding import BeamSearchDecoder

    return BeamSearchDecoder(["<blank>", " ", "a", "b", "c", "d"], lexicon=path)


def read_options(path: Path) -> object:
    from asr.cli.beam_options import add_beam_arguments, read_beam_options

    parser = argparse.ArgumentParser()
    add_beam_arguments(parser)
    return read_beam_options(parser.parse_args(["--options", str(path)]))


class Bomb:
    """What is unpickled into an open file."""

    def __init__(self, marker: Path) -> None:
        self._marker = str(marker)

    def __reduce__(self):
        return open, (self._marker, "w")


def make_bombs(marker: Path) -> tuple[bytes, ...]:
    """Make what writes the marker wherever it is unpickled: alone, and as NumPy and PyTorch do."""
    import torch

    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.array([Bomb(marker)], object))
    torch.save({"state_dict": Bomb(marker)}, archive)
    pickled = pickle.dumps(Bomb(marker))
    pickle.loads(pickled).close()
    assert marker.exists(), "the bomb does not go off"
    marker.unlink()
    return pickled, array.getvalue(), archive.getvalue()


def spoil(kind: Kind, seed: tuple[int, ...]) -> bytes:
    """Damage the intact file of a kind, or put a bomb into it or in its place.

    Args:
        kind: the kind.
        seed: decides how; the last number counts the files.
    """
    rng = np.random.default_rng(seed)
    content = kind.intact.read_bytes()
    if not kind.bombs or seed[-1] % BOMB_EVERY:
        return damage(content, rng)
    bomb = kind.bombs[rng.integers(len(kind.bombs))]
    at = int(rng.integers(0, len(content)))
    return [bomb, bomb + content, content[:at] + bomb + content[at:]][rng.integers(3)]


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a file's bytes in one to eight places, in one of many ways."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        size = len(data)
        if size == 0:
            break
        # Headers are where readers trust what they read.
        at = int(rng.integers(0, min(size, 256)) if rng.random() < 0.5 else rng.integers(0, size))
        span = int(rng.integers(1, 33))
        how = rng.integers(0, 7)
        if how == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif how == 1:
            data[at : at + span] = rng.bytes(span)
        elif how == 2:
            del data[at:]
        elif how == 3:
            del data[at : at + span]
        elif how == 4:
            data[at:at] = data[at : at + span]
        elif how == 5:
            data[at : at + span] = bytes([int(rng.choice([0, 255, 57, 91, 123]))]) * span
        else:
            data[at:at] = rng.choice([b"9" * 20, b"-1", b"1e300", b"nan", b"[" * 3000, b"\n", b'"'])
    return bytes(data)
