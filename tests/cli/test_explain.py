"""`asr explain`, from the command to the page, with a small model that reads tones."""

import re
import shutil
import subprocess

import html5lib
import numpy as np
import pytest
import soundfile
import tones
import torch

from asr.acoustic.checkpoint import save_checkpoint
from asr.acoustic.model import build_model
from asr.cli import main
from asr.cli.explain import quote_text
from asr.explain.methods import METHODS
from asr.text import LabelTokenizer
from tests.page_reader import Page

TEXT = "ab cad ab"
FAST = ("draws=2", "max_steps=16", "tolerance=1")
# So small that its pictures are few.
SMALL = tones.CONFIG["model"] | {
    "conv_channels": [2],
    "conv_kernels": [[3, 3]],
    "conv_strides": [[2, 2]],
    "hidden_size": 3,
    "bidirectional": False,
    "norm": "none",
}
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
CLIP = {"_target_": "asr.models.ClipNetwork", "pooling": "attention", "body": SMALL}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with a trained model and a small one, recordings, snapshots of training."""
    run = tmp_path_factory.mktemp("explain") / "run"
    for name in ("ckpt", "snapshots"):
        (run / name).mkdir(parents=True)
    model = tones.trained_model()
    save_checkpoint(run / "ckpt" / "best.ckpt", model)
    small = tones.untrained_model(config=tones.CONFIG | {"model": SMALL})
    save_checkpoint(run / "ckpt" / "small.ckpt", small)
    soundfile.write(run / "said.wav", tones.speak(TEXT, np.random.default_rng(3)), 8000)
    soundfile.write(run / "short.wav", np.zeros(20), 8000)
    (run / "empty.wav").write_bytes(b"")
    soundfile.write(run / "silence.wav", np.zeros(4000), 8000)
    log_probs = np.log(np.full((12, 6), 1 / 6))
    for epoch in (1, 3):
        name = run / "snapshots" / f"epoch_{epoch:03d}.npz"
        np.savez(name, log_probs=log_probs, utterance_id="dev<1>", text="a & b")
    return run


def explain(run, *words, checkpoint="ckpt/best.ckpt"):
    return main(["explain", f"checkpoint={run / checkpoint}", *FAST, *words])


def read_page(path):
    html = path.read_text()
    # Raises where a browser would have to guess.
    html5lib.HTMLParser(strict=True).parse(html)
    page = Page(html)
    assert page.open == []
    return html, page


@pytest.fixture(scope="module")
def page(run):
    """HTML and parsed page of one word; drawing takes seconds, so once for all."""
    words = (f"audio={run / 'said.wav'}", f"text={TEXT}", "word=cad")
    assert explain(run, *words, checkpoint="ckpt/small.ckpt") == 0
    return read_page(run / "explain/said_cad/explain.html")


def test_page_has_every_section(page):
    _, page = page

    assert page.sections == [
        "What was heard, and where the maps point",
        "What each map shows",
        "Check: do integrated gradients add up?",
        "Check: do the frames they point at matter?",
        "Check: do they need what was learnt?",
        "Layer by layer",
        "Gates over time",
        "Learnt filters",
        "Weights",
        "How its posteriors emerged in training",
        "Command and options",
    ]


def test_page_is_one_file_that_fetches_nothing(page):
    html, page = page

    assert page.fetched == []
    assert "url(http" not in html
    assert "@import" not in html
    assert 'src="data:audio/mpeg;base64,' in html


def test_page_names_word_text_methods_and_numbers(page):
    _, page = page

    assert f"“{TEXT}”" in page.text
    for method in METHODS.values():
        assert method.title in page.text
        assert method.shows in page.text
    total, difference = re.search(r"Q\(b\): (\S+) of (\S+) nats", page.text).groups()
    assert float(total) == pytest.approx(float(difference), rel=0.1)
    assert re.search(r"at random it is 0\.\d{3}, from 0\.\d{3} to 0\.\d{3}", page.text)
    assert "The network has no filters over samples." in page.text
    assert "The first recurrent layer with gates, GRU layers.0.forwards" in page.text


def test_page_shows_training_moment_by_moment(page):
    html, page = page

    labels = re.findall(r'data-label="([^"]+)"', html)
    assert labels == ["after 1 epoch", "after 3 epochs"]
    assert 'type="range" min="0" max="1"' in html
    assert "Utterance dev<1>, “a & b”" in page.text


# What a hand would do to the film, and what is seen then.
HAND = """<script>
const find = (what) => document.querySelector(".film " + what);
const [button, slider] = [find("button"), find("input")];
const seen = () => [...document.querySelectorAll("[data-label]")]
  .filter((moment) => moment.getClientRects().length)
  .map((moment) => moment.dataset.label).join(" and ");
const found = [seen(), find(".controls span").textContent, button.textContent];
slider.value = 1;
slider.dispatchEvent(new Event("input"));
found.push(seen());
button.click();
found.push(button.textContent);
setTimeout(() => {
  found.push(seen(), slider.value);
  button.click();
  found.push(button.textContent);
  document.body.dataset.found = found.join("; ");
}, 1000);
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_film_of_training_obeys_slider_and_button(page, tmp_path):
    html, _ = page
    driven = tmp_path / "driven.html"
    driven.write_text(html.replace("</body>", f"{HAND}</body>"))
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'home'}"]

    result = subprocess.run(
        [BROWSER, *words, "--virtual-time-budget=3000", "--dump-dom", driven.as_uri()],
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )

    first, last = "after 1 epoch", "after 3 epochs"
    (found,) = re.findall(r'data-found="([^"]*)"', result.stdout)
    assert found.split("; ") == [first, first, "play", last, "stop", first, "0", "play"]


def test_clip_without_snapshots_and_a_gap_that_is_said(run, tmp_path, capsys):
    torch.manual_seed(0)
    model = build_model(tones.CONFIG | {"model": CLIP}, LabelTokenizer(["bird", "rain"]))
    save_checkpoint(tmp_path / "clip.ckpt", model)
    words = (f"audio={run / 'said.wav'}", "text=rain", "tolerance=1e-9", "max_steps=1")

    assert explain(tmp_path, *words, checkpoint="clip.ckpt") == 0

    log = capsys.readouterr().err
    out = tmp_path / "explain/said/explain.html"
    assert re.search(r"off by .* % after 1 steps, more than tolerance=1e-09", log)
    assert f"explanation: {out}" in log
    _, page = read_page(out)
    assert "What “rain” rests on" in page.text
    assert page.sections[0] == "What the clip is taken for"
    assert "of body.convs.0.conv, rectified" in page.text  # Grad-CAM
    assert "attention" in page.text.split()  # a layer: how much each frame counts
    assert "posterior of every label" not in page.text
    assert "output frames that it takes" not in page.text
    assert "No snapshot of training lies beside this checkpoint." in page.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["word=dab"], "word must be one of the text, got 'dab': 'ab cad ab'"),
        (["word=7"], "word must be one of the text, got '7'"),
        (["word=true"], "word must be one of the text, got 'true'"),
        (["word=d'a"], 'word must be one of the text, got "d\'a"'),
        (["word=ab", "occurrence=3"], "occurrence must be 1..2, as often as 'ab' is in the text"),
        (["occurrence=2"], "occurrence=2 needs word=..."),
        (["audio=none.wav"], "none.wav: no such audio file"),
        (["audio=short.wav"], "short.wav: 20 samples at 8000 Hz are too short for one frame"),
        (["audio=silence.wav"], "silence.wav: no word is recognised in it: give text=..."),
        (["max_duration_s=1"], "said.wav: lasts 1."),
        (["max_duration_s=0"], "max_duration_s must be in (0, 30], got 0"),
        (["max_duration_s=31"], "max_duration_s must be in (0, 30], got 31"),
        (["text=ab eb"], "character 'e' (U+0065) is not in the alphabet"),
        (["text="], "text must hold a word, got ''"),
        (["text=abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"], "are too few"),
        (["tolerance=0"], "tolerance must be > 0, got 0"),
        (["max_steps=0"], "max_steps must be >= 1, got 0"),
        (["max_steps=many"], "max_steps must be an integer, got 'many'"),
        (["draws=0"], "draws must be >= 1, got 0"),
        (["seed=-1"], "seed must be >= 0, got -1"),
        (["device=tpu"], "device must be auto, cpu, cuda"),
        (["wrod=ab"], "did you mean word?"),
        (["checkpoint=said.wav"], "said.wav: not a readable checkpoint"),
        (["checkpoint=no.ckpt"], "no.ckpt: no such checkpoint"),
        (["checkpoint=ckpt"], "ckpt: is a folder without config.json"),
        (["checkpoint="], "checkpoint must be one file, got ''"),
        (["audio="], "audio must be one file, got ''"),
        (["audio=ckpt"], "ckpt: is a folder, not an audio file"),
        (["audio=empty.wav"], "empty.wav: the file is empty (0 bytes)"),
        (["output_dir=short.wav"], "short.wav: File exists"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(run, words, message, monkeypatch, capsys):
    monkeypatch.chdir(run)

    assert explain(run, "audio=said.wav", *words) == 2

    lines = capsys.readouterr().err.strip().splitlines()
    assert [line for line in lines if "Traceback" in line] == []
    assert lines[-1].startswith("asr explain: ")
    assert message in lines[-1]
    assert not (run / "explain" / "said").exists()


def test_broken_snapshot_is_named(run, tmp_path, capsys):
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "ckpt/best.ckpt").write_bytes((run / "ckpt/best.ckpt").read_bytes())
    (tmp_path / "snapshots/epoch_001.npz").write_bytes(b"no archive")

    assert explain(tmp_path, f"audio={run / 'said.wav'}") == 2

    assert "epoch_001.npz: is no snapshot of training" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "quoted"),
    [
        ("word=don't", 'word="don\'t"'),
        ('word=a"b', 'word="a\\"b"'),
        ("text=a, b", 'text="a, b"'),
        ("text=null", "text=null"),
        ("word='7'", "word='7'"),
        ("draws=3", "draws=3"),
        ("word", "word"),
    ],
)
def test_texts_are_texts_whatever_they_look_like(override, quoted):
    assert quote_text(override) == quoted
