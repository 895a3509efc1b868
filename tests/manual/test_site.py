"""The site builds without a warning, and shows itself without a network."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from manual.api import PACKAGES, read_public

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Fetched(HTMLParser):
    """What a browser loads with a page: scripts, styles, pictures; not what may be clicked."""

    def __init__(self, html):
        super().__init__()
        self.places = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        place = named.get("href") if tag == "link" else named.get("src")
        if place:
            self.places.append(place)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # Whoever asks for the network is refused at once.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    places = [place for page in pages for place in Fetched(page.read_text()).places]

    assert len(pages) > 25
    assert not [place for place in places if place.startswith(("http:", "https:", "//"))]


def test_everything_public_has_its_signature_and_docstring(site):
    page = (site / "api.html").read_text()

    for package in PACKAGES:
        for name in read_public(ROOT, package):
            assert f'id="{package}.{name}"' in page
    assert "prefixes kept after each frame" in page


def test_search_knows_keys_and_messages(site):
    index = (site / "search/search_index.json").read_text()

    assert "beam_prune_logp" in index
    assert "no such audio file" in index
