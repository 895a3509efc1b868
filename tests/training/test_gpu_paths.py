"""Paths of a GPU without one: fake CUDA tensors, where mixing devices or waiting for one raises.

Only forward passes run this way: a backward pass asks for a driver.
"""

from contextlib import contextmanager
from functools import partial

import pytest
import torch
from heads import UTTERANCES, make_batch
from tiny import KINDS, overrides, overrides_of
from torch._subclasses import FakeTensorMode

from asr.acoustic.model import build_model
from asr.cli.assembly import choose_device
from asr.cli.hydra_config import build, compose_config
from asr.data.loading import Batch
from asr.text import CharTokenizer
from asr.training.heads import Heads
from asr.training.precision import missing_bfloat16
from asr.training.regularization import ActivationNoise, divergence_from_uniform
from asr.training.step import Stepper, count, sum_shares
from asr.training.tasks import LabelTask

# PyTorch has no fake kernel of its CUDA cell for a GRU, so that an LSTM takes its place.
NETWORKS = [
    ("ds2_lstm", {}),
    ("ds2_rnn", {}),
    ("ds2_peephole", {}),
    ("ds2_cifg", {}),
    ("ds2_irnn", {}),
    ("ds2_lookahead", {"model__cell": "lstm"}),
    ("ds2_paper", {"model__conv_kernels": "[[3,3],[3,3]]", "model__conv_strides": "[[2,2],[1,2]]"}),
    ("vgg", {}),
    ("resnet", {"model__depths": "[1,1,1,1]"}),
    ("densenet", {"model__depths": "[1,1,1]"}),
    ("quartznet", {}),
    ("citrinet", {}),
    ("conformer", {}),
]
NORMALIZE = ["utterance", "corpus", "running", "none"]


@contextmanager
def fake_gpu():
    """Inside, tensors only have shapes and devices, and a GPU may be named that is not there."""
    enabled = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False  # its recurrent layers ask for a driver
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        torch.backends.cudnn.enabled = enabled


def torch_loss(logits, targets, lengths, target_lengths):
    return torch.nn.functional.ctc_loss(
        logits.log_softmax(-1), targets, lengths, target_lengths, reduction="none"
    )


def cpu_batch():
    """A batch as the loader gives it, on the CPU."""
    lengths = torch.tensor([16000, 9000])
    targets = torch.tensor([[2, 3, 4], [4, 4, 0]])
    waveforms = torch.zeros(2, 16000)
    return Batch(["a", "b"], ["abc", "cc"], waveforms, lengths, targets, torch.tensor([3, 2]))


def make_model(tmp_path, kind=None, **changes):
    words = partial(overrides_of, kind) if kind else overrides
    config = compose_config("train", words(tmp_path, tmp_path / "run", **changes))
    # Moving a module into fakes is not supported: it is made there.
    with torch.device("cuda"):
        return config, build_model(config, CharTokenizer(" abc"))


def make_stepper(tmp_path, kind=None, **changes):
    config, model = make_model(tmp_path, kind, **changes)
    return Stepper(
        model,
        torch.optim.SGD(model.network.parameters(), lr=0.1),
        augment=build(config["augment"], "features"),
        loss=torch_loss,
        precision="float32",
        grad_clip=5.0,
    )


def test_the_fake_gpu_notices_a_wait_and_a_mix():
    with fake_gpu():
        x = torch.ones(3, device="cuda")
        with pytest.raises(Exception, match="_local_scalar_dense"):
            float(x.sum())
        with pytest.raises(RuntimeError, match="different devices"):
            x + torch.ones(3)


@pytest.mark.parametrize("normalize", NORMALIZE)
def test_features_network_and_augmentation_never_wait(tmp_path, normalize):
    batch = cpu_batch()
    with fake_gpu():
        stepper = make_stepper(tmp_path, features__normalize=normalize)
        stepper.network.train()

        logits, lengths = stepper.forward(batch, 0)

        assert logits.device.type == "cuda"
        assert lengths.device.type == "cpu"


@pytest.mark.parametrize(("model", "changes"), NETWORKS)
def test_every_network_trains_forward_without_waiting(tmp_path, model, changes):
    batch = cpu_batch()
    with fake_gpu():
        stepper = make_stepper(tmp_path, model=model, **changes)
        stepper.network.train()

        assert stepper.forward(batch, 0)[0].device.type == "cuda"


@pytest.mark.parametrize("kind", KINDS)
def test_every_front_end_and_what_takes_it_never_wait(tmp_path, kind):
    batch = cpu_batch()
    with fake_gpu():
        stepper = make_stepper(tmp_path, kind)
        stepper.network.train()

        logits, lengths = stepper.forward(batch, 0)
        log_probs, _ = stepper.model.log_probs(batch.waveforms, batch.waveform_lengths)
        sums = stepper.model.features.measure(batch.waveforms, batch.waveform_lengths)

        assert (logits.device.type, lengths.device.type) == ("cuda", "cpu")
        assert (log_probs.device.type, sums.device.type) == ("cpu", "cpu")


def test_heads_never_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(Heads, "to", lambda self, device: self)  # as make_model
    batch = make_batch()
    tasks = {"speaker": LabelTask("speaker", weight=0.1, utterances=UTTERANCES)}
    with fake_gpu():
        _, model = make_model(tmp_path)
        with torch.device("cuda"):
            heads = Heads(model, tasks)
        stepper = Stepper(
            model,
            torch.optim.SGD(model.network.parameters(), lr=0.1),
            augment=None,
            loss=lambda logits, *_: logits.sum((0, 2)),
            precision="float32",
            grad_clip=5.0,
            heads=heads,
        )
        stepper.network.train()

        counts = sum_shares([stepper._share(batch, 0)], stop=False)

        assert (counts.device.type, counts.shape) == ("cuda", (6,))


def test_smoothing_and_noise_never_wait():
    with fake_gpu():
        logits = torch.zeros(5, 2, 4, device="cuda")

        divergence = divergence_from_uniform(logits, torch.tensor([5, 3]))
        noisy = ActivationNoise(0.1)(torch.nn.Dropout(), (), logits)

        assert (divergence.device.type, divergence.shape) == ("cuda", (2,))
        assert noisy.device.type == "cuda"


def test_counts_of_a_step_stay_on_the_gpu():
    with fake_gpu():
        counts = count(torch.ones(4, device="cuda"), 4, stop=False)

        assert (counts.device.type, counts.shape, counts.dtype) == ("cuda", (4,), torch.float64)


def test_a_rank_without_utterances_takes_part(tmp_path):
    with fake_gpu():
        share = make_stepper(tmp_path)._idle(cpu_batch())

        assert (share.losses.device.type, share.losses.shape) == ("cuda", (1,))
        assert (share.logits.device.type, share.logits.shape[1]) == ("cuda", 1)
        assert (share.extra.device.type, share.extra.numel()) == ("cuda", 1)


@pytest.mark.parametrize("normalize", NORMALIZE)
def test_validation_computes_log_probs_there_and_gives_them_here(tmp_path, normalize):
    batch = cpu_batch()
    with fake_gpu():
        _, model = make_model(tmp_path, features__normalize=normalize)

        log_probs, lengths = model.log_probs(batch.waveforms, batch.waveform_lengths)

        assert (log_probs.device.type, lengths.device.type) == ("cpu", "cpu")


def test_corpus_statistics_take_batches_from_the_cpu(tmp_path):
    batch = cpu_batch()
    with fake_gpu():
        _, model = make_model(tmp_path, features__normalize="corpus")
        sums = model.features.measure(batch.waveforms, batch.waveform_lengths)

        assert sums.shape == (3, model.features.num_features)
        assert sums.device.type == "cpu"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", "device=cuda, but PyTorch sees no GPU here"),
        ("cuda:1", "device=cuda:1, but PyTorch sees no GPU here"),
        ("mps", "device=mps, but PyTorch sees no Apple GPU here"),
        ("tpu", "device must be auto, cpu, cuda, cuda:N or mps, got 'tpu'"),
        ("xla", "device must be auto, cpu, cuda, cuda:N or mps, got 'xla'"),
    ],
)
def test_devices_that_are_not_here_are_one_line(monkeypatch, name, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    with pytest.raises(ValueError, match=message):
        choose_device(name)


@pytest.mark.parametrize(
    ("name", "local_rank", "expected"),
    [("cuda", "0", 0), ("auto", "1", 1), ("cuda", "1", 1), ("cuda:1", "0", 1), ("cuda", None, 0)],
)
def test_local_ranks_take_a_gpu_each(monkeypatch, name, local_rank, expected):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if local_rank is not None:
        monkeypatch.setenv("LOCAL_RANK", local_rank)

    assert choose_device(name) == torch.device("cuda", expected)
    assert chosen == [expected]


def test_more_ranks_than_gpus_are_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")

    with pytest.raises(ValueError, match="asks for GPU 2, but PyTorch sees 2 here, from 0"):
        choose_device("cuda")


def test_a_gpu_says_itself_whether_it_has_bfloat16(monkeypatch):
    for has in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, has=has, **k: has)

        assert (missing_bfloat16(torch.device("cuda")) is None) == has
