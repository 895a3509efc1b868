"""Auxiliary heads on a network: what they read, what they teach it, and how they are kept."""

import json
import logging

import pytest
import torch
from bfloat16 import needs_bfloat16
from heads import ANNA, BEN, NOBODY, TOKENIZER, UTTERANCES, add_labels, make_batch, write_dictionary
from tiny import make_corpus, overrides

from asr.acoustic.checkpoint import load_checkpoint, read_checkpoint
from asr.acoustic.model import build_model
from asr.cli import main
from asr.cli.hydra_config import build, compose_config
from asr.cli.train import make_stepper, train
from asr.models import ClipHead
from asr.text import LabelTokenizer
from asr.training import loop
from asr.training.heads import Heads
from asr.training.tasks import LabelTask, TextTask
from asr.training.validation import validate

WEIGHT = 0.25
SMALL_CONFORMER = {"model": "conformer", "model__num_layers": 2, "model__hidden_size": 8}


def speakers(weight=WEIGHT, **changes):
    return {"speaker": LabelTask("speaker", weight=weight, utterances=UTTERANCES, **changes)}


def make(folder, tasks, tokenizer=TOKENIZER, **changes):
    changes = {"augment": "none", "model__dropout": 0, "trainer__grad_clip": 1e9} | changes
    config = compose_config("train", overrides(folder, folder / "run", **changes))
    torch.manual_seed(0)
    return make_stepper(config, build_model(config, tokenizer), tasks), config


def gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters()}


@pytest.mark.parametrize("pooling", ["mean", "attention", "max"])
def test_padding_never_enters_the_pooling(pooling):
    torch.manual_seed(0)
    head = ClipHead(4, 3, pooling)
    x, lengths = torch.randn(5, 2, 4), torch.tensor([5, 3])
    mask = (torch.arange(5)[:, None] < lengths)[..., None]
    x[3:, 1] = torch.nan

    together = head(x, mask)

    alone = head(x[:3, 1:], mask[:3, 1:])
    torch.testing.assert_close(together[1:], alone)
    if pooling == "mean":
        by_hand = torch.stack([x[:, 0].sum(0) / 5, x[:3, 1].sum(0) / 3])
        torch.testing.assert_close(together, head.linear(by_hand))


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_is_that_of_both_losses_with_their_weights(tmp_path, reverse):
    stepper, config = make(tmp_path, speakers(reverse=reverse))
    network, (head,), batch = stepper.model.network.train(), stepper.heads.heads, make_batch()
    features, lengths = stepper.model.features(batch.waveforms, batch.waveform_lengths)
    x, lengths = network.encode(features, lengths)
    text = build(config, "loss")(network.linear(x), batch.targets, lengths, batch.target_lengths)
    means = torch.stack([x[:length, n].mean(0) for n, length in enumerate(lengths.tolist())])
    label = torch.nn.functional.cross_entropy(
        head.linear(means[:2]), torch.tensor([0, 1]), reduction="sum"
    )
    # Three utterances, one of them without a label.
    (text.sum() / 3).backward(retain_graph=True)
    of_text = gradients(network)
    network.zero_grad()
    (WEIGHT * label / 3).backward()
    text, label = float(text.detach().sum()), float(label.detach())
    sign = -1 if reverse else 1
    of_label = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    of_head = gradients(head)

    outcome = stepper(batch, 0.0, 0)

    assert outcome.loss_sum == pytest.approx(text, rel=1e-5)  # of the text alone
    assert outcome.tasks == {"speaker": (pytest.approx(label, rel=1e-5), 2)}
    assert "convs.0.conv.weight" in of_label
    for name, parameter in network.named_parameters():
        expected = of_text[name] + sign * of_label.get(name, 0.0)
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-5, msg=name)
    for name, parameter in head.named_parameters():
        torch.testing.assert_close(parameter.grad, of_head[name], msg=name)


def test_a_vanishing_weight_equals_no_head(tmp_path):
    options = {"optimizer": "momentum", "model__dropout": 0.2}
    (plain, _), (small, _) = (make(tmp_path, t, **options) for t in ({}, speakers(weight=1e-30)))
    for seed in range(2):
        for stepper in (plain, small):
            assert stepper(make_batch(), 0.05, seed).num_utterances == 3

    expected = plain.model.network.state_dict()
    for name, value in small.model.network.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_heads_learn_with_the_network(tmp_path):
    tasks = speakers() | {
        "phones": TextTask.from_dictionary(
            write_dictionary(tmp_path), weight=0.3, utterances=UTTERANCES
        )
    }
    stepper, _ = make(tmp_path, tasks, model__intermediate_layer=1)
    first, *_, last = [stepper(make_batch(), 0.02, n) for n in range(12)]

    assert list(first.tasks) == ["letters", "speaker", "phones"]
    assert [count for _, count in first.tasks.values()] == [3, 2, 2]
    for name, (loss_sum, _) in last.tasks.items():
        assert loss_sum < first.tasks[name][0], name
    validation = validate(stepper.model, [make_batch()], stepper.heads)
    assert list(validation.tasks) == ["speaker", "phones"]
    assert validation.tasks["phones"].num_units == 10
    assert validation == validate(stepper.model, [make_batch()])._replace(tasks=validation.tasks)


@needs_bfloat16
def test_heads_compute_in_bfloat16(tmp_path):
    stepper, _ = make(tmp_path, speakers(pooling="attention"))
    stepper.precision = "bfloat16"

    assert stepper(make_batch(), 0.01, 0).tasks["speaker"][1] == 2


def test_an_idle_rank_gives_every_weight_a_gradient_of_zero(tmp_path):
    stepper, _ = make(tmp_path, speakers(pooling="attention"))
    stepper.network.train()

    share = stepper._idle(make_batch([ANNA]))
    (share.losses.sum() + share.extra.sum()).backward()

    assert share.task_sums.tolist() == [0, 0]
    for name, parameter in stepper.network.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


@pytest.mark.parametrize(
    ("layer", "changes", "num_features"),
    [("layers.0", {"model__num_layers": 2}, 16), ("blocks.0", SMALL_CONFORMER, 8)],
)
def test_a_head_reads_the_layer_that_is_named(tmp_path, layer, changes, num_features):
    """Whether it lays out time or utterances first."""
    stepper, _ = make(tmp_path, speakers(layer=layer), **changes)
    network, (head,) = stepper.model.network, stepper.heads.heads
    seen = []
    network.get_submodule(layer).register_forward_hook(lambda m, a, output: seen.append(output))

    batch = make_batch([BEN, ANNA])
    output, lengths = (
        stepper._run_network(*stepper.model.features(batch.waveforms, batch.waveform_lengths))[-1:],
        stepper.model.network.output_lengths(torch.tensor([76, 101])),
    )
    (x,) = seen
    x = x.transpose(0, 1) if layer == "blocks.0" else x
    means = torch.stack([x[:length, n].mean(0) for n, length in enumerate(lengths.tolist())])
    assert head.linear.in_features == num_features
    torch.testing.assert_close(output[0], head.linear(means))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("rnn", "heads.speaker: layer must be one of the network's, such as convs, got 'rnn'"),
        ("convs.0.conv", "heads.speaker: layer 'convs.0.conv' must give as many frames as"),
    ],
)
def test_layers_that_cannot_be_read_are_one_clear_line(tmp_path, layer, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make(tmp_path, speakers(layer=layer))


def test_networks_of_clips_have_no_frames(tmp_path):
    config = compose_config("train", ["tokenizer=labels", "model=clip_ds2"])
    model = build_model(config, LabelTokenizer(["a", "b"]))

    with pytest.raises(
        ValueError, match=r"^heads need a network that gives frames, and ClipNetwork"
    ):
        Heads(model, speakers())


def test_long_recordings_in_pieces_are_not_scored_by_heads(tmp_path):
    stepper, _ = make(tmp_path, speakers())
    long = make_batch([NOBODY])._replace(
        waveforms=torch.zeros(1, 31 * 16000), waveform_lengths=torch.tensor([31 * 16000])
    )

    validation = validate(stepper.model, [long, make_batch([ANNA, BEN])], stepper.heads)

    assert len(validation.ids) == 3
    assert validation.tasks["speaker"].num_scored == 2


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    make_corpus(folder, num_train=16, num_dev=5)
    return folder, add_labels(folder)


@pytest.fixture(scope="module")
def fit(corpus):
    folder, heads = corpus
    return lambda run_dir, **changes: train(
        compose_config("train", overrides(folder, run_dir, **(heads | changes)))
    )


LEARNT = {
    "trainer__log_every": 2,
    "trainer__accumulate": 2,
    "regularization__average_decay": 0.9,
    "freeze": "[convs]",
}


@pytest.fixture(scope="module")
def whole(fit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger(), "level", logging.INFO)
        fit(folder, **LEARNT)
    return folder


def test_resumed_training_equals_an_uninterrupted_one(fit, whole, tmp_path, monkeypatch):
    steps, original = [], loop._Fit._step

    def dying(self, *args):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return original(self, *args)

    options = LEARNT | {"trainer__checkpoint_minutes": 1e-9}
    with monkeypatch.context() as patch:
        patch.setattr(loop._Fit, "_step", dying)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "cut", **options)

    fit(tmp_path / "cut", **options, resume="auto")

    for name in ("last", "best"):
        _, expected = read_checkpoint(whole / f"ckpt/{name}.ckpt")
        _, got = read_checkpoint(tmp_path / f"cut/ckpt/{name}.ckpt")
        assert expected.keys() == got.keys()
        assert [key for key in expected if not torch.equal(expected[key], got[key])] == []
    assert rows(whole) == rows(tmp_path / "cut")


def rows(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    clock = ("seconds", "processor_s", "speech_hours_per_hour")
    return [{key: value for key, value in line.items() if key not in clock} for line in lines]


def test_heads_are_kept_to_go_on_and_are_not_in_the_model(whole):
    kept = {name for name in read_checkpoint(whole / "ckpt/last.ckpt")[1] if "heads." in name}
    model = read_checkpoint(whole / "ckpt/best.ckpt")[1]

    assert {"auxiliary.heads.0.linear.weight", "auxiliary.heads.1.linear.weight"} <= kept
    assert not [name for name in model if "heads" in name]
    for name in ("last", "best"):
        assert load_checkpoint(whole / f"ckpt/{name}.ckpt").tokenizer.tokens[1:] == list(" abc")


def test_log_and_metrics_say_what_heads_learn_and_who_has_no_label(whole):
    log = (whole / "log.txt").read_text()

    assert "heads.speaker: 2 classes, 12 of 16 train utterances, 4 of 5 dev utterances" in log
    assert (
        "heads.speaker: 4 train utterances add no loss to it; the first, train0: has no speaker"
        in log
    )
    assert (
        "heads.speaker: 1 dev utterances are not scored by it; the first, dev0: speaker 'zoe'"
        in log
    )
    assert "add no loss to it; the first, train" in log.split("heads.phones: ")[1]
    assert "the pronouncing dictionary lacks 'b" in log
    assert "% of 4 utterances" in log.split("  speaker: train loss ")[1]
    validations = [row for row in rows(whole) if "dev_loss" in row]
    assert len(validations) == 2
    for row in validations:
        assert row["train_speaker_loss"] > 0
        assert row["dev_speaker_loss"] > 0
        assert row["dev_speaker_accuracy"] in (0, 0.25, 0.5, 0.75, 1)
        assert row["dev_phones_per"] > 0
    steps = [row for row in rows(whole) if "loss" in row]
    assert steps
    assert all(row["speaker_loss"] > 0 and row["phones_loss"] > 0 for row in steps)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "heads.speaker.field=accent",
            "heads.speaker: none of 16 training utterances has the field",
        ),
        ("heads.speaker.weight=0", "heads.speaker: weight must be > 0 and finite, got 0"),
        ("heads.speaker.weight=much", "heads.speaker.weight must be a number, got 'much'"),
        ("heads.speaker.pooling=sum", "heads.speaker.pooling must be mean or attention or max"),
        ("heads.speaker.layer=rnn", "heads.speaker: layer must be one of the network's"),
        ("heads.phones.dictionary=none.dict", "heads.phones: none.dict: "),
        ("+heads.letters=${heads.speaker}", "heads.letters: is what model.intermediate_layer is"),
    ],
)
def test_mistakes_are_one_clear_line(corpus, tmp_path, capsys, word, message):
    folder, heads = corpus

    assert main(["train", *overrides(folder, tmp_path / "run", **heads), word]) == 2

    error = capsys.readouterr().err
    assert error.strip().splitlines()[-1].startswith(f"asr train: {message}"), error
    assert not (tmp_path / "run").exists()
