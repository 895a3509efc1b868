"""Advice comes from numbers, or not at all."""

import json

import pytest
import yaml
from decoded_sets import result_of

from asr.data.unusable import Unusable
from asr.evaluation.advice import advise, advise_decoding, advise_training, setting_of
from asr.evaluation.results import write_results
from asr.evaluation.run_record import read_run

CONFIG = {
    "data": {"name": "synth", "root": "data/synth"},
    "augment": {"waveform": {"speeds": [1.0]}},
    "model": {"dropout": 0.1},
    "optimizer": {"lr": 3e-3},
    "trainer": {"max_epochs": 10},
}
COMMAND = ["/bin/asr", "train", "data=synth", "run_dir=runs/a", "resume=auto"]


def make_run(folder, history=(), config=CONFIG, command=COMMAND, decoded=(), lm_score=0.0, bad=()):
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "env.json").write_text(json.dumps({"command": list(command)}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    if decoded:
        result = result_of(*decoded)
        for utterance in result.utterances:
            utterance.hypotheses[0].lm_score = lm_score
        write_results(folder / "decode/test", {"greedy": result}, bad)
    return read_run(folder)


def rows(train, dev, wer=None, **changes):
    """Validations at the ends of epochs."""
    wers = wer or [0.2] * len(train)
    return [
        {
            "step": 100 * n,
            "epoch": n,
            "train_loss": t,
            "dev_loss": d,
            "dev_wer": w,
            "dev_cer": w / 4,
            "skipped_steps": 0,
            "seconds": 1.0,
        }
        | changes
        for n, (t, d, w) in enumerate(zip(train, dev, wers, strict=True), start=1)
    ]


def test_losses_apart_ask_for_augmentation(tmp_path):
    run = make_run(tmp_path / "a", rows([9, 6, 4, 2], [9, 7, 7.05, 7.5]))

    (advice,) = advise(run)

    assert advice.finding == (
        "train loss fell from 6.00 to 2.00 since epoch 2, dev loss did not (7.00, now 7.50): "
        "more data or augmentation"
    )
    assert advice.command == f"asr train data=synth augment=full run_dir={tmp_path}/a_next"


def test_losses_apart_with_augmentation_ask_for_dropout(tmp_path):
    config = CONFIG | {"augment": {"waveform": {"speeds": [0.9, 1.0, 1.1]}}}
    run = make_run(tmp_path / "a", rows([9, 6, 4, 2], [9, 7, 7, 7]), config)

    (advice,) = advise(run)

    assert "model.dropout=0.3" in advice.command


@pytest.mark.parametrize(
    ("train", "dev"),
    [
        ([9, 6, 5, 5], [9, 7, 7, 7]),  # train loss stands still as well
        ([9, 6, 4, 2], [9, 7, 5, 3]),  # both fall
        ([9], [9]),
        ([], []),
    ],
)
def test_losses_that_are_not_apart_ask_for_nothing(tmp_path, train, dev):
    assert advise(make_run(tmp_path / "a", rows(train, dev))) == []


def test_error_rate_that_still_fell_asks_for_epochs(tmp_path):
    wer = [0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.4, 0.35, 0.3]
    run = make_run(tmp_path / "a", rows(range(20, 10, -1), range(20, 10, -1), wer))

    (advice,) = advise(run)

    assert "dev WER still fell, from 40.00 to 30.00 %" in advice.finding
    assert "trainer.max_epochs=20" in advice.command
    unfinished = CONFIG | {"trainer": {"max_epochs": 11}}
    assert not list(advise_training(run.history, setting_of(run._replace(config=unfinished))))


def test_skipped_steps_ask_for_a_lower_rate(tmp_path):
    run = make_run(tmp_path / "a", rows([9, 8], [9, 8], skipped_steps=3))

    (advice,) = advise(run)

    assert advice.finding.startswith("3 of 200 steps had no finite loss")
    assert "optimizer.lr=0.0015" in advice.command


def test_few_skipped_steps_ask_for_nothing(tmp_path):
    assert advise(make_run(tmp_path / "a", rows([9, 8], [9, 8], skipped_steps=2))) == []


def test_misspelt_words_ask_for_a_language_model(tmp_path):
    run = make_run(tmp_path / "a", decoded=[("hello world again", "hello wurld again")] * 4)

    (advice,) = advise(run)

    assert advice.finding.startswith("WER 33.33 % on test with CER 5.88 % and no language model")
    assert advice.command == (
        "asr lm build text.txt -o lm.arpa && asr decode "
        f"checkpoint={tmp_path}/a/ckpt/best.ckpt data=synth data.root=data/synth decoder=beam "
        "decoder.lm=lm.arpa"
    )


def test_command_of_asr_decode_is_kept(tmp_path):
    run = make_run(tmp_path / "a", decoded=[("hello world again", "hello wurld again")] * 4)
    words = ["asr", "decode", "checkpoint=b.ckpt", "data=fsdd", "decoder=greedy", "output_dir=o"]
    folder = tmp_path / "a/decode/test"
    (folder / "env.json").write_text(json.dumps({"command": words}))
    (folder / "config.yaml").write_text("decoder: {name: greedy}")

    (advice,) = advise(run)

    assert advice.command.endswith(
        "asr decode checkpoint=b.ckpt data=fsdd decoder=beam decoder.lm=lm.arpa"
    )


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ([("a b c", "a b"), ("d e f", "d e f")] * 20, "deletions"),
        ([("a b c", "a b c x"), ("d e f", "d e f")] * 20, "insertions"),
    ],
)
def test_one_kind_of_error_with_a_language_model_asks_for_a_search(tmp_path, pairs, kind):
    run = make_run(tmp_path / "a", decoded=pairs, lm_score=-2.0)

    (advice,) = advise(run)

    assert advice.finding.startswith(f"20 of 20 errors of test are {kind}")
    assert advice.command.startswith("asr tune checkpoint=")
    assert advice.command.endswith("decoder.lm=lm.arpa split=dev")


def test_few_errors_have_no_kind(tmp_path):
    pairs = [("a b c", "a b")] * 19 + [("d e f", "d e f")] * 20

    assert advise(make_run(tmp_path / "a", decoded=pairs, lm_score=-2.0)) == []


def test_network_that_has_learnt_little_is_trained_on(tmp_path):
    run = make_run(tmp_path / "a", decoded=[("a b c", "")] * 10)

    (advice,) = advise(run)

    assert advice.finding == (
        "WER 100.00 % on test after 10 epochs, 30 of 30 errors deletions: train longer"
    )


def test_utterances_that_were_not_decoded_come_first_and_advice_is_short(tmp_path):
    decoded = [("hello world again", "hello wurld again")] * 4
    run = make_run(tmp_path / "a", decoded=decoded, bad=[Unusable("x", "y")])
    (result,) = run.best_results()

    found = list(advise_decoding(result, setting_of(run)))

    assert found[0].finding == "1 of 5 utterances of test could not be decoded"
    assert found[0].command == f"cat {tmp_path}/a/decode/test/failures.jsonl"
    history = rows([9, 6, 4, 2], [9, 7, 7, 7], skipped_steps=90)
    assert len(advise(run._replace(history=history))) == 2


def test_perfect_set_asks_for_nothing(tmp_path):
    assert advise(make_run(tmp_path / "a", decoded=[("a b", "a b")])) == []


def test_command_of_several_runs_in_one_go(tmp_path):
    words = ["asr train", "--multirun", "data=synth", "model.hidden_size=8,9"]
    run = make_run(tmp_path / "a", rows([9, 6, 4, 2], [9, 7, 7, 7]), command=words)

    (advice,) = advise(run)

    assert advice.command.startswith(
        "asr train --multirun data=synth model.hidden_size=8,9 augment=full"
    )
