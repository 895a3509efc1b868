"""What tells two corpora apart, whatever folders they lie in."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.data.loading import Corpus, Speech, StreamedCorpus

# What says where an utterance's audio is, and not what it is.
_PLACES = ("audio_filepath", "clips", "place", "read")
# A lone surrogate, from a damaged text, has no UTF-8 of its own.
_SAFE = ("utf-8", "backslashreplace")


def fingerprint(utterances: Iterable[Speech]) -> str:
    """Hash all that the manifests say but where files lie, so that a corpus may move."""
    digest = hashlib.sha256()
    for utterance in utterances:
        for speech in (utterance, *_clips(utterance)):
            facts = {key: value for key, value in vars(speech).items() if key not in _PLACES}
            digest.update(f"{speech.id} {speech.text} {facts}\n".encode(*_SAFE))
        digest.update(b"\n")
    return digest.hexdigest()


def fingerprint_corpus(corpus: Corpus) -> str:
    """Hash a corpus: its utterances, and what else the order of their batches depends on."""
    found = fingerprint(corpus.utterances(0))
    if not isinstance(corpus, StreamedCorpus):
        return found
    return hashlib.sha256(f"{found} {corpus.order_key()}".encode()).hexdigest()


def fingerprint_audio(utterances: Sequence[Speech]) -> str:
    """Hash what `fingerprint` does, and size and time of every audio file, without reading it."""
    digest = hashlib.sha256(fingerprint(utterances).encode())
    seen: set[Path] = set()
    for utterance in utterances:
        for clip in _clips(utterance) or (utterance,):
            audio = getattr(clip, "audio_filepath", None)
            if audio is not None and audio not in seen:
                seen.add(audio)
                digest.update(f"{clip.id} {_stamp(audio)}\n".encode(*_SAFE))
    return digest.hexdigest()


def fingerprint_file(path: str | Path) -> str:
    """Hash a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clips(utterance: Speech) -> Sequence[Speech]:
    """Recordings that an utterance is composed of; none for one that is a recording itself."""
    return getattr(utterance, "clips", ())


def _stamp(audio: Path) -> str:
    try:
        status = audio.stat()
    except OSError:  # the loader reports it
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"
