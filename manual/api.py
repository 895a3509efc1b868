"""The page of the public interfaces: what `__all__` of the public packages names."""

import ast
from pathlib import Path

# Package -> what it is for. What it offers is its `__all__`.
PACKAGES = {
    "asr": "A trained model: audio in, text out.",
    "asr.decoding": "Decoders and language models, for any model's log-probabilities; numpy alone.",
    "asr.ctc": "The CTC loss and alignment, on torch tensors.",
}
HEAD = """# Python

What is public, and stays. Everything else may change from version to version.
Shapes: N utterances, T frames, C classes with the blank, S labels of a target. Scores are in nats,
what ends in `_s` is in seconds.
"""


def read_public(root: Path, package: str) -> list[str]:
    """Names in a package's `__all__`, without importing it."""
    source = (root / package.replace(".", "/") / "__init__.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    raise ValueError(f"{package}: has no __all__")


def write_api(root: Path) -> str:
    """Write the page as directives that mkdocstrings replaces by signatures and docstrings."""
    lines = [HEAD]
    for package, summary in PACKAGES.items():
        lines.append(f"## {package}\n\n{summary}\n")
        lines += [f"::: {package}.{name}\n" for name in read_public(root, package)]
    return "\n".join(lines)
