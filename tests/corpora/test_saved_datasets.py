"""Hugging Face's saved datasets, written here as `datasets` writes them."""

import io
import sys

import pytest
import soundfile

from tests.corpora.layout_makers import WORDS, speech, write_speech
from tests.corpus_files import run, speakers, texts

pyarrow = pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
from pyarrow import parquet  # noqa: E402


def flac(seed):
    content = io.BytesIO()
    soundfile.write(content, speech(seed), 16000, format="FLAC")
    return content.getvalue()


def table(numbers, *, name="{}.flac", text="sentence"):
    audio = [{"bytes": flac(n), "path": name and name.format(n)} for n in numbers]
    columns = {
        "audio": pyarrow.array(
            audio, pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        ),
        text: [WORDS[n] for n in numbers],
        "speaker_id": [n for n in numbers],
        "id": [f"x{n}" for n in numbers],
    }
    return pyarrow.table(columns)


def write_parquet(path, *args, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table(*args, **options), path)


def write_arrow(path, numbers):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = table(numbers)
    with pyarrow.ipc.new_stream(str(path), content.schema) as stream:
        stream.write_table(content)


def test_parquet_shards_are_read_by_their_split(tmp_path):
    data = tmp_path / "source" / "data"
    write_parquet(data / "train-00000-of-00002.parquet", range(3))
    write_parquet(data / "train-00001-of-00002.parquet", range(3, 6), name=None)
    write_parquet(data / "validation-00000-of-00001.parquet", [6])
    write_parquet(data / "test-00000-of-00001.parquet", [7, 8])

    report = run("auto", tmp_path / "source", tmp_path / "out")

    out = tmp_path / "out"
    assert report.corpus == "dataset"
    assert list(texts(out, "train").values()) == list(WORDS[:6])
    assert texts(out, "dev") == {"data-validation-00000-of-00001-000000": "seven"}
    assert speakers(out, "test") == {"7", "8"}
    written = sorted((out / "audio" / "train").iterdir())
    assert [path.read_bytes() for path in written] == [flac(n) for n in range(6)]
    assert {path.suffix for path in written} == {".flac"}


def test_a_folder_of_save_to_disk_is_read(tmp_path):
    for split, numbers in (("train", range(3)), ("test", (3, 4))):
        folder = tmp_path / "source" / split
        write_arrow(folder / "data-00000-of-00001.arrow", numbers)
        (folder / "state.json").write_text("{}")
        (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "source" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    write_arrow(tmp_path / "source" / "train" / "cache-1234.arrow", [5])

    report = run("auto", tmp_path / "source", tmp_path / "out")

    assert report.corpus == "dataset"
    assert sorted(texts(tmp_path / "out", "train").values()) == ["one", "three", "two"]
    assert sorted(texts(tmp_path / "out", "test").values()) == ["five", "four"]


def test_rows_without_audio_or_text_are_listed(tmp_path):
    write_speech(tmp_path / "source" / "a.wav", 0)
    audio = [{"bytes": None, "path": p} for p in ("a.wav", "../b.wav", None, "a.wav")]
    rows = pyarrow.table({"audio": audio, "text": ["one", "two", "three", None]})
    path = tmp_path / "source" / "train.parquet"
    parquet.write_table(rows, path)

    report = run("dataset", tmp_path / "source", tmp_path / "out")

    assert texts(tmp_path / "out", "train") == {"train-000000": "one"}
    reasons = {reason: item.examples[0] for reason, item in report.rejected.items()}
    assert reasons == {
        "path outside the folder": f"{path}, row 1: path leaves the folder: ../b.wav",
        "no audio": f"{path}, row 2: the audio has neither bytes nor a path",
        "no transcript": f"{path}, row 3: the text must be a string, got None",
    }


@pytest.mark.parametrize("content", [b"", b"PAR1 not parquet PAR1", b"\0" * 100])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_broken_files_are_refused_in_one_line(tmp_path, content, suffix):
    path = tmp_path / "source" / f"train.{suffix}"
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"train\.\w+: cannot be read: ") as caught:
        run("dataset", tmp_path / "source", tmp_path / "out")

    assert "\n" not in str(caught.value)


def test_a_dataset_without_texts_is_refused(tmp_path):
    write_parquet(tmp_path / "source" / "train.parquet", [0], text="label")

    with pytest.raises(ValueError, match="no column holds the text: none of text, transcript"):
        run("dataset", tmp_path / "source", tmp_path / "out")


def test_without_pyarrow_one_line_names_the_extra(tmp_path, monkeypatch):
    write_parquet(tmp_path / "source" / "train.parquet", [0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ValueError, match=r"need pyarrow: pip install 'ctc-asr\[parquet\]'"):
        run("dataset", tmp_path / "source", tmp_path / "out")
