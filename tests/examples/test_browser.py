"""The example page in Chromium, with the files of onnxruntime-web that `ASR_ORT_WEB` has."""

import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import exports
import numpy as np
import pytest
import tones

import asr
from asr.audio import write_wav
from asr.export.exporter import export_onnx

exports.needs_onnx()

PAGE = Path(__file__).parents[2] / "examples" / "browser"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
TIMEOUT_S = 120
# Looks at the page until it has done its work, and sends what it shows.
DRIVER = """<!doctype html><iframe id="page" src="index.html%s"></iframe><script>
setInterval(() => {
  const page = document.getElementById("page").contentDocument;
  const [state, text] = ["state", "text"].map((id) => page?.getElementById(id)?.textContent);
  if (/^(Done|Cannot|Choose a rec)/.test(state))
    fetch("shown", {method: "POST", body: `${state}|${text}`});
}, 200);
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH"),
    pytest.mark.skipif(
        not all((Path(os.environ.get("ASR_ORT_WEB", "")) / name).is_file() for name in FILES),
        reason="ASR_ORT_WEB must name the dist folder of npm's onnxruntime-web",
    ),
]


class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args, shown, **options):
        self.shown = shown
        super().__init__(*args, **options)

    def do_POST(self):
        self.shown.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page with what belongs beside it: models and a recording."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    (folder / "ort").mkdir(exist_ok=True)
    for name in FILES:
        shutil.copy(Path(os.environ["ASR_ORT_WEB"]) / name, folder / "ort")
    model = tones.trained_model()
    export_onnx(model, folder / "float.onnx", takes_samples=True)
    export_onnx(model, folder / "int8.onnx", takes_samples=True, int8=True)
    export_onnx(model, folder / "features.onnx")
    (folder / "broken.onnx").write_bytes(b"\xff" * 1000)
    write_wav(folder / "a.wav", tones.speak("ab cad dab", np.random.default_rng(5)), 8000)
    write_wav(folder / "long.wav", np.zeros(31 * 8000), 8000)
    return folder


def show(site, query, tmp_path):
    """What the page shows in the end: its state and the text."""
    (site / "driver.html").write_text(DRIVER % query)
    shown = Queue()
    handler = partial(Handler, directory=str(site), shown=shown)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/driver.html"
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server"]
        options.append(f"--user-data-dir={tmp_path / 'profile'}")
        browser = subprocess.Popen(
            ["chromium", *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return tuple(shown.get(timeout=TIMEOUT_S).split("|"))
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()


@pytest.mark.parametrize("model", ["float", "int8"])
def test_page_shows_the_text_of_asr_load(site, model, tmp_path):
    expected = asr.load(tones.checkpoint_path()).transcribe(site / "a.wav").text

    assert show(site, f"?model={model}.onnx&audio=a.wav", tmp_path) == ("Done.", expected)
    assert expected == "ab cad dab"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?model=features.onnx&audio=a.wav", "Cannot: export the model with input=samples"),
        ("?model=broken.onnx&audio=a.wav", "Cannot: not an ONNX file"),
        ("?model=missing.onnx", "Cannot: missing.onnx: 404"),
        ("?model=float.onnx&audio=long.wav", "Cannot: longer than 30 s"),
        ("?model=float.onnx", "Choose a recording."),
    ],
)
def test_page_says_what_is_wrong(site, query, message, tmp_path):
    assert show(site, query, tmp_path) == (message, "")
