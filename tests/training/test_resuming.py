"""What a resumed run may differ in."""

import json
import shutil

import pytest
from bfloat16 import needs_bfloat16
from tiny import fit, make_corpus

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli.hydra_config import compose_config
from asr.cli.run_folder import check_same_config
from asr.cli.train import FREE_KEYS
from asr.training import distributed
from asr.training.state import Progress, ResumeError, check_resumable


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "tones").mkdir()
    make_corpus(tmp_path / "tones")
    return tmp_path / "tones"


def test_moved_corpus_is_gone_on_with(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)
    moved = shutil.move(corpus, tmp_path / "elsewhere")

    fit(moved, tmp_path / "run", resume="auto")

    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    epochs = [json.loads(line)["epoch"] for line in lines]
    assert epochs == [1, 2]


def test_checkpoints_that_were_numbered_are_found_by_their_names(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)
    last = tmp_path / "run/ckpt/last.ckpt"
    content = last.read_bytes()
    # A number and spaces: as long as the name, since the file says how long its header is.
    named, numbered = b'\\"epoch_001\\"', b"1" + b" " * 12
    if named not in content:
        named, numbered = b'"epoch_001"', b"1" + b" " * 10
    assert content.count(named) == 1
    last.write_bytes(content.replace(named, numbered))

    fit(corpus, tmp_path / "run", resume="auto", optimizer__lr=3e-3)

    assert (tmp_path / "run/ckpt/averaged.ckpt").exists()


@pytest.mark.parametrize("split", ["train", "dev"])
def test_another_corpus_in_the_same_place_is_refused(corpus, tmp_path, split):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)
    manifest = corpus / f"{split}.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))

    with pytest.raises(ResumeError, match=f"the {split} set is not the one"):
        fit(corpus, tmp_path / "run", resume="auto")


def test_precision_is_kept_where_none_is_asked_for(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)
    facts = json.loads((tmp_path / "run/env.json").read_text())
    assert (facts["precision"], facts["precision_reason"]) == ("float32", "as configured")

    fit(corpus, tmp_path / "run", resume="auto", trainer__precision="auto")

    facts = json.loads((tmp_path / "run/env.json").read_text())
    assert facts["precision_reason"] == "as the run was begun"


@needs_bfloat16
def test_precision_changes_where_another_is_asked_for(corpus, tmp_path, caplog):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)

    fit(corpus, tmp_path / "run", resume="auto", trainer__precision="bfloat16")

    header, _ = read_checkpoint(tmp_path / "run/ckpt/last.ckpt")
    assert header["extra"]["progress"]["precision"] == "bfloat16"
    assert "precision: it was float32 until now" in caplog.text


def test_keys_that_training_does_not_read_are_free(tmp_path):
    words = ["quickstart.size=tiny", f"run_dir={tmp_path}"]
    old = compose_config("quickstart", words)
    (tmp_path / "config.yaml").write_text(json.dumps(old))
    new = compose_config("quickstart", [*words, "quickstart.lm_alpha=0.9"])

    check_same_config(tmp_path / "config.yaml", new, FREE_KEYS)


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        (Progress(epoch=2, batch=3, world_size=4), True),
        (Progress(epoch=2, batch=0, world_size=4), False),
        (Progress(epoch=2, batch=9, world_size=4, trained=True), False),
        (Progress(epoch=2, batch=3, world_size=2), False),
    ],
)
def test_another_world_size_begins_at_an_epoch(monkeypatch, now, refused):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)

    if not refused:
        check_resumable(now, {})
    else:
        with pytest.raises(ResumeError, match=r"middle of epoch 3 with 2 ranks: .* resume with 4"):
            check_resumable(now, {})
