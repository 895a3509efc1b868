"""What a run left in its folder, read back: metrics, results, configuration, environment."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from asr.evaluation.metrics import METRICS, Metric
from asr.evaluation.results import read_scores
from asr.evaluation.scoring import Score
from asr.files import parse_json, read_text

# Keys that a line of hyp.jsonl must have, and of which kind.
RECORD_KEYS = {"id": str, "text": str, "pred_text": str}


class Result(NamedTuple):
    """What one decoder made of one set."""

    set: str
    decoder: str
    folder: Path  # with hyp.jsonl
    score: Score | None = None  # None where the folder has no table of scores

    def records(self) -> list[dict[str, Any]]:
        """Read the lines of hyp.jsonl.

        Raises:
            ValueError: the file is missing or is not one of ours; names the line.
        """
        path = self.folder / "hyp.jsonl"
        records = read_json_lines(path)
        for number, record in enumerate(records, start=1):
            for key, kind in RECORD_KEYS.items():
                if not isinstance(record.get(key), kind):
                    raise ValueError(f"{path}:{number}: must have a string as {key!r}")
        return records

    def config(self) -> dict[str, Any]:
        """Configuration of the decoding; empty where it was not one of `asr decode`."""
        return read_config(self._place() / "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Command and environment of the decoding, likewise."""
        return read_environment(self._place() / "env.json")

    @property
    def metric(self) -> Metric:
        """What the decoding's table showed first; words where that is not recorded."""
        return metric_of(self.config())

    def _place(self) -> Path:
        # With padding one decoding has several rows, each with a folder below its own.
        inside = (self.folder / "config.yaml").is_file()
        return self.folder if inside else self.folder.parent


class RunRecord(NamedTuple):
    """A run's folder."""

    name: str
    path: Path
    history: list[dict[str, Any]]  # lines of metrics.jsonl with dev scores
    steps: list[dict[str, Any]]  # those with the loss of some steps
    results: list[Result]
    config: dict[str, Any]
    environment: dict[str, Any]

    @property
    def metric(self) -> Metric:
        """What chose the best weights; words where that is not recorded."""
        says_phones = any("dev_per" in row for row in self.history)
        return "per" if says_phones else metric_of(self.environment)

    @property
    def best(self) -> dict[str, Any] | None:
        """The validation with the lowest rate of `metric`, of equals with the lowest loss."""
        key = f"dev_{self.metric}"
        return min(self.history, key=lambda r: (r[key], r["dev_loss"]), default=None)

    def best_results(self) -> list[Result]:
        """For each set the decoder with the lowest rate of `metric`, the first of equals."""
        metric = self.metric
        best: dict[str, Result] = {}
        for result in self.results:
            if result.score is None:
                continue
            known = best.setdefault(result.set, result)
            rates = [r.score.error_rate(metric).rate for r in (result, known) if r.score]
            if rates[0] < rates[-1]:
                best[result.set] = result
        return list(best.values())


def read_run(path: Path) -> RunRecord:
    """Read a run's folder; what is not there yet is empty.

    Raises:
        ValueError: there is no such folder, or a file of it is broken; the message names it.
    """
    if not path.is_dir():
        raise ValueError(f"{path}: is not the folder of a run")
    metrics = path / "metrics.jsonl"
    # Without its line feed, the last line is still being written.
    rows = (
        _parse_lines(metrics, read_text(metrics).rpartition("\n")[0]) if metrics.is_file() else []
    )
    results = find_results(path) if any((path / "decode").rglob("scores.json")) else []
    return RunRecord(
        path.resolve().name,
        path,
        [row for row in rows if "dev_loss" in row],
        [row for row in rows if "loss" in row],
        results,
        read_config(path / "config.yaml"),
        read_environment(path / "env.json"),
    )


def metric_of(facts: Mapping[str, Any]) -> Metric:
    """Metric that a run's environment or a decoding's configuration names, otherwise words."""
    name = facts.get("metric")
    return cast(Metric, name) if name in METRICS else "wer"


def common_metric(metrics: Iterable[Metric]) -> Metric:
    """Metric of a table of several runs or results: characters where they are each one's.

    Raises:
        ValueError: some count phones and some do not: their rates have nothing in common.
    """
    found = set(metrics)
    if "per" in found and len(found) > 1:
        raise ValueError(
            "runs whose tokens are phones (PER) and runs whose tokens are not (WER, CER) cannot "
            "stand in one table: show them apart"
        )
    return found.pop() if len(found) == 1 else "wer"


def find_results(path: Path) -> list[Result]:
    """Find what was decoded in a run's folder, or in a folder of results.

    Raises:
        ValueError: there is none, or a file is broken.
    """
    if (path / "scores.json").is_file():
        return _read_set(path, path.resolve().name)
    if (path / "hyp.jsonl").is_file():
        return [Result(path.resolve().parent.name, path.resolve().name, path)]
    root = path / "decode"
    tables = sorted(root.rglob("scores.json"))
    if not tables:
        raise ValueError(f"{path}: holds no results of `asr decode`")
    return [
        result
        for table in tables
        for result in _read_set(table.parent, table.parent.relative_to(root).as_posix())
    ]


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON Lines of objects.

    Raises:
        ValueError: the file cannot be read or a line is no JSON object; names file and line.
    """
    return _parse_lines(path, read_text(path))


def _parse_lines(path: Path, text: str) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"{path}:{number}: must be a JSON object")
        records.append(record)
    return records


def _read_set(folder: Path, name: str) -> list[Result]:
    scores = read_scores(folder / "scores.json")
    table = json.loads((folder / "scores.json").read_text())
    return [
        Result(name, decoder, folder / str(table[decoder].get("folder", ".")), score)
        for decoder, score in scores.items()
    ]


def read_config(path: Path) -> dict[str, Any]:
    """Read a config.yaml; empty where there is none.

    Raises:
        ValueError: it is not YAML.
    """
    if not path.is_file():
        return {}
    try:
        config = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: is not YAML: {error}") from error
    return config if isinstance(config, dict) else {}


def read_environment(path: Path) -> dict[str, Any]:
    """Read an env.json; empty where there is none.

    Raises:
        ValueError: it is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(read_text(path)))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: is not JSON: {error}") from error
