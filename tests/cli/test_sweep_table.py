"""Tables of sweeps follow the metric that chose."""

import json

import pytest
from decoded_sets import result_of

from asr.cli.sweep_table import show_decoded, show_trained
from asr.evaluation.chart import draw_run
from asr.evaluation.comparison import compare_folders
from asr.evaluation.results import write_results
from asr.evaluation.run_record import read_run

# Words and characters choose different epochs, and different runs.
RATES = {"one": [(0.2, 0.4), (0.3, 0.1)], "two": [(0.1, 0.5), (0.4, 0.2)]}


def make_runs(place, *metrics):
    jobs = []
    for (name, rates), metric in zip(RATES.items(), metrics, strict=True):
        folder = place / name
        folder.mkdir()
        rows = [
            {"epoch": n, "train_loss": 1.0, "dev_loss": 2.0, "dev_wer": wer, "dev_cer": cer}
            for n, (wer, cer) in enumerate(rates, start=1)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "env.json").write_text(json.dumps({"metric": metric} if metric else {}))
        jobs.append((name, folder))
    return jobs


@pytest.mark.parametrize(
    ("metrics", "header", "rows"),
    [
        (
            ("cer", "cer"),
            "run best dev CER % dev WER %",
            ["one 10.00 30.00 2.00 1.00 2 2", "two 20.00 40.00 2.00 1.00 2 2"],
        ),
        (
            (None, "wer"),
            "run best dev WER % dev CER %",
            ["two 10.00 50.00 2.00 1.00 1 2", "one 20.00 40.00 2.00 1.00 1 2"],
        ),
    ],
)
def test_trained_runs_are_ordered_by_what_chose(tmp_path, capsys, metrics, header, rows):
    show_trained(make_runs(tmp_path, *metrics), as_json=False)

    first, _, *others = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert first.startswith(header)
    assert others == rows


def test_curve_names_what_chose(tmp_path):
    (_, folder), _ = make_runs(tmp_path, "cer", "cer")

    drawn = draw_run(read_run(folder), 60)

    assert drawn.startswith("one: epoch 2, CER 10.00 %, best 10.00 % (epoch 2)")


def decode(folder, metric, *pairs):
    write_results(folder, {"greedy": result_of(*pairs)}, [])
    (folder / "config.yaml").write_text(f"metric: {metric}\n")
    return folder.name, folder


@pytest.fixture
def decoded(tmp_path):
    """One wrong character in every word, against one word in two that is wrong altogether."""
    near = decode(tmp_path / "near", "cer", ("abcd", "abcx"), ("abcd", "abcx"))
    far = decode(tmp_path / "far", "cer", ("abcd", "wxyz"), ("abcd", "abcd"))
    return [far, near]


def test_decodings_are_ordered_by_what_their_tables_showed_first(decoded, capsys):
    show_decoded(decoded, as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("run decoder CER % 95 % interval WER %")
    assert lines[2].startswith("near greedy 25.00")
    assert lines[3].startswith("far greedy 50.00")

    (decoded[0][1] / "config.yaml").unlink()
    show_decoded(decoded, as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("run decoder WER %")
    assert lines[2].startswith("far greedy 50.00")


def test_decodings_are_compared_by_characters(decoded):
    (_, far), (_, near) = decoded

    (found,) = compare_folders(far, near)

    assert (found.metric, found.first, found.second) == ("cer", 0.5, 0.25)
