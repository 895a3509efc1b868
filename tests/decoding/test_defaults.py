"""One default for one thing, wherever it is written."""

import inspect
from pathlib import Path

import pytest
import yaml

from asr.decoding import BeamSearchDecoder, GreedyDecoder, PrefixSearchDecoder

CONFIGURATIONS = Path(__file__).parents[2] / "conf" / "decoder"
HYDRA = {"name", "_target_", "_partial_"}


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("beam", BeamSearchDecoder),
        ("greedy", GreedyDecoder),
        ("prefix_search", PrefixSearchDecoder),
    ],
)
def test_decoder_has_the_defaults_of_its_configuration(name, decoder):
    written = yaml.safe_load((CONFIGURATIONS / f"{name}.yaml").read_text())
    parameters = inspect.signature(decoder).parameters

    assert written["_target_"] == f"asr.decoding.{decoder.__name__}"
    for option in written.keys() - HYDRA:
        assert written[option] == parameters[option].default, option


def test_beam_search_has_the_defaults_of_the_design():
    parameters = inspect.signature(BeamSearchDecoder).parameters
    design = {
        "blank": 0, "beam_width": 64, "lm_alpha": 0.5, "lm_beta": 1.0, "unk_score": -10.0,
        "lexicon": None, "hotwords": None, "hotword_weight": 0.0, "grammar": None, "n_best": 1,
        "token_min_logp": -5.0, "beam_prune_logp": -10.0, "num_threads": 0,
    }  # fmt: skip

    assert {name: parameters[name].default for name in design} == design


def test_configuration_names_every_option_of_the_beam_search():
    written = yaml.safe_load((CONFIGURATIONS / "beam.yaml").read_text())
    parameters = inspect.signature(BeamSearchDecoder).parameters

    assert written.keys() - HYDRA == parameters.keys() - {"tokens", "blank"}
