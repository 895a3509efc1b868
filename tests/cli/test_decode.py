import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tones
import yaml
from printed import last_line

from asr.acoustic.checkpoint import load_checkpoint, save_checkpoint
from asr.audio import write_wav
from asr.cli import main
from asr.cli.assembly import make_decoder, open_files, open_test_set
from asr.cli.hydra_config import compose_config
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.data.unusable import TooManyBadError, Unusable
from asr.evaluation.results import DecodedShare, decode_share, write_shares
from asr.evaluation.scoring import DecoderResult
from asr.text import CharTokenizer, TextNormalizer


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """70 s that grow louder from a whisper to a shout, and their manifest."""
    folder = tmp_path_factory.mktemp("long")
    rng = np.random.default_rng(5)
    waveform = tones.speak(tones.invent_text(rng, 110), rng)[: 70 * tones.SAMPLE_RATE]
    waveform *= np.geomspace(0.01, 1.0, len(waveform))
    write_wav(folder / "long.wav", waveform, tones.SAMPLE_RATE)
    seconds = len(waveform) / tones.SAMPLE_RATE
    assert seconds == 70
    write_manifest(folder / "m.jsonl", [Utterance(folder / "long.wav", seconds, "ab")])
    return folder


def test_decode_and_transcribe_read_a_long_file_alike(long_file, tmp_path, capsys):
    checkpoint = tones.checkpoint_path()
    words = ["data=manifest", f"data.test_manifest={long_file / 'm.jsonl'}"]

    assert main(["decode", f"checkpoint={checkpoint}", *words, f"output_dir={tmp_path}"]) == 0
    capsys.readouterr()
    assert main(["transcribe", str(long_file / "long.wav"), "--checkpoint", str(checkpoint)]) == 0

    decoded = json.loads((tmp_path / "hyp.jsonl").read_text())["pred_text"]
    assert capsys.readouterr().out == f"{decoded}\n"
    assert len(decoded.split()) > 50


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A manifest of four clips, and a checkpoint in a run."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(6)
    utterances = []
    for i, text in enumerate(["ab cad", "dab", "bad ab", "c"]):
        waveform = tones.speak(text, rng)
        write_wav(folder / f"{i}.wav", waveform, tones.SAMPLE_RATE)
        seconds = len(waveform) / tones.SAMPLE_RATE
        utterances.append(Utterance(folder / f"{i}.wav", seconds, text))
    write_manifest(folder / "m.jsonl", utterances)
    (folder / "run/ckpt").mkdir(parents=True)
    save_checkpoint(folder / "run/ckpt/best.ckpt", tones.trained_model())
    return folder


def decode(clips, *words):
    checkpoint = f"checkpoint={clips / 'run/ckpt/best.ckpt'}"
    return main(
        ["decode", checkpoint, "data=manifest", f"data.test_manifest={clips / 'm.jsonl'}", *words]
    )


def results(clips):
    return {path.parent.name: path for path in (clips / "run/decode").rglob("scores.json")}


def test_results_say_what_made_them(clips, tmp_path):
    assert decode(clips, f"output_dir={tmp_path}", "decoder=beam", "decoder.beam_width=7") == 0

    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["decoder"]["beam_width"] == 7
    assert len(config["fingerprints"]["checkpoint"]) == 64
    assert json.loads((tmp_path / "env.json").read_text())["packages"]


def test_repeat_replaces_and_another_decoding_has_a_folder_of_its_own(clips):
    assert decode(clips, "decoder=beam") == 0
    first = results(clips)["manifest_test_beam"].stat().st_mtime_ns
    assert decode(clips, "decoder=beam", "loading.num_threads=1") == 0
    assert list(results(clips)) == ["manifest_test_beam"]
    assert results(clips)["manifest_test_beam"].stat().st_mtime_ns > first

    assert decode(clips, "decoder=beam", "decoder.beam_width=3") == 0
    assert decode(clips, "decoder=beam", "decoder.beam_width=3") == 0

    assert len(results(clips)) == 2


def test_another_decoding_never_goes_over_what_was_there(clips, tmp_path, capsys):
    assert decode(clips, f"output_dir={tmp_path}") == 0
    before = (tmp_path / "scores.json").read_bytes()

    assert decode(clips, f"output_dir={tmp_path}", "padding_s=[0,1]") == 2

    assert "(padding_s: None -> [0, 1]): give another output_dir=... or overwrite=true" in (
        last_line(capsys)
    )
    assert (tmp_path / "scores.json").read_bytes() == before
    assert decode(clips, f"output_dir={tmp_path}", "padding_s=[0,1]", "overwrite=true") == 0
    assert not (tmp_path / "hyp.jsonl").exists()


def test_another_checkpoint_of_the_same_name_is_another_decoding(clips, tmp_path, capsys):
    checkpoint = tmp_path / "m.ckpt"
    words = [f"checkpoint={checkpoint}", f"output_dir={tmp_path / 'out'}"]
    save_checkpoint(checkpoint, tones.untrained_model(seed=1))
    assert decode(clips, *words) == 0
    save_checkpoint(checkpoint, tones.untrained_model(seed=2))

    assert decode(clips, *words) == 2
    assert "fingerprints.checkpoint" in last_line(capsys)


def test_foreign_folder_is_left_alone(clips, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")

    assert decode(clips, f"output_dir={tmp_path}") == 2

    assert "is not empty" in last_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("place", ["given", "default"])
def test_every_job_of_a_sweep_has_a_folder(clips, tmp_path, place):
    words = [
        *("decode", "-m", f"checkpoint={clips / 'run/ckpt/best.ckpt'}", "data=manifest"),
        *(f"data.test_manifest={clips / 'm.jsonl'}", "decoder=greedy,beam"),
    ]
    if place == "given":
        words.append(f"output_dir={tmp_path}")
    words += ["--json"] if place == "given" else []
    command = [sys.executable, "-m", "asr", *words]
    found = subprocess.run(command, check=True, cwd=tmp_path, text=True, capture_output=True).stdout

    if place == "given":
        table = [(record["run"], record["decoder"]) for record in json.loads(found)]
    else:
        table = [tuple(line.split()[:2]) for line in found.splitlines()[-2:]]
    assert sorted(table) == [("decoder=beam", "beam"), ("decoder=greedy", "greedy")]
    folder = tmp_path if place == "given" else clips / "run/decode/manifest_test"
    for decoder in ("greedy", "beam"):
        assert decoder in json.loads((folder / f"decoder={decoder}/scores.json").read_text())


def test_padded_set_is_a_further_row(clips, tmp_path, capsys):
    assert decode(clips, f"output_dir={tmp_path}", "padding_s=[0.5,1]") == 0

    scores = json.loads((tmp_path / "scores.json").read_text())
    name = "greedy, 0.5 s of silence before and 1 s after"
    assert list(scores) == ["greedy", name]
    assert scores[name]["audio_s"] == pytest.approx(scores["greedy"]["audio_s"] + 4 * 1.5)
    assert name in capsys.readouterr().out
    assert (tmp_path / scores[name]["folder"] / "wer.txt").exists()


def test_scores_are_printed_as_json(clips, tmp_path, capsys):
    assert decode(clips, f"output_dir={tmp_path}", "--json") == 0

    (record,) = json.loads(capsys.readouterr().out)
    assert (record["decoder"], record["num_utterances"]) == ("greedy", 4)
    assert record["output_dir"] == str(tmp_path)


def test_speakers_of_the_manifest_are_in_the_results(clips, tmp_path):
    lines = [json.loads(line) for line in (clips / "m.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        line["audio_filepath"] = str(clips / line["audio_filepath"])
        line |= {"speaker": number} if number else {}
    manifest = tmp_path / "spoken.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert decode(clips, f"data.test_manifest={manifest}", f"output_dir={tmp_path / 'out'}") == 0

    found = [json.loads(line) for line in (tmp_path / "out/hyp.jsonl").read_text().splitlines()]
    assert [record.get("speaker") for record in found] == [None, "1", "2", "3"]


def test_decoding_ends_with_advice_that_has_numbers_and_a_command(clips, tmp_path, capsys):
    lines = (clips / "m.jsonl").read_text().splitlines()
    broken = json.loads(lines[0]) | {"audio_filepath": str(tmp_path / "none.wav"), "id": "none"}
    good = [
        json.loads(line) | {"audio_filepath": str(clips / json.loads(line)["audio_filepath"])}
        for line in lines
    ]
    manifest = tmp_path / "some.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in [*good, broken]))

    assert decode(clips, f"data.test_manifest={manifest}", f"output_dir={tmp_path / 'out'}") == 2

    assert last_line(capsys) == (
        f"next: 1 of 5 utterances of out could not be decoded: cat {tmp_path}/out/failures.jsonl"
    )


def test_one_bad_file_loses_nothing_and_is_counted(clips, tmp_path, capsys):
    lines = (clips / "m.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        record["audio_filepath"] = str(clips / record["audio_filepath"])
    records[1]["audio_filepath"] = str(tmp_path / "none\x1b[2J.wav")
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(json.dumps(record) + "\n" for record in records))

    assert decode(clips, f"data.test_manifest={manifest}", f"output_dir={tmp_path / 'out'}") == 2

    printed = capsys.readouterr()
    assert " 3 of 4 " in printed.out
    assert "\x1b" not in printed.out + printed.err
    assert json.loads((tmp_path / "out/scores.json").read_text())["greedy"]["num_unusable"] == 1
    assert "3 utterances, " in (tmp_path / "out/wer.txt").read_text()


def test_file_name_that_is_no_utf8_loses_nothing(clips, tmp_path):
    shutil.copy(clips / "0.wav", tmp_path / "a\udcff.wav")
    record = json.loads((clips / "m.jsonl").read_text().splitlines()[0])
    record |= {"id": "u", "audio_filepath": "a\udcff.wav"}
    (tmp_path / "m.jsonl").write_text(json.dumps(record) + "\n")

    words = [f"data.test_manifest={tmp_path / 'm.jsonl'}", f"output_dir={tmp_path / 'out'}"]
    assert decode(clips, *words) == 0

    hypothesis = json.loads((tmp_path / "out/hyp.jsonl").read_text())
    assert hypothesis["audio_filepath"].endswith("a\udcff.wav")
    assert hypothesis["pred_text"] == "ab cad"


@pytest.mark.parametrize("style", ["text", "json", "ctm", "srt", "vtt"])
def test_transcripts_of_hostile_file_names_are_printed_and_harmless(clips, tmp_path, capsys, style):
    shutil.copy(clips / "0.wav", tmp_path / "a\udcff\x1b[2J.wav")
    words = ["--checkpoint", str(clips / "run/ckpt/best.ckpt"), "--format", style]
    files = [str(tmp_path / "a\udcff\x1b[2J.wav")] * (1 if style in ("srt", "vtt") else 2)

    assert main(["transcribe", *files, *words]) == 0

    printed = capsys.readouterr()
    assert "cad" in printed.out
    assert "\x1b" not in printed.out + printed.err
    printed.out.encode()  # a pipe wants UTF-8
    if style == "json":
        names = [json.loads(line)["audio"] for line in printed.out.splitlines()]
        assert names == files


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split=foo"], "split must be one that data=manifest has (train, dev, test), got foo"),
        (["split=name"], "split must be one that data=manifest has"),
        (["checkpoint=[a,b]"], "checkpoint must be one file, got ['a', 'b']"),
        (["device=cuda:99"], "device=cuda:99"),
        (["device=tpu"], "device must be auto, cpu, cuda"),
        (["padding_s=1"], "padding_s must be null or [before, after] in seconds, got 1"),
        (["padding_s=[1,2,3]"], "padding_s must be null or [before, after]"),
        (["padding_s=[0,-1]"], "after_s must be in [0, 60], got -1"),
    ],
)
def test_mistake_is_one_line_and_leaves_no_folder(clips, tmp_path, capsys, words, message):
    assert decode(clips, f"output_dir={tmp_path / 'out'}", *words) == 2

    assert message in last_line(capsys)
    assert not (tmp_path / "out").exists()


FORMATS = {
    "text": r"ab cad\n",
    "json": r'\{"audio": ".*0\.wav", "text": "ab cad", .*"words": \[\{"word": "ab", .*\}\n',
    "srt": r"1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\nab cad\n",
    "vtt": r"WEBVTT\n\n00:00:00\.\d{3} --> 00:00:0\d\.\d{3}\nab cad\n",
    "ctm": r"\S+0\.wav 1 0\.\d+ 0\.\d+ ab [01]\.\d+\n\S+0\.wav 1 \d\.\d+ 0\.\d+ cad [01]\.\d+\n",
}


@pytest.mark.parametrize("style", FORMATS)
def test_transcribe_writes_every_format(clips, capsys, style):
    words = ["--checkpoint", str(clips / "run/ckpt/best.ckpt"), "--format", style]

    assert main(["transcribe", str(clips / "0.wav"), *words]) == 0

    assert re.fullmatch(FORMATS[style], capsys.readouterr().out)


def test_transcribe_on_a_device_that_is_not_there_is_one_line(clips, capsys):
    words = ["--checkpoint", str(clips / "run/ckpt/best.ckpt"), "--device", "cuda:99"]

    assert main(["transcribe", str(clips / "0.wav"), *words]) == 2

    assert "device=cuda:99" in last_line(capsys)


def test_hotwords_take_the_form_of_the_models_texts():
    said = ["decoder=beam", "decoder.hotwords=['AB, ba!']", "decoder.hotword_weight=2"]
    config = compose_config("decode", ["checkpoint=x", "data=fsdd", *said])
    normalizer, tokenizer = TextNormalizer(" ab", language="en"), CharTokenizer(" ab")

    assert open_files(config["decoder"], normalizer=normalizer)["hotwords"] == ["ab ba"]
    make_decoder(config, tokenizer, normalizer)
    with pytest.raises(ValueError, match="AB, ba!"):
        make_decoder(config, tokenizer)


# Of a table of scores, what depends on the clock.
TIMES = ("real_time_factor",)


def written(folder):
    """Everything in a folder of results but times, as lines."""
    scores = json.loads((folder / "scores.json").read_text())
    scores = [{k: v for k, v in score.items() if k not in TIMES} for score in scores.values()]
    names = ("hyp.jsonl", "hyp.trn", "ref.trn", "failures.jsonl")
    return scores, {name: (folder / name).read_text().splitlines() for name in names}


def pred_texts(lines):
    return [(record["id"], record["pred_text"]) for record in map(json.loads, lines)]


def check_same(one, other):
    """Hypotheses, scores and failures are the same; their log-probabilities to rounding."""
    (scores, files), (other_scores, other_files) = written(one), written(other)
    assert scores == other_scores
    assert pred_texts(files.pop("hyp.jsonl")) == pred_texts(other_files.pop("hyp.jsonl"))
    assert sorted(files.pop("failures.jsonl")) == sorted(other_files.pop("failures.jsonl"))
    assert files == other_files


@pytest.fixture
def half_broken(clips, tmp_path):
    """The clips, and two more that cannot be read."""
    utterances = [*read_manifest(clips / "m.jsonl")]
    for name in ("x", "y"):
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF....")
        utterances.append(Utterance(tmp_path / f"{name}.wav", 0.5, "ab"))
    write_manifest(tmp_path / "m.jsonl", utterances)
    return tmp_path / "m.jsonl"


def test_shares_of_ranks_are_written_as_one(clips, half_broken, tmp_path):
    words = [f"checkpoint={clips / 'run/ckpt/best.ckpt'}", "data=manifest"]
    config = compose_config("decode", [*words, f"data.test_manifest={half_broken}"])
    model = load_checkpoint(clips / "run/ckpt/best.ckpt")
    decoders = {"greedy": make_decoder(config, model.tokenizer)}

    def share(rank, size):
        loader = open_test_set(config, "test", model, rank, size).loader
        return decode_share(model, loader, decoders), loader.corpus.utterances(0)

    for name, size in (("one", 1), ("two", 2), ("eight", 8)):
        shares, utterances = zip(*(share(rank, size) for rank in range(size)), strict=True)
        write_shares(tmp_path / name, shares, utterances[0])

    check_same(tmp_path / "one", tmp_path / "two")
    check_same(tmp_path / "one", tmp_path / "eight")
    assert len(written(tmp_path / "two")[1]["failures.jsonl"]) == 2


def test_a_set_that_no_rank_can_read_is_refused(clips, tmp_path):
    share = DecodedShare({"greedy": DecoderResult([], 0.04, 0.0)}, [Unusable("x", "broken")], None)

    with pytest.raises(TooManyBadError, match="not one of 2 utterances could be used"):
        write_shares(tmp_path, [share, share], [None, None])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ranks_of_torchrun_decode_what_one_process_does(clips, half_broken, tmp_path):
    words = [f"data.test_manifest={half_broken}", f"output_dir={tmp_path / 'ranks'}"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc-per-node=2", "-m", "asr", "decode", "data=manifest"]
    command += [f"checkpoint={clips / 'run/ckpt/best.ckpt'}", *words]

    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    assert decode(clips, words[0], f"output_dir={tmp_path / 'one'}") == 2

    check_same(tmp_path / "one", tmp_path / "ranks")
