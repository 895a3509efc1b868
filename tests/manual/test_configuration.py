"""The pages of configuration keys hold every key with default, comment and docstring."""

import re
from pathlib import Path

import yaml

from manual.configuration import read_choice, write_choices, write_commands

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "conf").rglob("*.yaml"))


def leaves(tree, prefix=""):
    """Yield the dotted keys of a mapping that YAML alone has read."""
    for name, value in tree.items():
        if name == "defaults" or name.startswith("_"):
            continue
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def keys(name):
    return {key.name: key for key in read_choice(ROOT, ROOT / "conf" / name).keys}


def test_every_key_of_every_file_is_on_its_page():
    pages = write_commands(ROOT) + write_choices(ROOT)
    shown = set(re.findall(r"^\| `([^`]+)` \|", pages, re.MULTILINE))

    missing = [
        f"{path.relative_to(ROOT)}: {leaf}"
        for path in FILES
        for leaf in leaves(yaml.safe_load(path.read_text()) or {})
        # A mapping in one line is one value.
        if leaf not in shown and leaf.rpartition(".")[0] not in shown
    ]
    assert not missing


def test_key_has_its_default_its_comment_and_its_docstring():
    key = keys("decoder/beam.yaml")["beam_prune_logp"]

    assert key.value == "-10"
    assert key.comment == "prefixes worse than the best by that are dropped, ln"
    assert key.docstring.startswith("prefixes that score this much less than the best are dropped")


def test_comment_that_goes_on_below_is_joined_and_the_next_keys_comment_is_not():
    train = keys("train.yaml")

    assert train["init_from"].comment.endswith(
        "its network and features, unless the command line chooses others"
    )
    assert train["seed"].comment == ">= 0; decides weights, order, augmentation and dropout"


def test_docstring_is_found_where_a_file_extends_another():
    assert keys("model/ds2_small.yaml")["num_layers"].docstring
    assert keys("augment/full.yaml")["waveform.speeds"].docstring


def test_ranges_of_the_search_are_values_in_one_line():
    assert keys("tune.yaml")["space.lm_alpha"].value == "{low: 0, high: 3, step: 0.05}"


def test_every_key_is_explained_where_it_is_first_set():
    """A key without a comment and a docstring repeats another file's, or is a name."""
    explained = {"name", "root"}
    for path in FILES:
        choice = read_choice(ROOT, path)
        explained |= {k.name.rpartition(".")[2] for k in choice.keys if k.comment or k.docstring}

    unexplained = [
        f"{path.relative_to(ROOT)}: {key.name}"
        for path in FILES
        for key in read_choice(ROOT, path).keys
        if not (key.comment or key.docstring)
        and key.value != "null"
        and key.name.rpartition(".")[2] not in explained
    ]
    assert not unexplained
