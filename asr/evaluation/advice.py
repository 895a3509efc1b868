"""What to do next with a run, from what was measured; each piece names its numbers and a command.

Rules stand in order of weight. Where no measurement speaks for anything, there is no advice.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asr.evaluation.metrics import Metric
from asr.evaluation.run_record import (
    Result,
    RunRecord,
    metric_of,
    read_config,
    read_environment,
)
from asr.evaluation.scoring import Score

MOST = 2
# Steps without a finite loss or gradient that are more than bad luck.
MANY_SKIPPED = 0.01
# The dev loss is as good as at its best within this; train loss went on falling below this share.
AS_GOOD, FALLEN = 1.02, 0.75
# Relative gain of the last fifth of the epochs that promises more.
STILL_GAINS = 0.05
# Errors that are enough to speak of their kinds, and the share of one kind that is most of them.
ENOUGH_ERRORS, MOST_ERRORS = 20, 2 / 3
# Above it a network has learnt too little for its decoder to matter.
LEARNT_LITTLE = 0.5
# A language model mends misspelt words where letters are right: a WER worth it, and CER over WER.
WORTH_WER, LETTERS_RIGHT = 0.03, 0.5
# Overrides that a command of advice chooses anew.
REPLACED = ("run_dir", "output_dir", "resume", "overwrite")


class Advice(NamedTuple):
    """A finding with its numbers, and a command that answers it."""

    finding: str
    command: str

    def __str__(self) -> str:
        return f"{self.finding}: {self.command}"


class Setting(NamedTuple):
    """How a run was made, as far as it is recorded."""

    path: Path
    config: Mapping[str, Any]
    command: Sequence[str]
    metric: Metric = "wer"  # what chose the weights

    def train(self, *changes: str) -> str:
        """Command that trains the same with some changes, into another folder."""
        words = _words(self.command) or ["train"]
        place = self.path.with_name(f"{self.path.name}_next")
        return _command(words, [*changes, f"run_dir={place}"], REPLACED)

    def decode(self, result: Result, *changes: str, command: str = "decode") -> str:
        """Command that decodes what a result is of, with some changes."""
        words = _words(result.environment().get("command", []))
        if words[:1] == ["decode"]:
            return _command([command, *words[1:]], changes, (*REPLACED, "decoder"))
        checkpoint = f"checkpoint={self.path / 'ckpt' / 'best.ckpt'}"
        words = [word for word in _words(self.command) if word.startswith("data")]
        known = [("data", self.option("data", "name")), ("data.root", self.option("data", "root"))]
        words += [
            f"{key}={value}"
            for key, value in known
            if value is not None and not any(word.startswith(f"{key}=") for word in words)
        ]
        return _command([command, checkpoint, *words], changes)

    def option(self, *keys: str) -> Any:  # noqa: ANN401
        """Value of a nested option, None where it is not recorded."""
        value: Any = self.config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def _words(command: Sequence[object]) -> list[str]:
    """What was typed after `asr`; several runs in one go have their command in the first word."""
    if not command:
        return []
    return [*shlex.split(Path(str(command[0])).name)[1:], *map(str, command[1:])]


def _command(words: Sequence[str], changes: Sequence[str], without: Sequence[str] = ()) -> str:
    """Write a command without what its changes and `without` replace."""
    keys = {change.split("=")[0] for change in changes} | {*without}
    kept = [w for w in words if w.split("=")[0] not in keys and w.split(".")[0] not in without]
    return shlex.join(["asr", *kept, *changes])


def read_setting(path: Path) -> Setting:
    """How the run in a folder was made, as far as it is recorded there.

    Raises:
        ValueError: a file of it is broken.
    """
    facts = read_environment(path / "env.json")
    config = read_config(path / "config.yaml")
    return Setting(path, config, facts.get("command", []), metric_of(facts))


def setting_of(run: RunRecord) -> Setting:
    """How a run was made."""
    return Setting(run.path, run.config, run.environment.get("command", []), run.metric)


def advise(run: RunRecord) -> list[Advice]:
    """Advise on a run, its training and the best decoder of its first set."""
    setting = setting_of(run)
    found = list(advise_training(run.history, setting))
    for result in run.best_results()[:1]:
        found += advise_decoding(result, setting)
    return found[:MOST]


def advise_training(history: Sequence[Mapping[str, Any]], setting: Setting) -> Iterator[Advice]:
    """Advise on a training from its validations."""
    if not history:
        return
    last = history[-1]
    yield from _skipped(last, setting)
    yield from _apart(history, setting)
    yield from _unfinished(history, setting)


def advise_decoding(result: Result, setting: Setting) -> Iterator[Advice]:
    """Advise on what one decoder made of a set."""
    score = result.score
    if score is None:
        return
    if score.num_unusable:
        total = score.num_utterances + score.num_unusable
        yield Advice(
            f"{score.num_unusable} of {total} utterances of {result.set} could not be decoded",
            shlex.join(["cat", str(result.folder / "failures.jsonl")]),
        )
    yield from _kinds(result, score, setting)


def _skipped(last: Mapping[str, Any], setting: Setting) -> Iterator[Advice]:
    steps, skipped, lr = (
        last.get("step", 0),
        last["skipped_steps"],
        setting.option("optimizer", "lr"),
    )
    if lr and skipped > MANY_SKIPPED * steps > 0:
        yield Advice(
            f"{skipped} of {steps} steps had no finite loss or gradient: a lower learning rate",
            setting.train(f"optimizer.lr={lr / 2:g}"),
        )


def _apart(history: Sequence[Mapping[str, Any]], setting: Setting) -> Iterator[Advice]:
    """Train loss that goes on falling where dev loss does not."""
    last = history[-1]
    lowest = min(row["dev_loss"] for row in history)
    first = next(row for row in history if row["dev_loss"] <= AS_GOOD * lowest)
    if lowest <= 0 or last["train_loss"] >= FALLEN * first["train_loss"]:
        return
    finding = (
        f"train loss fell from {first['train_loss']:.2f} to {last['train_loss']:.2f} since epoch "
        f"{first['epoch']:g}, dev loss did not ({first['dev_loss']:.2f}, now "
        f"{last['dev_loss']:.2f}): more data or "
    )
    dropout = setting.option("model", "dropout")
    if len(setting.option("augment", "waveform", "speeds") or ()) < 2:
        yield Advice(f"{finding}augmentation", setting.train("augment=full"))
    elif isinstance(dropout, float) and dropout < 0.3:
        yield Advice(f"{finding}dropout", setting.train("model.dropout=0.3"))


def _unfinished(history: Sequence[Mapping[str, Any]], setting: Setting) -> Iterator[Advice]:
    """Error rates that still fell when the epochs were over."""
    last, epochs = history[-1], setting.option("trainer", "max_epochs")
    key, name = f"dev_{setting.metric}", setting.metric.upper()
    early = [row[key] for row in history if row["epoch"] <= 0.8 * last["epoch"]]
    if not early or not isinstance(epochs, int) or last["epoch"] < epochs:
        return
    before, after = min(early), min(row[key] for row in history)
    if after < (1 - STILL_GAINS) * before:
        yield Advice(
            f"dev {name} still fell, from {100 * before:.2f} to {100 * after:.2f} % in the last "
            "fifth of the epochs: train longer",
            setting.train(f"trainer.max_epochs={2 * epochs}"),
        )


def _kinds(result: Result, score: Score, setting: Setting) -> Iterator[Advice]:
    """Errors of which most are of one kind, and words without a language model."""
    metric, cer = result.metric, score.cer
    found = score.error_rate(metric)
    errors = found.insertions + found.deletions + found.substitutions
    with_lm = any(record.get("lm_score") for record in result.records())
    rate = f"{metric.upper()} {100 * found.rate:.2f} % on {result.set}"
    epochs = setting.option("trainer", "max_epochs")
    if errors >= ENOUGH_ERRORS and found.rate >= LEARNT_LITTLE:
        if isinstance(epochs, int):
            yield Advice(
                f"{rate} after {epochs} epochs, {found.deletions} of {errors} errors deletions: "
                "train longer",
                setting.train(f"trainer.max_epochs={2 * epochs}"),
            )
        return
    lm = result.config().get("decoder", {}).get("lm") or "lm.arpa"
    for kind, count in (("deletions", found.deletions), ("insertions", found.insertions)):
        if with_lm and errors >= ENOUGH_ERRORS and count >= MOST_ERRORS * errors:
            yield Advice(
                f"{count} of {errors} errors of {result.set} are {kind}: search lm_beta, the "
                "worth of a word",
                setting.decode(result, f"decoder.lm={lm}", "split=dev", command="tune"),
            )
    worth = metric == "wer" and found.rate >= WORTH_WER
    if not with_lm and worth and cer.rate <= LETTERS_RIGHT * found.rate:
        build = "asr lm build text.txt -o lm.arpa && "
        yield Advice(
            f"{rate} with CER {100 * cer.rate:.2f} % and no language model: letters are right "
            "where words are not",
            build + setting.decode(result, "decoder=beam", "decoder.lm=lm.arpa"),
        )
