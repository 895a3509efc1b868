"""Every choice of `conf/model` from the command line: trains, saves, resumes, decodes."""

import json
from pathlib import Path

import pytest
from tiny import overrides

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli import main
from asr.data.manifest import read_manifest

CORPUS = {"num_train": 8, "num_dev": 2}

CONF = Path(__file__).parents[2] / "conf/model"
# For a GPU: their shape, without their size.
NARROW = {"ds2_medium": 16, "ds2_large": 16, "ds2_paper": 16, "conformer_medium": 16}
ON_SAMPLES = {"raw_conv": "raw", "sincnet": "raw", "wav2vec2": "samples"}
# Its 95 million weights, and convolutions that do not learn, belong to weights that are there.
TINY_WAV2VEC2 = [
    "model.conv_channels=[8,8,8,8,8,8,8]",
    "model.hidden_size=16",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.inner_size=16",
    "model.position_kernels=[3]",
    "model.position_groups=2",
    "model.freeze_convs=false",
]


def words(corpus, run_dir, model, **changes):
    """As the file of the model says, for two steps an epoch."""
    said = overrides(corpus, run_dir, model=model, features__n_mels=80, **changes)
    said = [word for word in said if not word.startswith("model.")]
    if model in ON_SAMPLES:
        said = [word for word in said if not word.startswith("features.")]
        said.append(f"features={ON_SAMPLES[model]}")
    if model.startswith("clip_"):
        texts = {u.text for s in ("train", "dev") for u in read_manifest(corpus / f"{s}.jsonl")}
        said = [word for word in said if not word.startswith("tokenizer.")]
        said += ["tokenizer=labels", f"tokenizer.labels=[{','.join(sorted(texts))}]"]
    if model == "wav2vec2":
        said += TINY_WAV2VEC2
    if model in NARROW:
        said.append(f"model.hidden_size={NARROW[model]}")
    return [*said, "loading.batch_seconds=5", "trainer.log_every=1", "device=cpu"]


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_model_trains_saves_resumes_and_decodes(corpus, tmp_path, model):
    run_dir = tmp_path / "run"
    assert main(["train", *words(corpus, run_dir, model, trainer__max_epochs=1)]) == 0
    _, first = read_checkpoint(run_dir / "ckpt/last.ckpt")

    assert (
        main(["train", *words(corpus, run_dir, model, trainer__max_epochs=2), "resume=auto"]) == 0
    )

    _, second = read_checkpoint(run_dir / "ckpt/last.ckpt")
    learnt = {name for name in first if name.startswith("model.") and name.endswith("weight")}
    assert learnt
    assert not [name for name in learnt if (first[name] == second[name]).all()]
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if "dev_wer" in row] == [1, 2]
    decoded = tmp_path / "decoded"
    checkpoint = f"checkpoint={run_dir / 'ckpt/best.ckpt'}"
    manifest = f"data.test_manifest={corpus / 'dev.jsonl'}"
    assert main(["decode", checkpoint, "data=manifest", manifest, f"output_dir={decoded}"]) == 0
    assert len((decoded / "hyp.jsonl").read_text().splitlines()) == 2
