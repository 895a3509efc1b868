"""The site has every page once, every link leads somewhere, and pictures are small."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from markdown.extensions.toc import slugify

from manual.pages import GENERATED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
# Nine maps of a recording, whose colours are what it shows.
LARGE = {"explain_maps.png": 170_000}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def nav_pages(nav):
    """Yield the files that a nav names, from the top to the bottom."""
    for entry in nav:
        for page in entry.values():
            yield from [page] if isinstance(page, str) else nav_pages(page)


def prose(path):
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """Return what a page's headings are called in links."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {slugify(heading.replace("`", ""), "-") for heading in headings}


def links(path):
    """Yield a page's links into the project: file and heading."""
    for link in LINK.findall(prose(path)):
        if "://" not in link and not link.startswith("mailto:"):
            file, _, anchor = link.partition("#")
            yield link, (path.parent / file if file else path), anchor


def test_nav_names_every_page_once():
    there = {str(path.relative_to(DOCS)) for path in PAGES} | set(GENERATED)
    named = Counter(nav_pages(CONFIG["nav"]))

    missing, unknown = sorted(there - set(named)), sorted(set(named) - there)
    assert not missing, f"mkdocs.yml: nav has no line for {', '.join(missing)}"
    assert not unknown, f"mkdocs.yml: nav names {', '.join(unknown)}, and docs/ has no such file"
    assert max(named.values()) == 1


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    generated = {DOCS / name for name in GENERATED}

    broken = [
        link
        for link, file, anchor in links(path)
        if file not in generated and not (file.exists() and (not anchor or anchor in anchors(file)))
    ]

    assert not broken


def test_an_anchor_that_is_not_there_is_found(tmp_path):
    (tmp_path / "a.md").write_text("# One `two`\n")

    assert anchors(tmp_path / "a.md") == {"one-two"}


def test_readme_leads_to_the_site():
    readme = (ROOT / "README.md").read_text()

    assert {"docs/your_own_speech.md", "docs/decoding.md", "docs/results.md"} <= set(
        LINK.findall(readme)
    )


def test_every_picture_is_shown_and_under_100_kb():
    shown = {file.name for path in PAGES for _, file, _ in links(path) if file.suffix != ".md"}
    pictures = {path.name: path.stat().st_size for path in (DOCS / "images").iterdir()}

    assert set(pictures) == shown
    assert not [n for n, size in pictures.items() if size >= LARGE.get(n, 100_000)]


def test_nothing_is_fetched_from_elsewhere():
    assert CONFIG["theme"]["font"] is False
    assert not [key for key in CONFIG if key.startswith("extra_")]
