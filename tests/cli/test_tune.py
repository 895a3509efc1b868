import itertools
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from noisy_words import TOKENS, make_emissions, write_bigram
from printed import last_line
from tiny import make_corpus, overrides

from asr.cli import main
from asr.tuning.emissions import read_emissions, save_emissions


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A corpus, a trained run, a language model, and a set of another model."""
    folder = tmp_path_factory.mktemp("tune")
    make_corpus(folder)
    assert main(["train", *overrides(folder, folder / "run", trainer__max_epochs=1)]) == 0
    write_bigram(folder / "lm.arpa")
    e = make_emissions()
    save_emissions(folder / "set.safetensors", e.log_probs, e.references, TOKENS)
    return folder


def model_words(run, folder, *more):
    return [
        f"checkpoint={run / 'run/ckpt/best.ckpt'}",
        "data=manifest",
        f"data.dev_manifest={run / 'dev.jsonl'}",
        f"decoder.lm={run / 'lm.arpa'}",
        f"output_dir={folder}",
        *more,
    ]


def set_words(run, folder, *more):
    return [
        f"log_probs={run / 'set.safetensors'}",
        f"decoder.lm={run / 'lm.arpa'}",
        "decoder.beam_width=8",
        f"output_dir={folder}",
        *more,
    ]


def tried(folder):
    """Trials without their times."""
    lines = (folder / "trials.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(s).items() if k != "decode_s"} for s in lines]


def test_tune_finds_options_that_decode_repeats(run, tmp_path, capsys):
    words = model_words(run, tmp_path / "tune", "num_trials=5")

    assert main(["tune", *words]) == 0

    out = capsys.readouterr().out
    folder = tmp_path / "tune"
    assert out.startswith((folder / "report.txt").read_text())
    assert "manifest_dev: 6 utterances" in out
    assert (folder / "surface.png").read_bytes().startswith(b"\x89PNG")
    best = yaml.safe_load((folder / "best.yaml").read_text())
    assert len(tried(folder)) == 6
    assert best["wer"]["rate"] == min(t["errors"]["rate"] for t in tried(folder))
    assert best["command"] in out
    again = [*shlex.split(best["command"])[1:], f"output_dir={tmp_path / 'decode'}"]
    assert main(again) == 0
    scores = json.loads((tmp_path / "decode/scores.json").read_text())
    assert scores["beam"]["wer"]["rate"] == pytest.approx(best["wer"]["rate"], abs=1e-6)


def test_printed_command_decodes_the_test_set_where_there_is_one(run, tmp_path, capsys):
    words = [f"data.test_manifest={run / 'train.jsonl'}", "num_trials=1"]
    assert main(["tune", *model_words(run, tmp_path / "tune", *words)]) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])

    assert main([*command[1:], f"output_dir={tmp_path / 'decode'}"]) == 0

    assert command[:2] == ["asr", "decode"]
    assert len((tmp_path / "decode/hyp.jsonl").read_text().splitlines()) == 24


def test_results_lie_in_the_run_by_default(run, capsys):
    words = [w for w in model_words(run, None, "num_trials=1") if not w.startswith("output_dir")]

    assert main(["tune", *words]) == 0

    assert (run / "run/tune/manifest_dev/best.yaml").exists()
    assert main(["tune", *words]) == 2
    assert last_line(capsys).endswith("is not empty: add resume=auto or overwrite=true")


def test_set_of_another_model_is_tuned(run, tmp_path, capsys):
    assert main(["tune", *set_words(run, tmp_path, "num_trials=20")]) == 0

    out = capsys.readouterr().out
    assert "set.safetensors: 30 utterances, 143 words" in out
    assert "asr decode" not in out
    best = yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert best["command"] is None
    assert best["wer"]["rate"] < best["wer_before"]["rate"] < 0.2 * best["wer_greedy"]["rate"]
    assert set(best["options"]) == {"lm_alpha", "lm_beta"}


def test_every_option_can_be_searched(run, tmp_path):
    names = "lm_alpha,lm_beta,unk_score,hotword_weight,beam_width,token_min_logp,beam_prune_logp"
    words = set_words(run, tmp_path, "num_trials=4", f"search=[{names}]")

    assert main(["tune", *words, "decoder.hotwords=[bad]", "decoder.hotword_weight=1.0"]) == 0

    assert set(tried(tmp_path)[3]["options"]) == set(names.split(","))


def test_killed_tune_loses_nothing(run, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "asr", "tune", *set_words(run, killed, "num_trials=4000")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = killed / "trials.jsonl"
    try:
        while not (journal.exists() and len(journal.read_bytes().splitlines()) > 4):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = journal.read_bytes()
    num_trials = len(done.splitlines()) + 9

    words = [f"num_trials={num_trials}", "resume=auto"]
    assert main(["tune", *set_words(run, killed, *words)]) == 0
    assert main(["tune", *set_words(run, whole, *words)]) == 0

    assert journal.read_bytes().startswith(done[: done.rfind(b"\n") + 1])
    assert len(tried(killed)) == num_trials + 1
    assert tried(killed) == tried(whole)
    for name in ("best.yaml", "report.txt"):
        assert (killed / name).read_text() == (whole / name).read_text().replace("whole", "killed")


def test_log_probs_are_computed_once(run, tmp_path, monkeypatch):
    assert main(["tune", *model_words(run, tmp_path, "num_trials=2")]) == 0
    monkeypatch.setattr("asr.cli.tune.compute_emissions", None)

    assert main(["tune", *model_words(run, tmp_path, "num_trials=4", "resume=auto")]) == 0
    assert main(["tune", *model_words(run, tmp_path, "num_trials=3", "overwrite=true")]) == 0
    assert len(tried(tmp_path)) == 4


def test_overwrite_throws_old_trials_away(run, tmp_path):
    assert main(["tune", *set_words(run, tmp_path, "num_trials=4")]) == 0
    old = tried(tmp_path)

    assert (
        main(["tune", *set_words(run, tmp_path, "num_trials=3", "seed=2", "overwrite=true")]) == 0
    )

    assert len(tried(tmp_path)) == 4
    assert tried(tmp_path)[1] != old[1]


@pytest.mark.parametrize("change", ["checkpoint", "manifest", "audio", "damage"])
def test_stale_cache_is_never_used(run, tmp_path, change, caplog):
    corpus, checkpoint = tmp_path / "corpus", tmp_path / "run/ckpt/best.ckpt"
    corpus.mkdir()
    make_corpus(corpus, num_train=6)
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(run / "run/ckpt/best.ckpt", checkpoint)
    words = [
        *(f"checkpoint={checkpoint}", "data=manifest", f"output_dir={tmp_path / 'tune'}"),
        *(f"data.dev_manifest={corpus / 'dev.jsonl'}", f"decoder.lm={run / 'lm.arpa'}"),
        "num_trials=1",
    ]
    assert main(["tune", *words]) == 0
    cache = tmp_path / "tune/log_probs.safetensors"
    before = read_emissions(cache)

    if change == "checkpoint":
        assert main(["train", *overrides(corpus, tmp_path / "other", seed=5)]) == 0
        shutil.copy(tmp_path / "other/ckpt/best.ckpt", checkpoint)
    elif change == "manifest":
        lines = (corpus / "dev.jsonl").read_text().splitlines(keepends=True)
        (corpus / "dev.jsonl").write_text("".join(lines[:4]))
    elif change == "audio":
        shutil.copy(corpus / "dev/dev0.wav", corpus / "dev/dev1.wav")
    else:
        cache.write_bytes(cache.read_bytes()[:-9])

    # Trials of other log-probabilities are not gone on with; a damaged file is only made again.
    assert main(["tune", *words, "resume=auto"]) == (0 if change == "damage" else 2)
    assert main(["tune", *words, "overwrite=true"]) == 0

    after = read_emissions(cache)
    same = len(before.log_probs) == len(after.log_probs) and all(
        a.shape == b.shape and (a == b).all()
        for a, b in zip(before.log_probs, after.log_probs, strict=True)
    )
    assert same == (change == "damage")
    assert (before.fingerprint == after.fingerprint) == (change == "damage")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=2", "with another seed: 1 -> 2"),
        ("space.lm_beta.high=7.0", "with another space.lm_beta.high: 6.0 -> 7.0"),
        ("decoder.beam_width=9", "with another decoder.beam_width: 8 -> 9"),
        ("search=[lm_beta]", "with another search"),
    ],
)
def test_another_search_is_not_resumed(run, tmp_path, capsys, word, message):
    assert main(["tune", *set_words(run, tmp_path, "num_trials=1")]) == 0

    assert main(["tune", *set_words(run, tmp_path, "num_trials=1", "resume=auto", word)]) == 2

    assert message in last_line(capsys)


def test_another_language_model_of_the_same_name_is_not_resumed(run, tmp_path, capsys):
    lm = tmp_path / "lm.arpa"
    shutil.copy(run / "lm.arpa", lm)
    words = set_words(run, tmp_path / "out", "num_trials=1", f"decoder.lm={lm}")
    assert main(["tune", *words]) == 0

    lm.write_text(lm.read_text().replace("-0.7 </s>", "-0.8 </s>"))

    assert main(["tune", *words, "resume=auto"]) == 2
    assert "with another fingerprints.lm" in last_line(capsys)


MISTAKES = [
    (["decoder.lm=null"], "search: lm_alpha has no effect without decoder.lm=..."),
    (["search=[hotword_weight]"], "hotword_weight has no effect without decoder.hotwords=..."),
    (["search=[alpha]"], "search: options are lm_alpha"),
    (["space.lm_alpha.low=4.0"], "space.lm_alpha: low must be < high, got 4.0 and 3.0"),
    (["space.lm_alpha.low=-1.0"], "lm_alpha must be >= 0, got -1.0"),
    (["space.lm_alpha.step=0.7"], "space.lm_alpha: step must be > 0 and divide"),
    (["space.lm_alfa.low=1"], "there is no key 'space.lm_alfa.low'"),
    (["num_trials=0"], "num_trials must be a whole number >= 1, got 0"),
    (["seed=-1"], "seed must be a whole number >= 0, got -1"),
    (["resume=yes"], "resume must be auto or null"),
    (["data=synth"], "give checkpoint=... and data=..., or log_probs=... alone; got log_probs and"),
    (["log_probs=null"], "log_probs=... alone; got neither"),
    (["log_probs=/nowhere.safetensors"], "/nowhere.safetensors: no such file"),
    (["decoder.lm=/nowhere.arpa"], "/nowhere.arpa"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistake_is_one_line_and_leaves_no_folder(run, tmp_path, capsys, words, message):
    assert main(["tune", *set_words(run, tmp_path / "out", *words)]) == 2

    line = last_line(capsys)
    assert line.startswith("asr tune: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_only_beam_search_is_tuned(run, tmp_path, capsys):
    words = [f"log_probs={run / 'set.safetensors'}", f"output_dir={tmp_path}", "decoder=greedy"]
    assert main(["tune", *words]) == 2

    assert last_line(capsys) == "asr tune: decoder must be beam, got greedy"


def test_several_checkpoints_are_one_line(run, tmp_path, capsys):
    words = ["checkpoint=[a,b]", "data=manifest", f"decoder.lm={run / 'lm.arpa'}"]
    assert main(["tune", *words, f"output_dir={tmp_path}"]) == 2

    assert last_line(capsys) == "asr tune: checkpoint must be one file, got ['a', 'b']"


def test_unknown_split_is_one_line(run, tmp_path, capsys):
    assert main(["tune", *model_words(run, tmp_path / "out", "split=dev2")]) == 2

    assert "split must be one that data=manifest has (train, dev, test), got dev2" in last_line(
        capsys
    )


def test_missing_optuna_is_one_line(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)

    assert main(["tune", *set_words(run, tmp_path / "out")]) == 2

    reason = "tuning needs optuna 4 or later: pip install 'ctc-asr[tune]'"
    assert last_line(capsys) == f"asr tune: {reason}"


def test_utterances_that_cannot_be_read_are_counted(run, tmp_path, capsys):
    records = [json.loads(line) for line in (run / "dev.jsonl").read_text().splitlines()]
    for record, place in zip(records, itertools.chain([tmp_path], itertools.repeat(run))):  # noqa: B905
        record["audio_filepath"] = str(place / record["audio_filepath"])
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    words = [f"data.dev_manifest={tmp_path / 'm.jsonl'}"]

    assert main(["tune", *model_words(run, tmp_path / "out", *words, "num_trials=1")]) == 0

    captured = capsys.readouterr()
    assert "manifest_dev: 5 utterances" in captured.out
    assert "1 not decoded" in captured.out
    assert "not decoded: dev0" in captured.err
