import os
import subprocess
import sys

import pytest
import torch
from bfloat16 import needs_bfloat16
from tiny import overrides
from torch import nn

from asr.acoustic.model import build_model
from asr.cli.hydra_config import compose_config
from asr.text import CharTokenizer
from asr.training import precision
from asr.training.precision import choose_precision, failure_of, missing_bfloat16

CPU = torch.device("cpu")


@pytest.fixture
def model(tmp_path):
    config = compose_config("train", overrides(tmp_path, tmp_path / "run"))
    torch.manual_seed(0)
    return build_model(config, CharTokenizer(" abc"))


@pytest.fixture
def capable(monkeypatch):
    """A CPU that says it multiplies bfloat16."""
    monkeypatch.setattr(precision, "missing_bfloat16", lambda device: None)


@pytest.fixture
def tried(monkeypatch):
    """A trial step that succeeds, whatever this machine can do."""
    monkeypatch.setattr(precision, "failure_of", lambda model, name: None)


@pytest.fixture
def incapable(monkeypatch):
    monkeypatch.setattr(precision, "missing_bfloat16", lambda device: "too old")


def break_bfloat16(monkeypatch):
    def forward(self, *args):
        raise RuntimeError("could not create a primitive descriptor\nmore")

    monkeypatch.setattr(nn.LSTM, "forward", forward)


def test_auto_takes_bfloat16_where_the_device_has_it(model, capable, tried):
    assert choose_precision("auto", model).name == "bfloat16"


@needs_bfloat16
def test_a_trial_step_succeeds_where_bfloat16_runs(model):
    assert failure_of(model, "bfloat16") is None


def test_auto_takes_float32_where_the_device_lacks_bfloat16(model, incapable):
    assert choose_precision("auto", model) == ("float32", "too old")


def test_auto_survives_a_device_that_promises_too_much(model, capable, monkeypatch):
    break_bfloat16(monkeypatch)

    name, reason = choose_precision("auto", model)

    assert name == "float32"
    assert reason.endswith("failed: could not create a primitive descriptor")


def test_bfloat16_that_does_not_run_is_refused(model, monkeypatch):
    break_bfloat16(monkeypatch)

    with pytest.raises(ValueError, match="precision=bfloat16 does not run here: a trial step"):
        choose_precision("bfloat16", model)


@pytest.mark.parametrize("kept", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", ["capable", "incapable"])
def test_resumed_run_keeps_its_precision(model, kept, device, request, tried):
    request.getfixturevalue(device)

    assert choose_precision("auto", model, kept) == (kept, "as the run was begun")


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_a_precision_asked_for_by_name_is_used(model, wanted, tried):
    assert choose_precision(wanted, model, "float32") == (wanted, "as configured")


def test_run_resumed_where_bfloat16_fails_goes_on_in_float32(model, capable, monkeypatch):
    break_bfloat16(monkeypatch)

    assert choose_precision("auto", model, "bfloat16").name == "float32"


def test_choosing_leaves_model_and_random_numbers_alone(model, capable):
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    state = torch.random.get_rng_state()

    choose_precision("auto", model)

    after = model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.grad is None for p in model.network.parameters())


@pytest.mark.parametrize("limit", ["AVX2", "avx512_core", "AVX512_CORE_VNNI"])
def test_onednn_limits_are_respected(monkeypatch, limit):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")

    assert "forbids bfloat16" in missing_bfloat16(CPU)


def test_cpu_without_dot_products_has_no_bfloat16(monkeypatch):
    for question in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, question, lambda: False)
    monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")

    assert "AVX512_BF16 or AMX" in missing_bfloat16(CPU)


def test_arm_is_left_in_float32(monkeypatch):
    monkeypatch.setattr(precision.platform, "machine", lambda: "arm64")

    assert "x86" in missing_bfloat16(CPU)


PROGRAM = """
import sys, torch
from asr.acoustic.model import build_model
from asr.cli.hydra_config import compose_config
from asr.text import CharTokenizer
from asr.training import precision
model = build_model(compose_config("train", sys.argv[1:]), CharTokenizer(" abc"))
precision.missing_bfloat16 = lambda device: None
print(precision.choose_precision("auto", model).name)
"""


def test_emulated_avx2_trains_in_float32_even_if_asked_wrongly(tmp_path):
    environment = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "default"}
    words = overrides(tmp_path, tmp_path / "run", model__hidden_size=64)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.strip() == "float32"
