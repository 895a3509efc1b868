"""The examples of docs/decoding.md run."""

import re
from pathlib import Path


def test_decoding_guide_examples_run():
    guide = Path(__file__).parents[2] / "docs" / "decoding.md"
    blocks = re.findall(r"^```python\n(.*?)^```", guide.read_text(encoding="utf-8"), re.M | re.S)
    session = {}

    for block in blocks:
        exec(compile(block, str(guide), "exec"), session)

    assert len(blocks) >= 8
