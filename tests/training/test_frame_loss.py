"""Training on the frames of an aligner: targets, loss, resuming, and who may align."""

import shutil

import pytest
import torch
from bfloat16 import needs_bfloat16
from kills import Killed, kill_at
from tiny import overrides, overrides_of

from asr.acoustic.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from asr.acoustic.model import build_model
from asr.cli import main
from asr.cli.hydra_config import ConfigError, compose_config
from asr.cli.train import make_stepper, train
from asr.ctc import forced_align
from asr.data.loading import Batch
from asr.data.unusable import TooManyBadError
from asr.decoding import GreedyDecoder
from asr.text import CharTokenizer
from asr.training.frame_loss import FrameLoss
from asr.training.state import ResumeError
from asr.training.step import Moment

CORPUS = {"num_train": 6, "num_dev": 2}
ALPHABET = " abc"
WORDS = {"augment": "none", "model__dropout": 0, "features__normalize": "utterance"}


def make_model(folder, seed=0, alphabet=ALPHABET, **changes):
    config = compose_config("train", overrides(folder, folder / "x", **(WORDS | changes)))
    torch.manual_seed(seed)
    return build_model(config, CharTokenizer(alphabet))


@pytest.fixture(scope="module")
def corpus(corpus):
    save_checkpoint(corpus / "aligner.ckpt", make_model(corpus, seed=5))
    return corpus


def words_of(corpus, run_dir, **changes):
    options = {"loss": "frames", "loss__aligner": corpus / "aligner.ckpt"} | changes
    return overrides_of("frame_net", corpus, run_dir, **options)


def fit(corpus, run_dir, **changes):
    return train(compose_config("train", words_of(corpus, run_dir, **changes)))


def stepper_of(corpus, **changes):
    options = {"augment": "none", "features.normalize": "utterance", "loss.stretch_s": 0.1}
    config = compose_config("train", words_of(corpus, corpus / "x", **(options | changes)))
    torch.manual_seed(1)
    stepper = make_stepper(config, build_model(config, CharTokenizer(ALPHABET)))
    stepper.precision = config["trainer"]["precision"]
    return stepper


@pytest.fixture
def batch():
    torch.manual_seed(0)
    texts = ["abc", "ccab"]
    targets = torch.tensor([[2, 3, 4, 0], [4, 4, 2, 3]])
    lengths = torch.tensor([16000, 9000])
    waveforms = torch.randn(2, 16000) * 0.1
    return Batch(["one", "two"], texts, waveforms, lengths, targets, torch.tensor([3, 4]))


def frames_of(stepper, batch):
    return stepper.forward(batch, 0)[1]


def test_targets_are_the_path_of_the_aligner_at_the_time_of_each_frame(corpus, batch):
    stepper = stepper_of(corpus, **{"loss.stretch_s": 0})
    aligner = load_checkpoint(corpus / "aligner.ckpt")
    assert (aligner.samples_per_frame, stepper.model.samples_per_frame) == (640, 160)
    log_probs, sizes = aligner.log_probs(batch.waveforms, batch.waveform_lengths)
    paths, _ = forced_align(
        log_probs.transpose(0, 1), batch.targets, sizes, batch.target_lengths
    )  # (N, T)

    lengths = frames_of(stepper, batch)
    found = stepper.loss.targets(batch, lengths)

    for n, target in enumerate(found):
        assert len(target) == lengths[n]
        # Four frames for one; the aligner's last may reach beyond the end.
        expected = paths[n, : sizes[n]].repeat_interleave(4)[: len(target)]
        torch.testing.assert_close(target, expected, rtol=0, atol=0)


@pytest.mark.parametrize("stretch_s", [0, 0.05, 10])
def test_network_that_matches_its_targets_decodes_to_the_text(corpus, batch, stretch_s):
    stepper = stepper_of(corpus, **{"loss.stretch_s": stretch_s})
    lengths = frames_of(stepper, batch)

    found = stepper.loss.targets(batch, lengths)

    decoder = GreedyDecoder(stepper.model.tokenizer.tokens)
    for target, text in zip(found, batch.texts, strict=True):
        logits = 20.0 * torch.nn.functional.one_hot(target, 5)
        assert decoder(logits.log_softmax(-1))[0][0].text == text
        # With room to grow, only what separates equal letters is blank.
        assert stretch_s < 10 or int((target == 0).sum()) == (text == "ccab")


def test_loss_is_the_sum_of_the_cross_entropies_of_the_frames(corpus, batch):
    stepper = stepper_of(corpus)
    logits, lengths = stepper.forward(batch, 0)
    logits = logits.detach().clone().requires_grad_()
    logits.data[int(lengths[1]) :, 1] = 1e4  # padding

    losses = stepper.loss(logits, lengths, batch)
    losses.sum().backward()

    for n, target in enumerate(stepper.loss.targets(batch, lengths)):
        size = int(lengths[n])
        posteriors = logits[:size, n].detach().softmax(-1)
        expected = -posteriors[torch.arange(size), target].log().sum()
        torch.testing.assert_close(losses[n].detach(), expected)
        gradient = posteriors - torch.nn.functional.one_hot(target, 5)
        torch.testing.assert_close(logits.grad[:size, n], gradient, rtol=1e-4, atol=1e-6)
        assert not logits.grad[size:, n].any()


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_steps_lower_the_loss_and_leave_the_aligner_alone(corpus, batch, precision):
    stepper = stepper_of(corpus, **{"trainer.precision": precision})
    aligner = stepper.loss._aligner.network
    before = {name: value.clone() for name, value in aligner.state_dict().items()}

    losses = [stepper(batch, 0.01, 0).loss_sum for _ in range(12)]

    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(before[name], value) for name, value in aligner.state_dict().items())
    assert not any(p.grad is not None for p in aligner.parameters())


def test_batches_that_accumulate_equal_one_batch_of_all(corpus, batch):
    whole, parts = (stepper_of(corpus, optimizer="sgd") for _ in range(2))
    shares = [Batch(*(field[n : n + 1] for field in batch)) for n in (0, 1)]

    one = whole.take([batch], Moment(0.1, [1], 1, 0))
    several = parts.take(shares, Moment(0.1, [1, 1], 1, 0))

    assert several.loss_sum == pytest.approx(one.loss_sum, rel=1e-5)
    for name, value in whole.model.network.state_dict().items():
        torch.testing.assert_close(parts.model.network.state_dict()[name], value, msg=name)


def test_killed_run_goes_on_as_if_nothing_had_been_wherever_the_aligner_lies(
    corpus, tmp_path, monkeypatch
):
    changes = {"augment": "full", "trainer__checkpoint_minutes": 1e-9}
    fit(corpus, tmp_path / "whole", **changes)
    with monkeypatch.context() as patch:
        kill_at(patch, 4)
        with pytest.raises(Killed):
            fit(corpus, tmp_path / "cut", **changes)
    moved = shutil.copy(corpus / "aligner.ckpt", tmp_path / "moved.ckpt")
    fit(corpus, tmp_path / "cut", resume="auto", loss__aligner=moved, **changes)

    for name in ("last", "best"):
        runs = [read_checkpoint(tmp_path / run / f"ckpt/{name}.ckpt") for run in ("whole", "cut")]
        (_, whole), (_, cut) = runs
        assert whole.keys() == cut.keys()
        assert all(torch.equal(whole[key], cut[key]) for key in whole)
    # Four linear layers of this network, nothing of the aligner's.
    assert not [key for key in whole if "conv" in key or "rnn" in key]


def test_dev_loss_is_ctc(corpus, tmp_path):
    given = {"trainer__max_epochs": 1}
    frames = fit(corpus, tmp_path / "frames", optimizer__lr=1e-30, **given)
    ctc = overrides_of("frame_net", corpus, tmp_path / "ctc", optimizer__lr=1e-30, **given)

    assert frames.loss == pytest.approx(train(compose_config("train", ctc)).loss)


@pytest.mark.parametrize("key", ["loss.aligner", "aligner"])  # the latter in older runs
def test_another_aligner_in_the_same_place_is_refused(corpus, tmp_path, monkeypatch, key):
    path = shutil.copy(corpus / "aligner.ckpt", tmp_path / "aligner.ckpt")
    with monkeypatch.context() as patch:
        patch.setattr(FrameLoss, "fingerprints", lambda loss: {key: loss._fingerprint})
        fit(corpus, tmp_path / "run", loss__aligner=path, trainer__max_epochs=1)
    save_checkpoint(path, make_model(corpus, seed=6))

    with pytest.raises(ResumeError, match=r"the file of loss\.aligner is not the one"):
        fit(corpus, tmp_path / "run", loss__aligner=path, resume="auto")


def test_texts_that_do_not_fit_the_aligner_are_counted(corpus, tmp_path):
    coarse = {"model.conv_strides": "[[8,2],[8,2]]"}  # a frame of it is 0.64 s
    save_checkpoint(tmp_path / "aligner.ckpt", make_model(corpus, **coarse))

    with pytest.raises(TooManyBadError, match=r"train\d: 1 frames are fewer than the \d that its"):
        fit(corpus, tmp_path / "run", loss__aligner=tmp_path / "aligner.ckpt")


def test_aligner_that_gives_nan_skips_the_step_and_is_named(corpus, batch, caplog):
    stepper = stepper_of(corpus)
    stepper.loss._aligner.network.linear.bias.data[:] = torch.nan
    before = [p.detach().clone() for p in stepper.model.network.parameters()]

    outcome = stepper(batch, 0.1, 0)

    assert outcome.num_utterances == 0
    assert "the aligner cannot align one: frame 0 holds NaN" in caplog.text
    assert [line.split(":")[0] for line in outcome.problems] == ["one", "two"]
    assert all(map(torch.equal, before, stepper.model.network.parameters()))


@pytest.mark.parametrize(
    ("aligner", "message"),
    [
        ({"alphabet": " abd"}, "its tokens must be those of the model that learns: number 4"),
        ({"alphabet": " abcd"}, "there are 6, not 5"),
        (
            {"features.sample_rate": 16001},
            "must hear 16000 Hz, as the model that learns, got 16001",
        ),
    ],
)
def test_aligner_that_does_not_go_with_the_model_is_refused(corpus, tmp_path, aligner, message):
    save_checkpoint(tmp_path / "aligner.ckpt", make_model(corpus, **aligner))

    with pytest.raises(ValueError, match=message):
        stepper_of(corpus, **{"loss.aligner": tmp_path / "aligner.ckpt"})


def test_models_of_clips_have_no_frames(corpus, tmp_path):
    config = compose_config("train", ["model=clip_ds2", "model.body.hidden_size=8"])
    model = build_model(config, CharTokenizer(ALPHABET))
    save_checkpoint(tmp_path / "clips.ckpt", model)

    with pytest.raises(ValueError, match="the aligner gives a clip one label"):
        stepper_of(corpus, **{"loss.aligner": tmp_path / "clips.ckpt"})
    config = compose_config("train", ["loss=frames", f"loss.aligner={corpus / 'aligner.ckpt'}"])
    with pytest.raises(ValueError, match="the model gives a clip one label"):
        make_stepper(config, model)


@pytest.mark.parametrize("seconds", ["-0.1", "inf", "nan"])
def test_growth_must_be_some_seconds(corpus, seconds):
    with pytest.raises(ConfigError, match="stretch_s must be >= 0 and finite"):
        stepper_of(corpus, **{"loss.stretch_s": seconds})


def test_a_missing_aligner_is_one_clear_line(corpus, tmp_path, capsys):
    words = words_of(corpus, tmp_path / "run", loss__aligner=tmp_path / "none.ckpt")
    for found in (words, [word for word in words if not word.startswith("loss.aligner")]):
        assert main(["train", *found]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "none.ckpt: no such checkpoint" in line or "loss.aligner=..." in line
    assert not (tmp_path / "run").exists()
