import base64
import io
import json
import re
import shutil

import html5lib
import numpy as np
import pytest
import soundfile
import tones
import torch

from asr.acoustic.checkpoint import save_checkpoint
from asr.audio import write_wav
from asr.evaluation.clips import ClipBudget
from asr.evaluation.figures import Chart, Curve, Posteriors, draw_chart, draw_snapshots
from asr.evaluation.report import read_runs, write_report
from asr.evaluation.results import read_scores, write_results
from asr.evaluation.scoring import Decoded, DecoderResult
from tests.page_reader import Page

EVIL = '<script>alert("x")</script>'


class Hyp:
    def __init__(self, text):
        self.text, self.words = text, ()
        self.score = self.acoustic_score = self.lm_score = -1.0


def speech():
    return tones.speak("ab cad", np.random.default_rng(0))


def report_of(*runs):
    out = runs[0].parent / "report.html"
    write_report(runs, out)
    html = out.read_text()
    # Raises where a browser would have to guess.
    html5lib.HTMLParser(strict=True).parse(html)
    page = Page(html)
    assert page.open == []
    return html, page


def fill(run):
    """Write what a run leaves, with two epochs, two snapshots and two decoders."""
    model = tones.trained_model()
    (run / "ckpt").mkdir(parents=True)
    (run / "snapshots").mkdir()
    save_checkpoint(run / "ckpt" / "best.ckpt", model)
    rows = [
        {"step": 5, "epoch": 0.5, "loss": 9.5, "grad_norm": 3.0, "lr": 1e-3},
        {"step": 6, "epoch": 0.6, "loss": None, "grad_norm": None, "lr": 2e-3},
        {"epoch": 1, "train_loss": 9.0, "dev_loss": 8.0, "dev_wer": 1.0, "dev_cer": 0.5},
        {"epoch": 2, "train_loss": 2.0, "dev_loss": 1.5, "dev_wer": 0.125, "dev_cer": 0.03},
    ]
    more = {"step": 20, "lr": 1e-3, "skipped_steps": 3, "speech_hours_per_hour": 9.0}
    lines = [json.dumps(more | row | {"seconds": 75.0 * row["epoch"]}) for row in rows]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    write_wav(run / "dev0.wav", speech(), tones.SAMPLE_RATE)
    waveform = torch.from_numpy(speech())[None]
    for epoch, source in ((1, tones.untrained_model()), (10, model)):
        log_probs, _ = source.log_probs(waveform, torch.tensor([waveform.shape[1]]))
        np.savez(
            run / "snapshots" / f"epoch_{epoch:03d}.npz",
            log_probs=log_probs[0].numpy(),
            utterance_id="dev0",
            text="ab cad",
            audio_filepath=str(run / "dev0.wav"),
        )
    results = {
        "greedy": decoded("turn the left light", "turn a light on"),
        "beam": decoded("turn the left light", "turn the light"),
    }
    facts = {"u<1>": {"audio_filepath": str(run / "dev0.wav"), "speaker": "<eve>"}}
    write_results(run / "decode" / "test", results, [], facts)
    environment = {"command": ["asr", "train", f"note={EVIL}"], "python": "3.11", "cuda": None}
    (run / "env.json").write_text(json.dumps(environment))
    (run / "config.yaml").write_text(f"note: {EVIL}\ntrainer: {{max_epochs: 2}}\n")
    return run


def decoded(reference, *texts, name="u<1>"):
    return DecoderResult([Decoded(name, reference, 2.0, [Hyp(t) for t in texts])], 0.04, 0.1)


@pytest.fixture
def run(tmp_path):
    return fill(tmp_path / "digits")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """HTML and parsed page of a full run; drawing takes a second, so once for all."""
    return report_of(fill(tmp_path_factory.mktemp("report") / "digits"))


def test_report_has_every_section(report):
    _, page = report

    assert page.sections == [
        "Training",
        "Decoders",
        "What to do next",
        "One utterance, seen and read",
        "How the spikes emerge",
        "Errors of test, beam",
        "Worst utterances of test",
        "Command and environment",
    ]


def test_report_is_one_file_that_fetches_nothing(report):
    html, page = report

    assert page.fetched == []
    assert "url(http" not in html
    assert "@import" not in html


def test_report_escapes_every_text(report):
    html, page = report

    assert "<script" not in html
    # In the command, in the configuration, and in the command of the advice.
    assert page.text.count(EVIL) >= 2
    assert "speaker <eve>" in page.text
    assert "u<1>: 1 error in 4 words" in page.text


def test_report_shows_the_numbers_of_the_run(report):
    _, page = report

    for words in ("25.00 % WER on test, beam", "12.50 % best dev WER", "2 min 30 s", "finite: 3."):
        assert words in page.text


def test_report_has_the_table_with_the_best_decoder_marked(report):
    html, _ = report

    (best,) = re.findall(r'<tr class="best">(.*?)</tr>', html)
    assert best.startswith("<td>beam</td><td>25.00</td>")
    assert "<td>greedy</td><td>75.00</td>" in html


def test_report_colours_errors_by_kind(tmp_path):
    write_results(tmp_path / "run" / "decode" / "t", {"g": decoded("a b c", "x b c d")}, [])

    html, _ = report_of(tmp_path / "run")

    assert '<span class="sub"><del>a</del> <ins>x</ins></span><span>b</span>' in html
    assert '<span class="ins"><ins>d</ins></span>' in html


def test_report_names_decoded_words_over_the_spectrogram(report):
    html, page = report

    figure = html[html.index("One utterance, seen") : html.index("How the spikes")]
    assert "data:image/png;base64," in figure
    assert [">ab</text>" in figure, ">cad</text>" in figure] == [True, True]
    assert "dev0: 0 errors in 2 words" in page.text


def test_report_shows_snapshots_and_the_final_model(report):
    _, page = report

    for title in ("after 1 epoch", "after 10 epochs", "the final model"):
        assert title in page.text


def test_report_of_an_empty_run_says_what_is_missing(tmp_path):
    (tmp_path / "run").mkdir()

    _, page = report_of(tmp_path / "run")

    assert "No epoch has ended yet." in page.text
    assert "Nothing has been decoded yet." in page.text


def test_report_of_a_set_without_errors_says_so(tmp_path):
    write_results(tmp_path / "run" / "decode" / "t", {"greedy": decoded("a", "a")}, [])

    _, page = report_of(tmp_path / "run")

    assert "Every utterance was read without an error." in page.text


def test_report_survives_words_outside_of_any_font_and_formulas(tmp_path):
    write_results(
        tmp_path / "run" / "decode" / "t", {"g": decoded("$a_$ \U0001f600", "漢字 &")}, []
    )

    _, page = report_of(tmp_path / "run")

    assert "$a_$" in page.text
    assert "漢字" in page.text


def test_broken_metrics_are_named_with_their_line(run):
    with (run / "metrics.jsonl").open("a") as file:
        file.write("{cut\n")

    with pytest.raises(ValueError, match=r"metrics\.jsonl:5: is not JSON"):
        write_report([run], run / "report.html")

    assert not (run / "report.html").exists()


def test_broken_scores_are_named(run):
    (run / "decode" / "test" / "scores.json").write_text('{"greedy": {"wer": 3}}')

    with pytest.raises(ValueError, match=r"scores\.json: is not a table of scores"):
        write_report([run], run / "report.html")


def test_scores_read_back_as_written(tmp_path):
    written = write_results(tmp_path, {"a": decoded("a b", "a"), "b": decoded("", "x")}, [])

    read = read_scores(tmp_path / "scores.json")

    assert read["a"].wer == pytest.approx(written["a"].wer, abs=1e-6)
    assert read["b"].wer == written["b"].wer


def test_history_of_one_epoch_without_errors_is_drawn():
    curves = [Curve("train", [0.0], [1]), Curve("dev", [0.0], [1])]

    assert draw_chart(Chart("loss", curves)).endswith("</svg>\n")


def test_figures_take_colours_from_the_page():
    svg = draw_snapshots([Posteriors("t", np.full((5, 3), 1 / 3))], 0.04, ["<blank>", " ", "a"])

    assert "var(--first)" in svg
    assert not re.search(r"(?:stroke|fill): #(?!f)", svg)


def test_label_of_a_spike_is_text_and_not_a_formula():
    probabilities = np.eye(3)[[0, 1, 0, 2, 0]]

    svg = draw_snapshots([Posteriors("t", probabilities)], 0.04, ["<blank>", "$^", "<"])

    assert ">$^</text>" in svg
    assert ">&lt;</text>" in svg


def test_report_holds_recordings_that_browsers_play(report):
    html, _ = report

    (audio,) = re.findall(
        r'<audio controls preload="none" src="data:audio/mpeg;base64,([^"]*)"', html
    )
    waveform, rate = soundfile.read(io.BytesIO(base64.b64decode(audio)))
    assert len(waveform) / rate == pytest.approx(len(speech()) / tones.SAMPLE_RATE, abs=0.1)
    assert len(audio) < 20000


def test_report_says_why_a_recording_is_missing(tmp_path):
    write_results(tmp_path / "run/decode/t", {"g": decoded("a", "b")}, [])
    facts = {"u<1>": {"audio_filepath": str(tmp_path / "none.wav")}}
    write_results(tmp_path / "run/decode/u", {"g": decoded("a", "b")}, [], facts)

    html, page = report_of(tmp_path / "run")

    assert "<audio" not in html
    assert "no player: no recording is named" in page.text
    assert "none.wav: no such audio file" in page.text


def test_report_stops_embedding_where_a_page_has_enough(tmp_path):
    write_wav(tmp_path / "a.wav", speech(), tones.SAMPLE_RATE)
    size = 1000
    while not ClipBudget(size).embed(str(tmp_path / "a.wav"))[0]:
        size += 1000
    budget = ClipBudget(size)

    clips = [budget.embed(str(tmp_path / "a.wav")) for _ in range(3)]

    assert [bool(clip) for clip, _ in clips] == [True, False, False]
    assert clips[1][1] == "left out: this page has enough audio"


def test_runs_stand_side_by_side(tmp_path):
    first = fill(tmp_path / "first")
    second = tmp_path / "second"
    shutil.copytree(first, second)
    (second / "config.yaml").write_text("note: other\nmodel: {size: 9}\n")
    write_results(second / "decode/test", {"greedy": decoded("turn the left light", "turn")}, [])

    _, page = report_of(first, second)

    assert "Options that differ" in page.sections
    assert "Errors of test, first, beam; second, greedy" in page.sections
    assert "model.size None 9" in page.text
    # 1 of 4 words wrong against 3 of 4.
    assert "test first, beam / second, greedy 25.00 75.00 +50.00" in page.text
    assert page.text.count("u<1>: 1 error in 4 words") == 1
    assert page.text.count("u<1>: 3 errors in 4 words") == 1


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    runs = [tmp_path / "a/run", tmp_path / "b/run"]
    for run in runs:
        run.mkdir(parents=True)

    assert [run.name for run in read_runs(runs)] == [str(path) for path in runs]


@pytest.mark.parametrize("count", [0, 7])
def test_number_of_runs_is_checked(tmp_path, count):
    with pytest.raises(ValueError, match=f"a report is of 1 to 6 runs, got {count}"):
        read_runs([tmp_path] * count)


def test_run_given_twice_or_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="is given twice"):
        read_runs([tmp_path, tmp_path / "."])
    with pytest.raises(ValueError, match="none: is not the folder of a run"):
        read_runs([tmp_path / "none"])
