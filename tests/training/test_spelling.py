"""The loss over characters of an intermediate layer."""

from pathlib import Path

import pytest
import torch
from tiny import make_corpus, overrides

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import build_model
from asr.cli.hydra_config import build, compose_config
from asr.cli.train import make_stepper, train
from asr.ctc import ctc_loss
from asr.data.loading import Batch
from asr.data.manifest import Utterance
from asr.text import CharTokenizer, SentencePieceTokenizer, spelling
from asr.training.tasks import TextTask

TEXTS = ["a cab", "bb cab"]
LAYER = {"model__intermediate_layer": 1, "model__intermediate_frames": 2}


@pytest.fixture
def pieces():
    return SentencePieceTokenizer.train(["a cab", "bb cab", "cab a bb"], 7)


def make(tmp_path, tokenizer, **changes):
    changes = LAYER | {"augment": "none", "model__dropout": 0} | changes
    config = compose_config("train", overrides(tmp_path, tmp_path / "run", **changes))
    torch.manual_seed(0)
    return make_stepper(config, build_model(config, tokenizer)), config


def batch_of(tokenizer):
    torch.manual_seed(0)
    ids = [torch.tensor(tokenizer.encode(text)) for text in TEXTS]
    return Batch(
        ["one", "two"],
        TEXTS,
        torch.randn(2, 16000) * 0.1,
        torch.tensor([16000, 12000]),
        torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
        torch.tensor([len(row) for row in ids]),
        [Utterance(Path(f"{n}.wav"), 1.0, text) for n, text in enumerate(TEXTS)],
    )


def letters(pieces):
    return TextTask(spelling(pieces), weight=0.5, write=pieces.reference)


def test_spelling_holds_what_the_pieces_hold(pieces):
    assert spelling(pieces).alphabet == " abc"
    assert spelling(CharTokenizer("cb a")).alphabet == " abc"


def test_loss_is_that_of_the_letters(pieces):
    torch.manual_seed(0)
    logits, lengths = torch.randn(30, 2, 5), torch.tensor([30, 20])

    losses, known = letters(pieces).losses(logits, lengths, batch_of(pieces))

    # <blank> " " a b c
    targets, target_lengths = torch.tensor([[2, 1, 4, 2, 3, 0], [3, 3, 1, 4, 2, 3]]), [5, 6]
    expected = torch.nn.functional.ctc_loss(
        logits.log_softmax(-1), targets, lengths.tolist(), target_lengths, reduction="none"
    )
    torch.testing.assert_close(losses, expected)
    assert known.tolist() == [True, True]


def test_a_text_with_too_many_letters_adds_nothing(pieces):
    losses, known = letters(pieces).losses(
        torch.zeros(30, 2, 5), torch.tensor([30, 6]), batch_of(pieces)
    )

    assert losses[0] > 0
    assert losses[1] == 0  # bb cab needs seven frames
    assert known.tolist() == [True, False]


def test_gradient_is_that_of_both_losses(tmp_path, pieces):
    stepper, config = make(tmp_path, pieces, intermediate_weight=0.25, trainer__grad_clip=1e9)
    batch, network = batch_of(pieces), stepper.model.network
    network.train()
    features, lengths = stepper.model.features(batch.waveforms, batch.waveform_lengths)
    logits, _, characters = network.with_characters(features, lengths)
    loss = build(config, "loss")
    targets, target_lengths = batch.targets, batch.target_lengths
    total = loss(logits, targets, network.output_lengths(lengths), target_lengths).sum()
    letter_ids = [torch.tensor(spelling(pieces).encode(text)) for text in TEXTS]
    spelt = ctc_loss(
        characters,
        torch.cat(letter_ids),
        2 * network.output_lengths(lengths),
        torch.tensor(list(map(len, letter_ids))),
        from_logits=True,
        reduction="sum",
    )
    ((total + 0.25 * spelt) / 2).backward()
    expected = {name: p.grad.clone() for name, p in network.named_parameters()}

    outcome = stepper(batch, 0.0, 0)

    assert outcome.loss_sum == pytest.approx(float(total.detach()), rel=1e-5)  # of the tokens alone
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)


def test_an_idle_rank_gives_every_weight_a_gradient_of_zero(tmp_path, pieces):
    stepper, _ = make(tmp_path, pieces)
    stepper.model.network.train()

    share = stepper._idle(batch_of(pieces))
    (share.losses.sum() + share.extra.sum()).backward()

    for name, parameter in stepper.model.network.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_weight_must_be_positive(tmp_path, pieces):
    with pytest.raises(ValueError, match="intermediate_weight must be > 0, got 0"):
        make(tmp_path, pieces, intermediate_weight=0)


def test_a_trained_model_is_read_and_goes_on(tmp_path):
    make_corpus(tmp_path)
    changes = LAYER | {"trainer__max_epochs": 1}
    train(compose_config("train", overrides(tmp_path, tmp_path / "run", **changes)))
    model = load_checkpoint(tmp_path / "run/ckpt/best.ckpt")
    assert model.network.intermediate.linear.weight.shape[0] == 2 * 5

    changes |= {"trainer__max_epochs": 2, "resume": "auto"}
    train(compose_config("train", overrides(tmp_path, tmp_path / "run", **changes)))

    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 2
