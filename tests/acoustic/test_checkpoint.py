import copy
import json
import random
import resource
import struct

import pytest
import tones
import torch

from asr.acoustic.checkpoint import ModelFileError, load_checkpoint, save_checkpoint
from asr.acoustic.model import AcousticModel

HOSTILE = (
    *(0, -1, 1, 3, 10**6, 10**9, 2**63, 10**30, 0.5, 1e308, float("nan"), float("inf")),
    *(None, True, "", "x", "\ud800", [], {}, [[]], [0], [[0, 0]], [[1, 1]] * 1000),
)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.ckpt"
    save_checkpoint(path, tones.untrained_model())
    return path.read_bytes()


def split(content):
    """A safetensors file's header as an object, and its numbers."""
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def with_header(content, change):
    """The file with `change` made to the header that we keep in it."""
    outer, numbers = split(content)
    header = json.loads(outer["__metadata__"]["asr"])
    text = json.dumps(change(header))
    outer["__metadata__"]["asr"] = text
    encoded = json.dumps(outer).encode()
    return struct.pack("<Q", len(encoded)) + encoded + numbers


def with_value(content, path, value):
    def change(header):
        place = header
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return header

    return with_header(content, change)


def refuse(tmp_path, content, match=None):
    path = tmp_path / "hostile.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=match) as refusal:
        load_checkpoint(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["model", "num_layers"], 10**6, "more parameters than the .* tensors"),
        (["model", "hidden_size"], 10**6, "by the configuration, got"),
        (["model", "conv_channels"], [10**6, 8], "by the configuration, got"),
        (["model", "conv_strides"], [[0, 0], [2, 2]], "strides must be >= 1"),
        (["model", "conv_strides"], [[2, 10**30], [2, 2]], "cannot rebuild the model"),
        (["features", "n_mels"], 10**7, "n_mels must be <= 1024"),
        (["features", "n_mels"], 17, "by the configuration, got"),
        (["features", "n_fft"], 2**40, "n_fft must be <= 65536"),
        (["features", "sample_rate"], 10**12, "sample_rate must be 1000..768000"),
        (["features", "hop_length"], 0, "hop_length must be >= 1"),
        (["features"], None, "cannot rebuild the model"),
    ],
)
def test_hostile_configuration_is_refused_before_it_is_built(
    content, tmp_path, path, value, message
):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    refuse(tmp_path, with_value(content, ["config", *path], value), message)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_deep_json_is_no_checkpoint(content, tmp_path):
    outer, numbers = split(content)
    outer["__metadata__"]["asr"] = "[" * 100_000 + "]" * 100_000
    encoded = json.dumps(outer).encode()

    refuse(
        tmp_path,
        struct.pack("<Q", len(encoded)) + encoded + numbers,
        "not a readable checkpoint",
    )


@pytest.mark.parametrize("header", [[], "x", None, {"format": 1}, {"format": 2}])
def test_foreign_header_is_refused(content, tmp_path, header):
    refuse(tmp_path, with_header(content, lambda _: header))


def test_weights_that_give_nan_are_refused(tmp_path):
    model = tones.untrained_model()
    with torch.no_grad():
        model.network.linear.bias.fill_(float("nan"))
    path = tmp_path / "m.ckpt"
    save_checkpoint(path, model)

    with pytest.raises(ModelFileError, match="without NaN"):
        load_checkpoint(path)


def test_other_threads_and_later_models_are_not_counted(content, tmp_path):
    refuse(tmp_path, with_value(content, ["config", "model", "num_layers"], 10**6))

    bigger = copy.deepcopy(tones.CONFIG)
    bigger["model"]["num_layers"] = 9
    assert isinstance(tones.untrained_model(config=bigger), AcousticModel)


def leaves(tree, path=()):
    """Paths of everything in a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield [*path, key]
        if isinstance(value, dict | list):
            yield from leaves(value, [*path, key])


def mutate(content, rng):
    """Change one thing: bytes, an end, or a value of the header."""
    kind = rng.randrange(4)
    if kind == 0:
        place = rng.randrange(len(content) if rng.random() < 0.3 else 3000)
        return content[:place] + rng.randbytes(rng.choice([1, 1, 2, 8])) + content[place + 1 :]
    if kind == 1:
        return content[: rng.randrange(len(content))]
    outer, _ = split(content)
    paths = list(leaves(json.loads(outer["__metadata__"]["asr"])))
    return with_value(content, rng.choice(paths), rng.choice(HOSTILE))


def check_mutations(content, path, seeds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = 0
    for seed in seeds:
        path.write_bytes(mutate(content, random.Random(seed)))
        try:
            load_checkpoint(path)
        except ModelFileError:
            continue
        except Exception as error:
            raise AssertionError(f"mutation {seed}: {error!r}") from error
        loaded += 1
    assert 0 < loaded < 0.5 * len(seeds)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_mutated_file_loads_or_is_refused(content, tmp_path):
    check_mutations(content, tmp_path / "m.ckpt", range(300))


@pytest.mark.slow
def test_many_mutated_files_load_or_are_refused(content, tmp_path):
    check_mutations(content, tmp_path / "m.ckpt", range(300, 6000))
