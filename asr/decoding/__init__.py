"""CTC decoders: log-probabilities in, text with scores, words and times out.

Sees log-probabilities and never a model: usable with any CTC network's output.
"""

from asr.decoding.alternatives import Alternative, word_alternatives
from asr.decoding.beam_search import BeamSearchDecoder
from asr.decoding.ctcdecoder import build_ctcdecoder
from asr.decoding.decoder import Decoder
from asr.decoding.greedy import GreedyDecoder
from asr.decoding.hypothesis import Hypothesis, Word
from asr.decoding.prefix_search import PrefixSearchDecoder
from asr.decoding.streaming import BeamSearchStream, GreedyStream, Partial
from asr.ngram.model import NGramLM

__all__ = [
    "Alternative",
    "BeamSearchDecoder",
    "BeamSearchStream",
    "Decoder",
    "GreedyDecoder",
    "GreedyStream",
    "Hypothesis",
    "NGramLM",
    "Partial",
    "PrefixSearchDecoder",
    "Word",
    "build_ctcdecoder",
    "word_alternatives",
]
