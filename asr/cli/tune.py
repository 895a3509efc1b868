"""`asr tune`: decoder options that make the fewest errors on a development set."""

import argparse
import logging
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli.assembly import (
    check_file,
    check_split,
    choose_device,
    finds_words,
    fingerprint_files,
    fingerprint_model,
    open_files,
    open_test_set,
    run_of,
)
from asr.cli.hydra_config import add_override_arguments, build, run_with_config
from asr.cli.run_folder import claim
from asr.data.fingerprint import fingerprint_audio, fingerprint_file
from asr.data.loading import Corpus
from asr.decoding import Decoder, NGramLM
from asr.decoding.constraints import Lexicon, build_words
from asr.decoding.hypothesis import separates_words
from asr.decoding.pronunciations import is_dictionary
from asr.evaluation.errors import name_units
from asr.evaluation.metrics import Metric, choose_metric, split_units
from asr.files import printable, write_atomically
from asr.text import TextNormalizer, Tokenizer
from asr.tuning.emissions import (
    Emissions,
    EmissionsError,
    compute_emissions,
    read_emissions,
)
from asr.tuning.report import Outcome, format_best, format_report, judge
from asr.tuning.sampling import import_optuna
from asr.tuning.search import check_space
from asr.tuning.search import tune as search
from asr.tuning.space import Point, Space, read_space
from asr.tuning.surface import draw_surface

EXAMPLE = """examples:
  asr tune checkpoint=runs/synth/ckpt/best.ckpt data=synth decoder.lm=lm.arpa
  asr tune checkpoint=best.ckpt data=synth decoder.lm=lm.arpa num_trials=300 resume=auto
  asr tune checkpoint=best.ckpt data=synth decoder.lm=lm.arpa \\
      search=[lm_alpha,lm_beta,unk_score] space.lm_beta.high=10.0
  asr tune log_probs=theirs.safetensors decoder.lm=lm.arpa

The log-probabilities are computed once; trials only decode. What was found is in
<output_dir>/{report.txt,best.yaml,surface.png,trials.jsonl}.
`asr tune --cfg` prints every key with its value."""

# A resumed search may differ in these: they change neither trials nor their order.
FREE_KEYS = ("output_dir", "resume", "overwrite", "device", "loading.", "num_trials")
# What a corpus, language model, lexicon or checkpoint holds counts, not where it lies.
FREE_KEYS += ("decoder.num_threads", "data.")
OWNED = ("trials.jsonl", "best.yaml", "report.txt", "surface.png")
# Without these options of the decoder the search would see no difference.
NEEDS = {"lm_alpha": "lm", "lm_beta": "lm", "unk_score": "lm", "hotword_weight": "hotwords"}
# What of the command line also makes sense to `asr decode`.
DECODE_KEYS = ("checkpoint", "data", "device", "decoder", "loading")

logger = logging.getLogger(__name__)


class Source(NamedTuple):
    """Where log-probabilities come from."""

    name: str
    tokens: list[str]
    blank: int
    folder: Path  # where results go if nobody says otherwise
    fingerprints: dict[str, str]
    num_utterances: int
    metric: Metric
    read: Callable[[Path], Emissions]  # given the folder of the search
    has_greedy: bool  # whether greedy search writes what the searched decoder does: no phones
    tokenizer: Tokenizer | None = None  # of the model, where it is known, as its normaliser
    normalizer: TextNormalizer | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_override_arguments(parser, sweep=False)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    return run_with_config("tune", args, partial(tune, words=args.overrides))


def tune(config: dict, words: list[str]) -> int:
    """Search as a resolved configuration says; `words` are the overrides it came from."""
    # Everything is checked before the folder is touched.
    space = _check(config)
    source = _open_log_probs(config) if config["log_probs"] else _open_checkpoint(config)
    make_decoder = _decoder_factory(config, source)
    check_space(space, make_decoder)
    folder = Path(config["output_dir"] or source.folder)
    prints = source.fingerprints | fingerprint_files(config["decoder"])
    described = config | {"fingerprints": prints}
    with claim(
        folder,
        described,
        resume=config["resume"],
        overwrite=config["overwrite"],
        free_keys=FREE_KEYS,
        owned=OWNED,
    ):
        return _search(config, source, folder, make_decoder, space, words)


def _search(
    config: dict,
    source: Source,
    folder: Path,
    make_decoder: Callable[[Point], Decoder],
    space: Space,
    words: list[str],
) -> int:
    """Search in a folder that is ours, and write what was found."""
    emissions = source.read(folder)
    try:
        trials = search(
            emissions,
            make_decoder,
            space,
            {name: config["decoder"][name] for name in space},
            num_trials=config["num_trials"],
            seed=config["seed"],
            metric=source.metric,
            journal=folder / "trials.jsonl",
            progress=True,
        )
    except KeyboardInterrupt:
        logger.warning("stopped; the same command with resume=auto goes on")
        raise
    outcome = judge(
        emissions, make_decoder, trials, space, source.metric, has_greedy=source.has_greedy
    )
    overrides = _overrides(config, outcome.choice.best.options, words)
    _write(folder, outcome, space, _title(source, emissions), overrides)
    return 0


def _check(config: dict) -> Space:
    if config["decoder"]["name"] != "beam":
        raise ValueError(f"decoder must be beam, got {config['decoder']['name']}")
    for key, least in (("num_trials", 1), ("seed", 0)):
        if type(config[key]) is not int or config[key] < least:
            raise ValueError(f"{key} must be a whole number >= {least}, got {config[key]!r}")
    given = [key for key in ("checkpoint", "log_probs", "data") if config.get(key) is not None]
    if given not in (["checkpoint", "data"], ["log_probs"]):
        raise ValueError(
            "give checkpoint=... and data=..., or log_probs=... alone; got "
            f"{' and '.join(given) or 'neither'}"
        )
    space = read_space(config["search"], config["space"])
    for name, needed in NEEDS.items():
        if name in space and not config["decoder"][needed]:
            raise ValueError(f"search: {name} has no effect without decoder.{needed}=...")
    import_optuna()
    return space


def _open_log_probs(config: dict) -> Source:
    path = check_file(config, "log_probs")
    emissions = read_emissions(path)
    return Source(
        path.name,
        emissions.tokens,
        emissions.blank,
        path.parent / "tune" / path.stem,
        {"log_probs": fingerprint_file(path)},
        len(emissions.references),
        # A file of log-probabilities does not say what its tokens are.
        choose_metric(
            config["metric"], separates_words(emissions.tokens), config["metric"] == "per"
        ),
        lambda folder: emissions,
        not is_dictionary(config["decoder"]["lexicon"] or ""),
    )


def _open_checkpoint(config: dict) -> Source:
    checkpoint, split = check_file(config, "checkpoint"), check_split(config, config["split"])
    model = load_checkpoint(checkpoint)
    loader, metric = open_test_set(config, split, model)
    utterances = loader.corpus.utterances(0)
    prints = fingerprint_model(checkpoint) | {"data": fingerprint_audio(utterances)}
    words = finds_words(config, model)
    if words:
        prints["references"] = "words"  # not the phones that other searches of the model find

    def read(folder: Path) -> Emissions:
        cache = folder / "log_probs.safetensors"
        emissions = _read_cache(cache, prints)
        if emissions is None:
            compute_emissions(model.to(choose_device(config["device"])), loader, cache, prints)
            for unusable in loader.bad.skipped:
                logger.warning("not decoded: %s: %s", unusable.id, unusable.reason)
            emissions = read_emissions(cache)
        return emissions

    name = f"{config['data']['name']}_{split}"
    tokens = model.tokenizer.tokens
    folder = run_of(checkpoint) / "tune" / name
    sizes = len(utterances), metric
    text = model.tokenizer, model.normalizer
    return Source(name, tokens, 0, folder, prints, *sizes, read, not words, *text)


def _read_cache(cache: Path, prints: dict[str, str]) -> Emissions | None:
    """Read a file of log-probabilities if it is of this model and this data."""
    if not cache.exists():
        return None
    try:
        emissions = read_emissions(cache)
    except EmissionsError as error:
        logger.warning("%s; computing it again", error)
        return None
    if emissions.fingerprint != prints:
        logger.info("%s is of another checkpoint or data: computing it again", cache)
        return None
    logger.info("log-probabilities: %s", cache)
    return emissions


def _decoder_factory(config: dict, source: Source) -> Callable[[Point], Decoder]:
    """Read language model and lexicon once; each call then makes a decoder in microseconds."""
    options = {key: value for key, value in config["decoder"].items() if key != "name"}
    make = cast(partial, build({"decoder": options}, "decoder"))
    files = open_files(options, source.tokenizer, source.normalizer)
    if "lexicon" in files:
        chooses = any(options.get(key) for key in ("lm", "hotwords", "grammar"))
        lexicon, lm = cast(Lexicon, files["lexicon"]), cast(NGramLM | None, files.get("lm"))
        files["lexicon"] = build_words(lexicon, source.tokens, source.blank, lm, chooses=chooses)
    return lambda point: make(source.tokens, blank=source.blank, **files, **point)


def _title(source: Source, emissions: Emissions) -> str:
    units = sum(len(split_units(text, source.metric)) for text in emissions.references)
    unit = name_units(source.metric)
    missing = source.num_utterances - len(emissions.references)
    return (
        f"{printable(source.name)}: {len(emissions.references):,} utterances, {units:,} {unit}"
        + (f", {missing} not decoded" if missing else "")
    )


def _write(folder: Path, outcome: Outcome, space: Space, title: str, overrides: list[str]) -> None:
    command = None
    if any(word.startswith("checkpoint=") for word in overrides):
        command = shlex.join(["asr", "decode", *overrides])
    report = format_report(outcome, space, title)
    picture = draw_surface(outcome.trials, outcome.choice.best, space, title)
    write_atomically(folder / "surface.png", picture)
    write_atomically(folder / "best.yaml", format_best(outcome, overrides, command))
    write_atomically(folder / "report.txt", report)
    print(report, end="")
    if command:
        print(command)
    logger.info("best.yaml, surface.png, trials.jsonl, report.txt: %s", folder)


def _overrides(config: dict, options: Point, words: list[str]) -> list[str]:
    """Overrides of `asr decode`: those of the search that it knows, and what was found.

    The test set is decoded where there is one, otherwise the set that was searched.
    """
    found = {f"decoder.{name}": f"{value:.9g}" for name, value in options.items()}
    kept = []
    for word in words:
        key = word.lstrip("+~").split("=")[0]
        if key.split(".")[0] in DECODE_KEYS and key != "decoder" and key not in found:
            kept.append(word)
    if config["log_probs"] is None and not _has_test_set(config):
        kept.append(f"split={config['split']}")
    return [*kept, "decoder=beam", *(f"{key}={value}" for key, value in found.items())]


def _has_test_set(config: dict) -> bool:
    try:
        check_split(config, "test")
        return bool(cast(Corpus, build(config["data"], "test")).utterances(0))
    except ValueError:
        return False
