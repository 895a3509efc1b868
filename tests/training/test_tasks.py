"""What auxiliary heads learn: targets, losses and scores, by hand."""

import math
from dataclasses import replace

import pytest
import torch
from heads import ANNA, BEN, NOBODY, UTTERANCES, make_batch, write_dictionary

from asr.training.tasks import LabelTask, Tally, TextTask

LENGTHS = torch.tensor([12, 9, 10])
ZOE = replace(ANNA, extra={"id": "3", "speaker": "zoe"})


def speakers(**changes):
    return LabelTask("speaker", **({"weight": 0.5, "utterances": UTTERANCES} | changes))


def phones(folder, **changes):
    options = {"weight": 0.5, "utterances": UTTERANCES} | changes
    return TextTask.from_dictionary(write_dictionary(folder), **options)


def test_labels_are_those_of_training_in_order():
    task = speakers(utterances=[BEN, NOBODY, ANNA, replace(BEN, extra={"speaker": 7})])

    assert task.classes == ["7", "anna", "ben"]
    assert task.target(BEN) == [2]
    with pytest.raises(ValueError, match=r"^has no speaker$"):
        task.target(NOBODY)
    with pytest.raises(ValueError, match=r"^speaker 'zoe' is not in the training set$"):
        task.target(ZOE)


def test_loss_of_a_label_is_cross_entropy_and_none_where_it_is_missing():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [5.0, -5.0]])

    losses, known = speakers().losses(logits, LENGTHS, make_batch())

    torch.testing.assert_close(losses, torch.tensor([math.log(4), math.log(4 / 3), 0.0]))
    assert known.tolist() == [True, True, False]


def test_missing_label_has_no_gradient():
    logits = torch.zeros(3, 2, requires_grad=True)

    speakers().losses(logits, LENGTHS, make_batch())[0].sum().backward()

    torch.testing.assert_close(logits.grad, torch.tensor([[-0.5, 0.5], [0.5, -0.5], [0.0, 0.0]]))


def test_accuracy_is_of_known_labels():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [5.0, -5.0]])

    tally = speakers().score(logits, LENGTHS, make_batch())

    assert tally == ("accuracy", pytest.approx(math.log(16 / 3)), 2, 1, 2, 2)
    assert tally.value == 0.5
    assert tally.plus(tally).loss == pytest.approx(tally.loss)
    assert Tally("accuracy").value is None
    assert Tally("per").loss is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"field": "accent"},
            "none of 3 training utterances has the field 'accent'; they have 'id, speaker'",
        ),
        (
            {"utterances": [ANNA, ANNA, NOBODY]},
            "'speaker' must have at least two values in the training set, got only 'anna'",
        ),
        (
            {"utterances": [replace(ANNA, extra={"speaker": ["a"], "id": "x"})]},
            "'speaker' must be a text or a whole number, got .* \\('x'\\)",
        ),
        ({"weight": 0.0}, "weight must be > 0 and finite, got 0.0"),
        ({"weight": -1.0}, "weight must be > 0 and finite, got -1.0"),
        ({"weight": math.inf}, "weight must be > 0 and finite, got inf"),
    ],
)
def test_labels_that_cannot_be_learnt_are_one_clear_line(changes, message):
    options = {"field": "speaker", "weight": 0.5, "utterances": UTTERANCES} | changes

    with pytest.raises(ValueError, match=f"^{message}$"):
        LabelTask(**options)


def test_loss_of_phones_is_that_of_the_first_pronunciations(tmp_path):
    torch.manual_seed(0)
    task, logits = phones(tmp_path), torch.randn(12, 3, 5)
    assert task.classes == ["▁AE", "▁B", "▁IY", "▁K"]

    losses, known = task.losses(logits, LENGTHS, make_batch())

    expected = torch.nn.functional.ctc_loss(
        logits[:, :2].log_softmax(-1),
        torch.tensor([[1, 2, 4, 1, 2], [2, 3, 4, 1, 2]]),
        (12, 9),
        (5, 5),
        reduction="none",
    )
    torch.testing.assert_close(losses, torch.cat([expected, torch.zeros(1)]))
    assert known.tolist() == [True, True, False]
    with pytest.raises(ValueError, match="the pronouncing dictionary lacks 'ba': 'ba'"):
        task.target(NOBODY)


def test_too_few_frames_have_no_loss_and_more_of_them_have(tmp_path):
    lengths = torch.tensor([4, 5, 6])  # five phones

    assert phones(tmp_path).losses(torch.zeros(6, 3, 5), lengths, make_batch())[1].tolist() == [
        False,
        True,
        False,
    ]
    twice = phones(tmp_path, frames_out=2)
    losses, known = twice.losses(torch.zeros(12, 3, 5), lengths, make_batch())
    assert known.tolist() == [True, True, False]
    assert (losses > 0).tolist() == [True, True, False]


def test_phone_error_rate_counts_phones_of_known_texts(tmp_path):
    logits = torch.zeros(12, 3, 5)
    for frame, phone in enumerate([1, 2, 4, 1, 2]):  # ab cab
        logits[frame, :, phone] = 20.0
    logits[5:, :, 0] = 20.0

    tally = phones(tmp_path).score(logits, LENGTHS, make_batch())

    # bb cab is B IY K AE B: two substitutions.
    assert (tally.num_wrong, tally.num_units, tally.num_scored) == (2, 10, 2)
    assert tally.value == 0.2


def test_a_dictionary_that_says_no_text_is_one_clear_line(tmp_path):
    with pytest.raises(
        ValueError, match=r"not one of 1 training texts can be said; the first: .* lacks 'ba'"
    ):
        phones(tmp_path, utterances=[NOBODY])
    with pytest.raises(ValueError, match="frames_out must be >= 1, got 0"):
        phones(tmp_path, frames_out=0)
