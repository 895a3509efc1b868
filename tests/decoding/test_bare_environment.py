"""Decoders and language models need numpy and nothing else."""

import subprocess
import sys

PROGRAM = r"""
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

ALLOWED = {"asr", "numpy", *sys.stdlib_module_names}


class NothingElse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


sys.meta_path.insert(0, NothingElse())

import numpy as np

import asr.decoding as decoding
from asr.decoding.vocabulary import read_vocabulary
from asr.ngram.perplexity import measure_perplexity

folder = Path(sys.argv[1])
(folder / "x.arpa").write_text(
    "\\data\\\nngram 1=5\n\n\\1-grams:\n-9 <s>\n-1 </s>\n-2 <unk>\n-0.5 a\n-0.6 ab\n\n\\end\\\n"
)
(folder / "labels.txt").write_text("<blank>\n \na\nb\n")
tokens, blank = read_vocabulary(folder / "labels.txt")
log_probs = np.log(np.full((5, 4), 0.1) + 0.6 * np.eye(4)[[2, 3, 1, 2, 0]])

for make in (decoding.GreedyDecoder, decoding.PrefixSearchDecoder, decoding.BeamSearchDecoder):
    assert make(tokens, blank)(log_probs)[0][0].text == "ab a"
lm = decoding.NGramLM(folder / "x.arpa")
lm.save(folder / "x.bin")
assert decoding.NGramLM(folder / "x.bin").score("a ab") == lm.score("a ab")
assert measure_perplexity(lm, [["a", "ab"]]).num_unknown == 0
rules = {"lm": lm, "lexicon": ["a", "ab"], "grammar": "(a | ab)*", "hotwords": ["ab a"]}
decoder = decoding.BeamSearchDecoder(tokens, blank, hotword_weight=1.0, n_best=9, **rules)
stream = decoder.stream()
for frame in log_probs:
    stream.push(frame[np.newaxis])
    stream.partial()
assert [stream.finish()] == decoder(log_probs)
(folder / "few.dict").write_text("A  AH0\nAB  AH0 B\n")
spoken = decoding.BeamSearchDecoder(["", "AH", "B"], lexicon=folder / "few.dict")
assert spoken(np.log([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]))[0][0].text == "ab"
assert decoding.word_alternatives(decoder(log_probs)[0])[0][0].word == "ab"
assert decoding.build_ctcdecoder(tokens, str(folder / "x.arpa")).decode(log_probs) == "ab a"
try:
    read_vocabulary(folder / "pieces.model")
except ModuleNotFoundError as error:
    assert error.name == "sentencepiece"
print(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
"""


def test_decoders_streams_and_language_models_need_numpy_alone(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True
    )

    assert child.returncode == 0, child.stderr
    loaded = child.stdout.strip()
    assert "'asr'" in loaded
    assert "'numpy'" in loaded
    assert "torch" not in loaded
