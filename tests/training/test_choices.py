"""Every optimizer, regulariser and precision: steps, a file, and the same steps after it."""

from functools import cache
from pathlib import Path

import pytest
import torch
from bfloat16 import needs_bfloat16
from tiny import overrides

from asr.acoustic.model import build_model
from asr.cli.hydra_config import compose_config
from asr.cli.train import make_stepper
from asr.data.loading import Batch
from asr.models.blocks import MaskedBatchNorm
from asr.text import CharTokenizer
from asr.training.precision import choose_precision
from asr.training.regularization import Regularization
from asr.training.state import Progress, load_training, optimizer_tensors, save_training
from asr.training.step import Moment

CONF = Path(__file__).parents[2] / "conf"
NUM_STEPS = 2
CHOICES = [
    f"{group}={path.stem}"
    for group in ("optimizer", "regularization")
    for path in sorted((CONF / group).glob("*.yaml"))
]
CHOICES += ["trainer.grad_clip_value=0.01", "model.variational_dropout=true"]
# GRU: oneDNN has no LSTM in float16, and a GRU of PyTorch's own on the CPU.
FLOAT16 = "trainer.precision=float16 model.cell=gru"
CHOICES += [FLOAT16, f"{FLOAT16} regularization=weight_noise regularization.l2=0.01"]
BFLOAT16 = "trainer.precision=bfloat16 regularization=weight_noise regularization.average_decay=0.9"


@cache
def config_of(*words):
    return compose_config("train", [*overrides(Path("x"), Path("y")), *words])


def make(words, seed=0):
    """A stepper whose network was drawn with that seed."""
    config = config_of(*words.split())
    torch.manual_seed(seed)
    stepper = make_stepper(config, build_model(config, CharTokenizer(" abc")))
    stepper.precision = choose_precision(config["trainer"]["precision"], stepper.model).name
    # A scale that fits, and grows from step to step.
    scale = {"scale": 32.0, "growth_interval": 1}
    stepper.scaler.load_state_dict(stepper.scaler.state_dict() | scale)
    return stepper


def make_batches(sizes, seed=0):
    torch.manual_seed(seed)
    batches = []
    for size in sizes:
        lengths = torch.randint(8000, 16000, (size,))
        waveforms = torch.randn(size, 16000) * 0.1
        targets = torch.randint(1, 5, (size, 3))
        names = [f"{seed}-{n}" for n in range(size)]
        batches.append(
            Batch(names, ["abc"] * size, waveforms, lengths, targets, torch.full((size,), 3))
        )
    return batches


def take(stepper, numbers):
    for n in numbers:
        batches = make_batches([2], seed=n)
        assert stepper.take(batches, Moment(0.01, [n], 100 + n, n)).num_utterances == 2


def state_of(stepper):
    """Everything that learning changes."""
    state = dict(stepper.model.network.state_dict()) | optimizer_tensors(stepper.optimizer)
    return state | (stepper.average.state() if stepper.average else {})


def assert_steps_are_the_same_after_a_file(words, path):
    whole, cut, resumed = (make(words, seed) for seed in (0, 0, 1))
    before = {name: value.clone() for name, value in state_of(whole).items()}
    half = NUM_STEPS // 2

    take(whole, range(NUM_STEPS))
    take(cut, range(half))
    now = Progress(scaler=cut.scaler.state_dict())
    save_training(path, cut, now)
    found = load_training(path, resumed)
    if found.scaler:
        resumed.scaler.load_state_dict(found.scaler)
    take(resumed, range(half, NUM_STEPS))

    expected, got = state_of(whole), state_of(resumed)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert not torch.equal(before["linear.weight"], expected["linear.weight"])
    assert whole.scaler.state_dict() == resumed.scaler.state_dict()


@pytest.mark.parametrize("words", CHOICES)
def test_resumed_steps_equal_uninterrupted_ones(words, tmp_path):
    assert_steps_are_the_same_after_a_file(words, tmp_path / "last.ckpt")


@needs_bfloat16
def test_resumed_steps_in_bfloat16_equal_uninterrupted_ones(tmp_path):
    assert_steps_are_the_same_after_a_file(BFLOAT16, tmp_path / "last.ckpt")


def test_every_regulariser_changes_what_is_learnt():
    ends = {}
    for path in (CONF / "regularization").glob("*.yaml"):
        stepper = make(f"regularization={path.stem}")
        take(stepper, range(2))
        judged = stepper.average.tensors if stepper.average else stepper.model.network.state_dict()
        ends[path.stem] = judged["linear.weight"].clone()

    same = [(a, b) for a in ends for b in ends if a < b and torch.equal(ends[a], ends[b])]
    assert not same


def test_losses_that_are_reported_know_nothing_of_smoothing_and_penalties():
    plain, smoothed = make("model.dropout=0"), make("model.dropout=0")
    smoothed.regularization = Regularization.none()
    smoothed.regularization.label_smoothing = 0.5
    smoothed.regularization.l2 = 10.0
    batches, moment = make_batches([3]), Moment(0.0, [1], 1, 0)

    losses = [stepper.take(batches, moment) for stepper in (plain, smoothed)]

    assert losses[0].loss_sum == losses[1].loss_sum
    assert losses[0].grad_norm != losses[1].grad_norm


def without_batch_statistics(stepper):
    """Batch norm that does not see a batch, and no draws: what is left is a sum over utterances."""
    network = stepper.model.network
    stepper.frozen = [m for m in network.modules() if isinstance(m, MaskedBatchNorm)]
    stepper.augment = None
    return stepper


@pytest.mark.parametrize("sizes", [[2, 1, 3], [6]])
def test_batches_that_accumulate_equal_one_batch_of_all(sizes):
    words = "optimizer=sgd model.dropout=0 trainer.grad_clip=inf"
    whole, parts = (without_batch_statistics(make(words)) for _ in range(2))
    (everything,) = make_batches([6])
    borders = torch.tensor(sizes).cumsum(0).tolist()
    shares = [
        Batch(*(field[end - size : end] for field in everything))
        for size, end in zip(sizes, borders, strict=True)
    ]

    one = whole.take([everything], Moment(0.1, [1], 1, 0))
    several = parts.take(shares, Moment(0.1, [1] * len(shares), 1, 0))

    assert several.num_utterances == one.num_utterances == 6
    assert several.loss_sum == pytest.approx(one.loss_sum, rel=1e-6)
    assert several.grad_norm == pytest.approx(one.grad_norm, rel=1e-4)
    for name, value in whole.model.network.state_dict().items():
        torch.testing.assert_close(parts.model.network.state_dict()[name], value, msg=name)


def test_a_broken_batch_among_several_skips_the_step():
    stepper = make("optimizer=sgd")
    before = {n: v.clone() for n, v in stepper.model.network.named_parameters()}
    batches = [*make_batches([2]), *make_batches([2], seed=1)]
    batches[1].waveforms[0, 5] = float("nan")

    outcome = stepper.take(batches, Moment(0.1, [1, 2], 3, 0))

    assert outcome.num_utterances == 0
    assert any(line.startswith("1-0: loss nan") for line in outcome.problems)
    assert all(torch.equal(v, before[n]) for n, v in stepper.model.network.named_parameters())


@pytest.mark.parametrize(("norm", "value"), [("inf", "1e-3"), ("1e-2", "null"), ("1e-2", "1e-4")])
def test_gradients_are_clipped_by_norm_and_by_value(norm, value):
    words = f"optimizer=sgd trainer.grad_clip={norm} trainer.grad_clip_value={value}"
    stepper = make(words)
    before = [p.detach().clone() for p in stepper.model.network.parameters()]

    outcome = stepper.take(make_batches([2]), Moment(1.0, [1], 1, 0))

    moved = torch.cat(
        [
            (a - b).detach().flatten()
            for a, b in zip(before, stepper.model.network.parameters(), strict=True)
        ]
    )
    assert outcome.grad_norm > 0.1
    if value != "null":
        assert float(moved.abs().max()) <= float(value) * 1.001
    assert float(moved.norm()) <= float(norm) * 1.001
    assert float(moved.norm()) > 1e-4


def test_gradient_that_overflows_in_float16_lowers_the_scale_and_changes_nothing():
    stepper = make(FLOAT16)
    stepper.scaler.load_state_dict(stepper.scaler.state_dict() | {"scale": 2.0**40})
    before = {
        name: value.clone() for name, value in state_of(stepper).items() if "running" not in name
    }

    outcome = stepper.take(make_batches([2]), Moment(0.1, [1], 1, 0))

    assert outcome.overflow
    assert outcome.num_utterances == 0
    (problem,) = outcome.problems
    assert problem == f"the gradient is too large for float16; the loss scale is now {2.0**39:g}"
    assert all(torch.equal(state_of(stepper)[name], value) for name, value in before.items())


def test_a_gradient_that_no_scale_makes_finite_is_a_bad_step():
    stepper = make(FLOAT16)
    stepper.scaler.load_state_dict(stepper.scaler.state_dict() | {"scale": 1.0})
    stepper.model.network.linear.weight.register_hook(lambda grad: grad * float("inf"))

    outcome = stepper.take(make_batches([2]), Moment(0.1, [1], 1, 0))

    assert not outcome.overflow
    assert outcome.problems


def test_float16_learns_what_float32_does():
    words = "model.cell=gru model.dropout=0 optimizer=sgd"
    exact, half = make(words), make(f"{words} trainer.precision=float16")

    losses = [
        [stepper.take(make_batches([2]), Moment(0.01, [1], 1, 0)).loss_sum for _ in range(3)]
        for stepper in (exact, half)
    ]

    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[0] != losses[1]
