"""What `fuzz_server.py` tells schemathesis: recordings for files, and to write down the answers."""

import json
import os
from pathlib import Path

import numpy as np
import schemathesis
from damaged_files import damage
from hypothesis import strategies as st

RECORDINGS = [path.read_bytes() for path in sorted(Path(os.environ["FUZZ_AUDIO"]).iterdir())]
ANSWERS = Path(os.environ["FUZZ_ANSWERS"])


def spoil(content: bytes, seed: int) -> bytes:
    return damage(content, np.random.default_rng(seed))


whole = st.sampled_from(RECORDINGS)
damaged = st.builds(spoil, whole, st.integers(0, 2**32 - 1))
schemathesis.openapi.format("binary", st.one_of(whole, whole, damaged, st.binary(max_size=200)))


@schemathesis.hook
def map_body(context, body):
    """Ask for the form that the further fields belong to; without it they are all refused."""
    if isinstance(body, dict) and {"include[]", "timestamp_granularities[]"} & body.keys():
        body["response_format"] = "verbose_json"
    return body


@schemathesis.hook
def after_call(context, case, response):
    """Write down what was answered."""
    try:
        code = json.loads(response.content)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        code = ""
    said = {"path": case.operation.path, "status": response.status_code, "code": code}
    with ANSWERS.open("a") as file:
        file.write(json.dumps(said) + "\n")
