import pytest
import tiny

from asr.acoustic.model import build_model
from asr.cli.assembly import make_loader
from asr.cli.hydra_config import compose_config
from asr.cli.train import make_stepper
from asr.text import CharTokenizer
from asr.training.pace import choose_epochs, measure_epoch


@pytest.mark.parametrize(
    ("epoch_s", "epochs"), [(1.0, 10), (44.9, 10), (45.1, 8), (74.0, 6), (150.0, 3), (1e4, 2)]
)
def test_as_many_epochs_are_chosen_as_fit(epoch_s, epochs):
    assert choose_epochs(epoch_s, 450.0, [2, 3, 4, 6, 8, 10]) == epochs


@pytest.mark.parametrize("choices", [[], [0, 3]])
def test_choices_without_an_epoch_are_refused(choices):
    with pytest.raises(ValueError, match="choices must be one or more numbers >= 1"):
        choose_epochs(1.0, 10.0, choices)


def test_measuring_an_epoch_changes_no_weight(tmp_path):
    tiny.make_corpus(tmp_path, num_train=8)
    config = compose_config("train", tiny.overrides(tmp_path, tmp_path / "run"))
    model = build_model(config, CharTokenizer(tiny.ALPHABET))
    stepper, loader = make_stepper(config, model), make_loader(config, "train", model)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}

    with pytest.raises(ValueError, match="measure_s must be > 0, got 0"):
        measure_epoch(stepper, loader, 0)
    seconds = measure_epoch(stepper, loader, measure_s=0.1)

    assert 0 < seconds < 600
    for name, value in model.network.state_dict().items():
        assert (value == before[name]).all(), name
