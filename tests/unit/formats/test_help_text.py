"""Flags in help texts: those of real programs as they printed them, and the other ways of printing them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.help_text import MAX_FLAGS, parse_help

DATA = Path(__file__).with_name("data") / "help"
CLAP = """Text Embedding Webserver

Usage: text-embeddings-router [OPTIONS]

Options:
      --model-id <MODEL_ID>
          The name of the model to load. Can be a MODEL_ID as listed on <https://hf.co/models> like
          --this-is-not-one

          [env: MODEL_ID=]
          [default: BAAI/bge-large-en-v1.5]

  -p, --port <PORT>
          The port to listen on

  -h, --help
          Print help (see a summary with '-h')
"""
CLICK = """Usage: trtllm-serve serve [OPTIONS] MODEL

Options:
  --host TEXT                     Hostname of the server.
  --port INTEGER                  Port of the server.
  --tp_size INTEGER               Tensor parallelism size.
  --trust_remote_code             Flag for HF transformers; see --tp_size, too.
  --enable-x / --no-enable-x      A switch.
  -v, --verbose                   Talk.
"""
TYPER = """ Usage: infinity_emb v2 [OPTIONS]

╭─ Options ────────────────────────────────────────────────────────────╮
│ *  --model-id               TEXT     Huggingface model repo id.      │
│    --trust-remote-code      --no-trust-remote-code   [env var: X]    │
│    --port                   INTEGER  [default: 7997]                 │
│    --help                            Show this message and exit.     │
╰──────────────────────────────────────────────────────────────────────╯
"""
ARGPARSE = """usage: launch_server.py [-h] [--model-path MODEL_PATH]
                        [--dtype {auto,half,--odd}]

options:
  -h, --help            show this help message and exit
  --model-path MODEL_PATH, --model MODEL_PATH
                        The path of the model weights. See
                        --not-a-flag-but-a-word for more.
  --dtype {auto,half,float16}
  -tp N, --tensor-parallel-size N, --tp-size N
                        The tensor parallelism size.
  --enable-x, --no-enable-x
"""


def test_llama_server() -> None:
    found = parse_help((DATA / "llama-server-b11434.txt").read_text("utf-8"))
    assert len(found) == 405
    assert {"-c", "--ctx-size", "-np", "--parallel", "--jinja", "--metrics", "-hf", "--hf-repo", "-ctk"} <= set(found)
    assert "--no-cache-prompt" in found


def test_what_llama_server_only_takes_to_refuse_it_is_no_flag() -> None:
    found = parse_help((DATA / "llama-server-b11434.txt").read_text("utf-8"))
    assert not {"--draft", "--draft-n", "--draft-max", "--draft-min", "--spec-ngram-size-n"} & set(found)
    assert "--spec-draft-n-max" in found


def test_vllm() -> None:
    found = parse_help(gzip.decompress((DATA / "vllm-0.32.0.txt.gz").read_bytes()).decode())
    assert len(found) == 433
    wanted = {
        "--model",
        "--served-model-name",
        "--runner",
        "-tp",
        "--tensor-parallel-size",
        "--port",
        "--kv-cache-dtype",
    }
    assert wanted <= set(found)
    assert not {"--task", "--enable-reasoning"} & set(found)


def test_infinity() -> None:
    found = parse_help((DATA / "infinity-0.0.78.txt").read_text("utf-8"))
    wanted = {"--model-id", "--url-prefix", "--port", "--no-trust-remote-code", "--no-onnx-do-not-prefer-quantized"}
    assert wanted <= set(found)
    assert len(found) == 38


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (CLAP, "--help --model-id --port -h -p"),
        (CLICK, "--enable-x --host --no-enable-x --port --tp_size --trust_remote_code --verbose -v"),
        (TYPER, "--help --model-id --no-trust-remote-code --port --trust-remote-code"),
        (
            ARGPARSE,
            "--dtype --enable-x --help --model --model-path --no-enable-x --tensor-parallel-size --tp-size -h -tp",
        ),
        ("", ""),
        ("sh: exec: --help: not found", ""),
    ],
    ids=["clap", "click", "typer", "argparse", "nothing", "no help"],
)
def test_other_programs(text: str, flags: str) -> None:
    assert parse_help(text) == tuple(flags.split())


def test_a_text_without_end_is_cut() -> None:
    assert len(parse_help("".join(f"--flag{number} X\n" for number in range(10_000)))) == MAX_FLAGS
    assert parse_help("--a" * 100_000) == ()


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(flag.startswith("-") and len(flag) <= 80 for flag in parse_help(text))
