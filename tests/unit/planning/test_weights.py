"""Which files of a model a backend is given."""

from __future__ import annotations

import pytest

from deployer.errors import Diagnostic
from deployer.planning.weights import chosen_files, code_of, first_part, manifest_of
from deployer.spec.language import Model
from deployer.values.weights import Listing, Manifest, WeightFile, folder_of

TRANSFORMERS, GGUF = ("safetensors",), ("gguf",)
COMMIT = "a" * 40


def listing(*paths: str) -> Listing:
    files = tuple(WeightFile(path, 100, git=f"{number:040x}") for number, path in enumerate(paths))
    return Listing("hf://org/name", "main", COMMIT, files)


def model(**settings: object) -> Model:
    return Model.model_validate({"source": "hf://org/name", **settings})


def names(chosen: tuple[WeightFile, ...] | Diagnostic) -> list[str]:
    assert not isinstance(chosen, Diagnostic), chosen
    return [file.path for file in chosen]


def test_safetensors_come_without_their_doubles_in_other_formats() -> None:
    offered = listing(
        "config.json", "tokenizer.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "pytorch_model.bin", "original/consolidated.00.pth", "original/params.json",
        "onnx/model.onnx", "tf_model.h5", "flax_model.msgpack", "README.md", ".gitattributes", "logo.png",
        "consolidated.safetensors", "model.q4_k_m.gguf", "1_Pooling/config.json", "modeling_x.py",
    )  # fmt: skip
    assert names(chosen_files(model(), offered, TRANSFORMERS)) == [
        "1_Pooling/config.json", "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "modeling_x.py", "tokenizer.json",
    ]  # fmt: skip


def test_a_variant_is_left_where_the_plain_file_is_there() -> None:
    offered = listing("unet/model.safetensors", "unet/model.fp16.safetensors", "vae/model.fp16.safetensors")
    assert names(chosen_files(model(), offered, TRANSFORMERS)) == [
        "unet/model.safetensors",
        "vae/model.fp16.safetensors",
    ]


def test_consolidated_weights_are_taken_where_there_are_no_others() -> None:
    offered = listing("consolidated.safetensors", "params.json")
    assert names(chosen_files(model(), offered, TRANSFORMERS)) == ["consolidated.safetensors", "params.json"]


def test_pickles_are_taken_only_where_the_spec_allows_it() -> None:
    offered = listing("config.json", "pytorch_model.bin")
    refused = chosen_files(model(), offered, TRANSFORMERS)
    assert isinstance(refused, Diagnostic)
    assert refused.code == "pickle-refused"
    assert names(chosen_files(model(allow_pickle=True), offered, TRANSFORMERS)) == ["config.json", "pytorch_model.bin"]
    assert "pytorch_model.bin" not in names(chosen_files(model(include=["*"]), offered, TRANSFORMERS))


def test_of_several_quantizations_the_usual_one_is_taken_with_all_its_parts() -> None:
    offered = listing(
        "README.md", "m-Q2_K.gguf", "Q4_K_M/m-Q4_K_M-00001-of-00002.gguf", "Q4_K_M/m-Q4_K_M-00002-of-00002.gguf",
        "mmproj-f16.gguf",
    )  # fmt: skip
    chosen = manifest_of(model(), offered, GGUF)
    assert isinstance(chosen, Manifest)
    assert [f.path for f in chosen.files] == [
        "Q4_K_M/m-Q4_K_M-00001-of-00002.gguf",
        "Q4_K_M/m-Q4_K_M-00002-of-00002.gguf",
    ]
    assert first_part(chosen)[0] == "Q4_K_M/m-Q4_K_M-00001-of-00002.gguf"


def test_several_quantizations_of_which_none_is_usual_are_a_question() -> None:
    refused = chosen_files(model(), listing("m-q8_0.gguf", "m-q5_0.gguf"), GGUF)
    assert isinstance(refused, Diagnostic)
    assert refused.code == "ambiguous-model"
    assert refused.evidence == ("m-q5_0.gguf  0.0 GiB", "m-q8_0.gguf  0.0 GiB")
    assert names(chosen_files(model(include=["*q8_0*"]), listing("m-q8_0.gguf", "m-q5_0.gguf"), GGUF)) == [
        "m-q8_0.gguf"
    ]


def test_a_part_that_the_source_lacks_is_said() -> None:
    refused = chosen_files(model(), listing("m-00001-of-00002.gguf"), GGUF)
    assert isinstance(refused, Diagnostic)
    assert refused.code == "model-parts-missing"
    assert refused.evidence == ("m-00002-of-00002.gguf",)


def test_a_projector_comes_where_the_spec_includes_it() -> None:
    offered = listing("m.gguf", "mmproj-m.gguf", "config.json")
    assert names(chosen_files(model(), offered, GGUF)) == ["m.gguf"]
    chosen = manifest_of(model(include=["*.gguf"]), offered, GGUF)
    assert isinstance(chosen, Manifest)
    assert [f.path for f in chosen.files] == ["m.gguf", "mmproj-m.gguf"]
    assert first_part(chosen) == ("m.gguf",)


def test_a_model_without_weights_is_refused() -> None:
    refused = chosen_files(model(), listing("config.json", "m.gguf"), TRANSFORMERS)
    assert isinstance(refused, Diagnostic)
    assert refused.code == "no-weights"


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd.safetensors", "/etc/x.safetensors", "a//b.safetensors", "a/./b.safetensors", "a\nb.safetensors",
     "a\x1b[2J.safetensors", "a\u202eb.safetensors", "a\\b.safetensors", ".git/x.safetensors", "\ud800.safetensors",
     "a/" * 30 + "b.safetensors", "x" * 250 + ".safetensors"],
)  # fmt: skip
def test_hostile_names_are_refused(path: str) -> None:
    refused = manifest_of(model(), listing("config.json", path), TRANSFORMERS)
    assert isinstance(refused, Diagnostic)
    assert refused.code == "hostile-names"
    assert refused.evidence[0].isprintable()


def test_names_that_a_host_may_not_tell_apart_are_refused() -> None:
    for pair in (("Model.safetensors", "model.safetensors"), ("a.safetensors", "a.safetensors/b.json")):
        refused = manifest_of(model(), listing(*pair), TRANSFORMERS)
        assert isinstance(refused, Diagnostic), pair
        assert refused.code == "hostile-names"


def test_a_hostile_name_that_is_not_taken_is_nobodys_problem() -> None:
    assert isinstance(manifest_of(model(), listing("model.safetensors", "../x.md"), TRANSFORMERS), Manifest)


def test_manifests_differ_by_their_files() -> None:
    offered = listing("model.safetensors", "m.gguf", "x.py")
    one, other = manifest_of(model(), offered, TRANSFORMERS), manifest_of(model(), offered, GGUF)
    assert isinstance(one, Manifest)
    assert isinstance(other, Manifest)
    assert one.id != other.id
    assert one.snapshot == other.snapshot == f"hub/models--org--name/snapshots/{COMMIT}"
    assert code_of(one) == ("x.py",)


def test_sources_have_folders_of_their_own() -> None:
    assert folder_of("hf://gpt2") == "hub/models--gpt2"
    assert folder_of("modelscope://a/b") == "modelscope/models--a--b"
    odd = folder_of("https://host/a/../../x y.gguf?z")
    assert odd.startswith("https/x-y.gguf-z--")
    assert odd != folder_of("https://other/a/../../x y.gguf?z")
