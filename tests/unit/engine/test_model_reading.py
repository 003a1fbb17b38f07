"""Models in folders and files, read by their headers; and what is no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.engine.model_files import FolderFiles
from deployer.engine.model_reading import FIRST_READ, read_model
from deployer.errors import DeployerError, Diagnostic
from deployer.planning.estimate_request import SizedModel
from deployer.planning.weights_counted import stored_as_shaped
from tests.support.models import CONFIGS, shape
from tests.support.weightfiles import gguf_header, llama_tensors, safetensors_header, write_llama, write_with_hole

LLAMA = {"general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 256,
         "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2, "llama.context_length": 4096,
         "llama.feed_forward_length": 512}  # fmt: skip
TENSORS = {"token_embd.weight": (12, (256, 1000)), "output.weight": (14, (256, 1000)),
           "blk.0.attn_k.weight": (12, (256, 128)), "blk.1.ffn_up.weight": (12, (256, 512))}  # fmt: skip


def read(folder: Path, file: str | None = None) -> SizedModel:
    return read_model(FolderFiles(folder, str(folder)), file)


def refusal(folder: Path, file: str | None = None) -> Diagnostic:
    with pytest.raises(DeployerError) as caught:
        read(folder, file)
    return caught.value.diagnostics[0]


@pytest.mark.parametrize("files", [1, 3])
def test_headers_say_what_the_shape_does(tmp_path: Path, files: int) -> None:
    found = read(write_llama(tmp_path / "m", files=files))
    assert found.shape == shape("Llama-3.2-1B")
    assert found.weights is not None
    counted = stored_as_shaped(shape("Llama-3.2-1B"))
    assert found.weights.parts == counted.parts
    assert (found.weights.parameters, found.weights.source, found.unread) == (1_235_814_400, "tensors", "")


def test_copies_beside_the_weights_do_not_count(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m")
    for name in ("consolidated.safetensors", "adapter_model.safetensors", "other.safetensors", "model.gguf"):
        (folder / name).write_bytes(b"nothing")
    (folder / "onnx").mkdir()
    weights = read(folder).weights
    assert weights is not None
    assert weights.parameters == 1_235_814_400


def test_an_index_without_its_files(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m", files=2)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    index = {"metadata": {"total_size": 5 * 10**9}, "weight_map": {"a": "model-1.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    weights = read(folder).weights
    assert weights is not None
    assert (weights.source, weights.parts.total) == ("files", pytest.approx(5 * 10**9, abs=10))
    (folder / "config.json").unlink()
    alone = read(folder)
    assert (alone.shape, alone.unread) == (None, "there is no config.json")


def test_a_config_alone(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    for found in (read(folder), read(folder, "config.json")):
        assert found.weights == stored_as_shaped(shape("Llama-3.2-1B"))


def test_a_config_that_is_not_understood_leaves_the_weights(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m", num_hidden_layers=16)
    (folder / "config.json").write_text(json.dumps({**CONFIGS["Llama-3.2-1B"], "num_attention_heads": 0}))
    found = read(folder)
    assert (found.shape, found.weights is not None) == (None, True)
    assert found.unread == "of its config.json, its `num_attention_heads` is 0, which no model has"
    assert refusal(folder, "config.json").message == (
        f"`{folder}/config.json` is not what its name says: its `num_attention_heads` is 0, which no model has"
    )


def test_a_gguf_file(tmp_path: Path) -> None:
    write_with_hole(tmp_path / "m.gguf", gguf_header(LLAMA, TENSORS), 1 << 20)
    for file in ("m.gguf", None):
        found = read(tmp_path, file)
        assert found.shape is not None
        assert (found.shape.vocabulary, found.shape.layers, found.shape.is_gguf, found.shape.tied) == (
            1000,
            2,
            True,
            False,
        )
        assert found.weights is not None
        parts = found.weights.parts
        assert (parts.embedding, parts.head, parts.kv, parts.linear) == (144_000, 210_000, 18_432, 73_728)


def test_a_long_vocabulary_is_read_past(tmp_path: Path) -> None:
    words = {**LLAMA, "tokenizer.ggml.tokens": ["word" * 50] * (FIRST_READ // 100)}
    write_with_hole(tmp_path / "m.gguf", gguf_header(words, TENSORS), 8 << 20)
    assert read(tmp_path).weights is not None


def test_parts_of_a_split_gguf(tmp_path: Path) -> None:
    names = [f"m-{part:05d}-of-00002.gguf" for part in (1, 2)]
    first, second = dict(list(TENSORS.items())[:2]), dict(list(TENSORS.items())[2:])
    write_with_hole(tmp_path / names[0], gguf_header(LLAMA, first), 1 << 20)
    assert refusal(tmp_path).code == "model-parts-missing"
    write_with_hole(tmp_path / names[1], gguf_header({"split.no": 1}, second), 1 << 20)
    weights = read(tmp_path).weights
    assert weights is not None
    assert weights.parts.total == 144_000 + 210_000 + 18_432 + 73_728


def test_of_several_gguf_files_one_must_be_named(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        write_with_hole(tmp_path / name, gguf_header(LLAMA, TENSORS), 1 << 20)
    problem = refusal(tmp_path)
    assert (problem.code, problem.evidence) == ("ambiguous-model", ("a.gguf", "b.gguf"))
    assert problem.hint == f"name one of them, as in `{tmp_path}/a.gguf`"
    assert read(tmp_path, "b.gguf").shape is not None


def test_files_that_are_cut_off(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m")
    whole = (folder / "model.safetensors").stat().st_size
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(whole - 1)
    assert f"it is cut off, {whole - 1} bytes of {whole} are there" in refusal(folder).message
    (tmp_path / "m.gguf").write_bytes(gguf_header(LLAMA, TENSORS)[:-5])
    assert "its header does not end within" in refusal(tmp_path).message
    (tmp_path / "m.gguf").write_bytes(gguf_header(LLAMA, TENSORS))
    assert "it is cut off" in refusal(tmp_path).message


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 64]
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes) -> None:
    folder = write_llama(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(content)
    assert refusal(folder).code == "bad-model-file"
    (tmp_path / "m.gguf").write_bytes(content)
    assert refusal(tmp_path).code == "bad-model-file"
    (folder / "config.json").write_bytes(content)
    assert refusal(folder, "config.json").code == "bad-model-file"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    assert refusal(tmp_path).code == "no-model-there"


def test_links_stay_in_the_folder_or_lead_to_the_blobs_of_a_cache(tmp_path: Path) -> None:
    outside = write_llama(tmp_path / "outside")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "config.json").symlink_to(outside / "config.json")
    assert refusal(inside).message == f"`{inside}/config.json` is a link that leads out of its folder"
    cached = tmp_path / "models--a--b" / "snapshots" / "abc"
    cached.mkdir(parents=True)
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    for name in ("config.json", "model.safetensors"):
        (outside / name).rename(blobs / name)
        (cached / name).symlink_to(f"../../blobs/{name}")
    assert read(cached).weights is not None


class Pieces:
    """Files that are bytes; may claim to be larger."""

    def __init__(self, **files: bytes) -> None:
        self.name, self._files = "x", {name.replace("_", "."): data for name, data in files.items()}

    def sizes(self) -> dict[str, int | None]:
        return dict.fromkeys(self._files)

    def read(self, file: str, start: int, length: int) -> bytes:
        return self._files[file][start : start + length]


CONFIG = json.dumps(CONFIGS["Llama-3.2-1B"]).encode()
HEADER = safetensors_header(dict(list(llama_tensors(CONFIGS["Llama-3.2-1B"]).items())[:4]))[0]
GGUF = gguf_header(LLAMA, TENSORS)


def mangled(data: bytes) -> st.SearchStrategy[bytes]:
    def mangle(edit: tuple[float, int, bytes]) -> bytes:
        at = int(edit[0] * len(data))
        return data[:at] + edit[2] + data[at + edit[1] :]

    return st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=20)).map(mangle)


@given(st.sampled_from(["config_json", "model_safetensors", "m_gguf"]), st.data())
def test_whatever_stands_in_a_file_the_answer_is_a_model_or_a_diagnostic(name: str, data: st.DataObject) -> None:
    whole: dict[str, Any] = {"config_json": CONFIG, "model_safetensors": HEADER}
    whole = {"m_gguf": GGUF} if name == "m_gguf" else whole
    files = Pieces(**{**whole, name: data.draw(mangled(whole[name]))})
    try:
        found = read_model(files)
    except DeployerError as error:
        said = error.diagnostics[0]
        assert (len(said.message) < 500, said.hint is not None) == (True, True)
    else:
        assert found.shape is not None or found.unread
