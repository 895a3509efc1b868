"""The page: what it is made of, and, in Chromium with a wav file for a microphone, what it does."""

import base64
import hashlib
import json
import re
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import servers
import tones
from page_reader import Page

from asr.audio import write_wav
from asr.server.page import Page as ServerPage
from asr.server.settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RATE = tones.SAMPLE_RATE


def make_page(**settings):
    options = {"has_lm": True, "can_stream": False}
    return ServerPage(Settings(**({"name": "digits"} | settings)), **options)


def test_page_holds_everything_itself():
    page = make_page()
    read = Page(page.html)

    assert read.fetched == []
    assert read.open == []
    assert not re.search(r"https?://|@import|url\(", page.html)


def test_page_runs_its_own_script_and_style_alone():
    page = make_page()
    policy = page.headers["Content-Security-Policy"]

    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page.html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<[^>]*\s(?:style|on\w+)=", page.html)


def test_name_of_a_model_is_no_markup():
    evil = "</script><script>alert(1)</script>"

    page = make_page(name=evil)

    assert page.html.count("<script>") == 1
    assert "&lt;/script&gt;" in page.html
    told = re.search(r"const SERVER = (.*);\n", page.html)[1]
    assert json.loads(told)["model"] == evil


def test_page_asks_for_what_the_server_has():
    assert 'id="lm"' in make_page().html
    assert 'id="token"' not in make_page().html
    assert 'id="token"' in make_page(token="0123456789abcdef").html


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "speech.wav"
    rng = np.random.default_rng(3)
    quiet = (1e-3 * rng.standard_normal(2 * RATE)).astype(np.float32)
    write_wav(path, np.concatenate([tones.speak("ab cad", rng), quiet]), RATE)
    return path


@pytest.fixture(scope="module")
def browser(wav):
    """Chromium, whose microphone is the wav file."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    if find_spec("playwright") is None:
        pytest.skip("pip install playwright")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    flags.append(f"--use-file-for-fake-audio-capture={wav}%noloop")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a server's page; any error in it fails the test."""
    errors, contexts = [], []

    def open_it(served, **options):
        contexts.append(browser.new_context(accept_downloads=True, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: said.type == "error" and errors.append(said.text))
        page.goto(served.url)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert errors == []


def words_of(page):
    page.wait_for_selector("#words button")
    return page.locator("#words button").all_inner_texts()


def wait_for_text(page, place, pattern):
    """Not by `wait_for_function`: the page's policy lets nobody evaluate a text."""
    from playwright.sync_api import expect

    expect(page.locator(place)).to_contain_text(re.compile(pattern), timeout=60_000)


@pytest.mark.slow
def test_file_becomes_words_that_can_be_moved_over_played_and_saved(open_page, wav, tmp_path):
    with servers.serving() as served:
        page = open_page(served)
        page.set_input_files("#file", wav)

        assert words_of(page) == ["ab", "cad"]
        page.keyboard.press("Tab")
        page.locator("#words button").first.focus()
        page.keyboard.press("ArrowRight")
        assert "“cad” at" in page.inner_text("#about")
        assert "confidence" in page.inner_text("#about")
        page.keyboard.press("Enter")
        page.wait_for_selector("#boxes .now")
        assert page.inner_text("#words .now") == "cad"
        page.keyboard.press("Escape")
        assert page.locator("#words .now").count() == 0
        for kind, begins in {"txt": "ab cad\n", "srt": "1\n00:00", "vtt": "WEBVTT"}.items():
            with page.expect_download() as download:
                page.click(f"[data-save={kind}]")
            assert download.value.suggested_filename == f"speech.{kind}"
            download.value.save_as(tmp_path / kind)
            assert (tmp_path / kind).read_text().startswith(begins)
        ink = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v)"
        assert page.eval_on_selector("#wave", ink)
        assert page.eval_on_selector("#spectrogram", ink)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)], ids=["phone", "desk"])
def test_microphone_becomes_words_at_every_width(open_page, wav, size):
    with servers.serving() as served:
        page = open_page(
            served,
            viewport={"width": size[0], "height": size[1]},
            permissions=["microphone"],
            color_scheme="dark",
        )
        page.keyboard.press("r")
        wait_for_text(page, "#status", r"Recording, ([2-9]|\d\d)\.")
        page.keyboard.press("r")

        assert words_of(page)[0] == "ab"
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]


@pytest.mark.slow
def test_words_appear_while_they_are_said(open_page, wav):
    with servers.serving(model=servers.streaming_model()) as served:
        page = open_page(served, permissions=["microphone"])
        page.click("#record")
        wait_for_text(page, "#live", "ab")
        assert page.get_attribute("#record", "aria-pressed") == "true"
        page.click("#record")

        assert words_of(page)[0] == "ab"
        assert served.metric('asr_audio_seconds_count{kind="stream"}') == 1
        assert served.metric('asr_audio_seconds_count{kind="file"}') == 0


@pytest.mark.slow
def test_what_is_wrong_is_said_on_the_page(browser, wav, tmp_path):
    (tmp_path / "no.wav").write_bytes(b"RIFF")
    with servers.serving(token="0123456789abcdef") as served:
        page = browser.new_page()
        page.goto(served.url)
        page.set_input_files("#file", wav)
        page.wait_for_selector("#status.wrong")
        assert page.inner_text("#status") == "the token is missing or wrong"
        page.fill("#token", "0123456789abcdef")
        page.set_input_files("#file", tmp_path / "no.wav")
        wait_for_text(page, "#status", "cannot be decoded")
        page.set_input_files("#file", wav)
        assert words_of(page) == ["ab", "cad"]
        page.close()
