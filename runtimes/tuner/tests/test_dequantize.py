"""The converter's own part, without torch."""

import io
from pathlib import Path

import pytest

from kaito_tuner import dequantize


def whole(source: Path, target: Path) -> str:
    for name in dequantize.WANTED:
        (target / name).write_bytes(source.read_bytes())
    return "done"


def half(source: Path, target: Path) -> str:
    (target / "config.json").write_bytes(source.read_bytes())
    return "done"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF\x03\x00\x00\x00")
    return file


def test_a_gguf_file_is_handed_to_the_converter(gguf: Path, tmp_path: Path) -> None:
    assert dequantize.convert(gguf, tmp_path / "new" / "out", whole) == "done"


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "there is no file"), (b"PK\x03\x04", "no GGUF file"), (b"", "no GGUF file")],
    ids=["missing", "another format", "empty"],
)
def test_what_is_no_gguf_is_refused_before_the_converter(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "x.gguf"
    if content is not None:
        file.write_bytes(content)
    err = io.StringIO()

    def never(_source: Path, _target: Path) -> str:
        raise AssertionError("the converter was called")

    assert dequantize.main([str(file), str(tmp_path / "out")], io.StringIO(), err, never) == 1
    assert says in err.getvalue()


def test_a_result_that_lacks_files_is_refused(gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(dequantize.UnusableFileError, match=r"lacks tokenizer\.json, model\.safetensors"):
        dequantize.convert(gguf, tmp_path / "out", half)
