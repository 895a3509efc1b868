"""What mkdocs calls while it builds: adds the pages that are generated to those of docs/."""

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# `mkdocs build` does not look for modules in the folder that it is called in.
sys.path.append(str(ROOT))

from manual.pages import GENERATED  # noqa: E402


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each generated page."""
    for name, write in GENERATED.items():
        files.append(File.generated(config, name, content=write(ROOT)))
    return files
