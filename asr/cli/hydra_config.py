"""Composing Hydra configurations, with one-line errors."""

import argparse
import difflib
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import hydra
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from asr.cli import format_error, preset
from asr.cli.argument_types import wrong_type
from asr.cli.starting_point import adopt
from asr.data.loading import Corpus
from asr.training import distributed

CONFIGS = "asr.conf"
# What means something in an override's value.
_GRAMMAR = re.compile(r"""["'\\\[\]{}(),=$]""")


class ConfigError(ValueError):
    """A configuration that cannot be composed or built; names key, rule and value."""


def add_override_arguments(parser: argparse.ArgumentParser, *, sweep: bool = True) -> None:
    """Add what every command with Hydra overrides takes; `sweep` offers --multirun."""
    parser.add_argument(
        "overrides", nargs="*", metavar="OVERRIDE", help="group=choice or key=value"
    )
    if sweep:
        parser.add_argument(
            "-m", "--multirun", action="store_true", help="run every combination of a,b,c values"
        )
    parser.add_argument(
        "--cfg",
        nargs="?",
        const="job",
        choices=("job", "hydra", "all"),
        help="print the configuration (job: the command's own) and stop",
    )
    parser.add_argument(
        "--info",
        nargs="?",
        const="all",
        choices=("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        help="print how Hydra composes the configuration and stop",
    )
    parser.add_argument(
        "--config-dir", metavar="DIR", help="a folder with groups of your own: DIR/model/mine.yaml"
    )


def run_with_config(
    name: str,
    args: argparse.Namespace,
    task: Callable[[dict], int],
    sweep_folder: Callable[[dict], Path] | None = None,
    show_sweep: Callable[[list[tuple[str, Path]]], None] | None = None,
) -> int:
    """Compose `name` with the overrides of the command line and hand it to `task`, resolved.

    With --multirun, each combination has a folder of its own below `run_dir`, or below
    `output_dir`, which is `sweep_folder` of the configuration where nobody says it. `show_sweep`
    is handed what was chosen and the folder of each in the end.
    """
    overrides = [*_search(args.config_dir), *args.overrides]
    if getattr(args, "multirun", False):
        jobs = _multirun(name, overrides, task, sweep_folder)
        if show_sweep is not None:
            show_sweep(jobs)
        return 0
    if args.info or args.cfg in ("hydra", "all"):
        return _show(name, overrides, ["--info", args.info] if args.info else ["--cfg", args.cfg])
    config = compose_config(name, overrides)
    if args.cfg:
        print(OmegaConf.to_yaml(OmegaConf.create(config)), end="")
        return 0
    return task(config)


def _search(folder: str | None) -> list[str]:
    """Override that lets Hydra look for groups in a folder too."""
    if folder is None:
        return []
    if not Path(folder).is_dir():
        raise ConfigError(f"--config-dir {folder}: no such folder")
    return [f"hydra.searchpath=['file://{Path(folder).resolve()}']"]


def _show(name: str, overrides: list[str], flags: list[str]) -> int:
    """Let Hydra print what it knows of a configuration."""

    @hydra.main(version_base="1.3", config_path=f"pkg://{CONFIGS}", config_name=name)
    def show(config: DictConfig) -> None:
        """Never called: the flags end before."""

    logging.getLogger().handlers.clear()  # Hydra brings its own
    sys.argv = [f"asr {name}", *flags, *map(quote_override, overrides)]
    show()
    return 0


def compose_config(name: str, overrides: list[str]) -> dict:
    """Compose a resolved configuration.

    Raises:
        ConfigError: an override is misspelt or malformed, or a value is missing.
    """
    overrides = [quote_override(override) for override in overrides]
    try:
        with initialize_config_module(CONFIGS, version_base="1.3"):
            return resolve(name, compose(name, overrides), overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, name, overrides)) from error


def quote_override(override: str) -> str:
    """Quote a value of `key=value` that Hydra's grammar has no letters for, such as "äöü".

    Values that hold its own signs (lists, quotes, sweeps) are left for it to read.
    """
    key, equals, value = override.partition("=")
    if not equals or value.isascii() or _GRAMMAR.search(value):
        return override
    return f"{key}='{value}'"


def resolve(name: str, config: DictConfig, overrides: Sequence[str]) -> dict:
    """Resolve interpolations and what `init_from` and `preset` ask for, while Hydra can compose.

    Raises:
        ConfigError: a value is missing; names its key.
    """
    adopt(config, overrides)
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(f"give a value for {', '.join(f'{key}=...' for key in missing)}")
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    resolved = {str(key): value for key, value in container.items()}
    if resolved.get("preset") is None:
        return resolved
    words, lines = _choose_preset(resolved, overrides)
    words += [word for word in overrides if not word.startswith("preset=")]
    return resolve(name, compose(name, words), words) | {"preset": lines}


def _choose_preset(config: dict, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides that fit the training speech, but for keys that somebody said, and why."""
    if config["preset"] != "auto":
        raise ConfigError(f"preset must be auto or null, got {config['preset']!r}")
    named = [override.lstrip("+~").partition("=")[0] for override in overrides]
    if "experiment" in named:
        raise ConfigError("preset=auto and experiment=... both choose: say one of them")
    corpus = cast(Corpus, build(config["data"], "train"))
    speech = preset.measure(corpus.utterances(0))
    choices = preset.choose(
        speech,
        config,
        on_gpu=preset.on_gpu(config["device"]),
        world_size=distributed.announced_world_size(),
    )
    kept = preset.keep(choices, named)
    words = [f"{key}={value}" for choice in kept for key, value in choice.values.items()]
    return words, preset.describe(speech, kept)


def check_types(tree: object, key: str) -> None:
    """Refuse values of a wrong type by their key, before a constructor stumbles over them.

    Raises:
        ConfigError: names key, rule and value.
    """
    if not isinstance(tree, dict):
        return
    values = {name: value for name, value in tree.items() if not str(name).startswith("_")}
    if "_target_" in tree:
        try:
            wrong = wrong_type(get_object(tree["_target_"]), values)
        except (ImportError, HydraException):
            wrong = None  # what there is not is named when it is built
        if wrong:
            raise ConfigError(f"{key}.{wrong}")
    for name, value in values.items():
        check_types(value, f"{key}.{name}")


def build(config: dict, key: str, **arguments: object) -> object:
    """Instantiate one part of a configuration of our own.

    Raises:
        ConfigError: its constructor refuses a value; names the part.
    """
    check_types(config[key], key)
    try:
        return instantiate(config[key], **arguments)
    except HydraException as error:
        cause = error.__cause__ or error
        raise ConfigError(f"{key}: {cause}") from error


def _multirun(
    name: str,
    overrides: list[str],
    task: Callable[[dict], int],
    sweep_folder: Callable[[dict], Path] | None,
) -> list[tuple[str, Path]]:
    """Let Hydra's sweeper run every combination; each gets a folder, returned beside it."""
    jobs: list[tuple[str, Path]] = []

    @hydra.main(version_base="1.3", config_path=f"pkg://{CONFIGS}", config_name=name)
    def job(config: DictConfig) -> int:
        resolved = resolve(name, config, HydraConfig.get().overrides.task)
        # What the command line does not say literally is what the sweeper chose.
        chosen = [o for o in HydraConfig.get().overrides.task if o not in overrides]
        variant = ",".join(chosen).replace("/", "_")
        key = "run_dir" if "run_dir" in resolved else "output_dir"
        try:
            if resolved[key] is None and sweep_folder is not None:
                resolved[key] = sweep_folder(resolved)
            resolved[key] = str(Path(resolved[key]) / variant)
            code = task(resolved)
            jobs.append((variant, Path(resolved[key])))
            return code
        except (ValueError, OSError) as error:
            # Hydra would wrap it in a traceback of its own.
            print(format_error(name, error), file=sys.stderr)
            sys.exit(2)

    sys.argv = [f"asr {name}", "--multirun", "hydra.output_subdir=null"]
    # Hydra's own logging would print into the results, and what it prints is not made printable.
    sys.argv += ["hydra/hydra_logging=none", "hydra/job_logging=none"]
    sys.argv += map(quote_override, overrides)
    job()
    return jobs


def _explain(error: Exception, name: str, overrides: list[str]) -> str:
    """First line of Hydra's message, with the nearest key that exists."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    message = lines[0] if lines else type(error).__name__
    if options := [line.strip() for line in str(error).splitlines() if line.startswith("\t")]:
        choices = [option for option in options if not option.startswith("provider=")]
        return f"{message}; there are {', '.join(choices)}"
    if not message.startswith("Could not override"):
        return " ".join(lines[:3])
    wrong = message.split("'")[1]
    known = _known_keys(name, [o for o in overrides if o.partition("=")[0] != wrong])
    near = difflib.get_close_matches(wrong, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; `asr {name} --cfg` lists all keys"
    return f"there is no key {wrong!r} in the configuration{hint}"


def _known_keys(name: str, overrides: list[str]) -> list[str]:
    """Keys of a configuration; none where something else is wrong with the overrides too."""
    try:
        with initialize_config_module(CONFIGS, version_base="1.3"):
            return _keys(OmegaConf.to_container(compose(name, overrides), resolve=False), "")
    except (HydraException, OmegaConfBaseException):
        return []


def _keys(tree: object, prefix: str) -> list[str]:
    if not isinstance(tree, dict):
        return [prefix[:-1]]
    return [key for name, value in tree.items() for key in _keys(value, f"{prefix}{name}.")]
