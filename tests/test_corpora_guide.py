"""docs/corpora.md and docs/cluster.md: commands are parsed, scripts checked, tables recomputed.

Nobody has such corpora or machines in a test; what these commands would read is not there.
"""

import argparse
import re
import runpy
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from asr.cli import COMMANDS
from asr.cli.hydra_config import compose_config

ROOT = Path(__file__).parents[1]
CORPORA, CLUSTER = (ROOT / "docs" / name for name in ("corpora.md", "cluster.md"))


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def commands(path):
    """Words after `asr` of every command of ours, also of those that `torchrun` starts."""
    text = "\n".join(blocks(path, "sh") + blocks(path, "bash")).replace("\\\n", " ")
    for line in text.splitlines():
        found = re.search(r"^asr |^\s*(?:srun .*)?torchrun .* -m asr ", line)
        if found:
            yield shlex.split(line[found.end() :].removesuffix("&"))


LINES = dict.fromkeys(shlex.join(words) for path in (CORPORA, CLUSTER) for words in commands(path))


@pytest.mark.parametrize("line", LINES)
def test_command_is_one_that_there_is(line):
    name, *rest = shlex.split(line)
    parser = argparse.ArgumentParser(exit_on_error=False)
    import_module(COMMANDS[name][0]).add_arguments(parser)

    args = parser.parse_args(rest)

    if hasattr(args, "overrides"):
        assert compose_config(name, args.overrides)


def test_every_recipe_is_described():
    recipes = {path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")}
    described = {
        w.removeprefix("experiment=") for c in LINES for w in c.split() if w[:11] == "experiment="
    }

    published = {"an4", "lj_speech", "ted_lium", "common_voice"}
    assert {name for name in recipes if name.startswith("librispeech")} | published == described


def test_slurm_script_passes_shellcheck(tmp_path):
    (script,) = blocks(CLUSTER, "bash")
    (tmp_path / "job.sh").write_text(script)

    subprocess.run([Path(sys.executable).parent / "shellcheck", tmp_path / "job.sh"], check=True)


def test_manifest_starts_the_same_command_in_every_pod():
    (text,) = blocks(CLUSTER, "yaml")
    job = yaml.safe_load(text)

    pods = [role["template"]["spec"] for role in job["spec"]["pytorchReplicaSpecs"].values()]
    replicas = [role["replicas"] for role in job["spec"]["pytorchReplicaSpecs"].values()]
    for pod in pods:
        (container,) = pod["containers"]
        (line,) = container["args"]
        launch, _, words = line.partition(" -m asr train ")
        assert "\n" not in line
        assert f"--nnodes {sum(replicas)} " in launch
        assert f"--nproc-per-node {container['resources']['limits']['nvidia.com/gpu']} " in launch
        assert compose_config("train", words.split())["resume"] == "auto"
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.fixture(scope="module")
def paper():
    return runpy.run_path(str(ROOT / "benchmarks/scaling_model.py"))


def test_step_of_the_model_is_the_one_computed_by_hand(paper):
    given = paper["Assumptions"](
        peak=100.0,
        utilisation=0.5,
        gpus_a_node=2,
        node_bandwidth=8.0,
        network_bandwidth=4.0,
        latency=0.25,
        overlap=0.5,
    )
    counted = paper["Counted"](operations=10.0, weights=4, norms=1, batch_seconds=2, epochs=1)

    steps = [paper["step_s"](counted, 2.0, gpus, given) for gpus in (1, 2, 4)]

    # compute 1.2; exchange 2 and 6, of which 0.8 hides; norms 0.5 and 1
    assert steps == pytest.approx([1.2, 1.2 + 0.5 + 2 - 0.8, 1.2 + 1 + 6 - 0.8])


@pytest.mark.slow
def test_operations_of_an_lstm_are_those_of_its_products(paper):
    with torch.device("meta"):
        layer = nn.LSTM(5, 7)
        with FlopCounterMode(display=False) as counter:
            layer(torch.empty(3, 1, 5))

    assert paper["lstm_operations"](layer, 3) == counter.get_total_flops()


@pytest.mark.slow
def test_tables_are_those_that_the_script_prints(paper):
    given = paper["Assumptions"]()
    rows = [row for name in paper["SCALED"] for row in paper["scaling_table"](name, given)]

    assert not set(rows) - set(CLUSTER.read_text().splitlines())
    assert not set(paper["hours_table"](given)) - set(CORPORA.read_text().splitlines())
