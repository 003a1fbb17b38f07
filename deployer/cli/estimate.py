"""`deployer estimate`."""

from __future__ import annotations

import os
from typing import Any

import click

from deployer.cli.console import Console
from deployer.cli.options import OUTPUT, failures_shown

AT_LEAST_ONE = click.IntRange(min=1)
FEW = click.IntRange(min=1, max=1024)


@click.command(short_help="Say whether a model fits on GPUs, before anything is fetched.")
@click.argument("model")
@click.option("--gpu", metavar="NAME", help="A GPU model, as in `H100` or `RTX 4090`.")
@click.option("--count", type=FEW, metavar="N", help="How many of them there are.  [default: as many as it takes]")
@click.option("--context", type=AT_LEAST_ONE, metavar="N", help="Tokens of a request.  [default: the model's most]")
@click.option("--concurrency", type=FEW, default=1, metavar="N", help="Requests of that length at once.  [default: 1]")
@click.option("--backend", metavar="B", help="The server.  [default: vllm, for GGUF files llama.cpp]")
@click.option("--dtype", metavar="D", help="Type of plain weights.  [default: the model's, in 16 bits]")
@click.option("--quantization", metavar="Q", help="As if the weights were quantized so.")
@click.option("--kv-dtype", metavar="K", help="Type of the KV cache: fp8, q8_0, ...  [default: 16 bits]")
@click.option(
    "--tensor-parallel", type=FEW, metavar="N", help="GPUs that share layers.  [default: the fewest that fit]"
)
@click.option("--pipeline-parallel", type=FEW, default=1, metavar="N", help="Stages of layers.  [default: 1]")
@failures_shown(*OUTPUT)
def command(console: Console, json: bool, verbose: bool, **said: Any) -> int:
    """Say whether a model fits on GPUs, with every term, before anything is fetched. Asks no host.

    MODEL is a model of the Hugging Face Hub (`hf://org/name`) or of ModelScope (`modelscope://org/name`), of which only
    headers are read, a GGUF file behind `https://`, a folder, a GGUF file or a config.json. Without a GPU, those that
    it fits on are listed. Exits 1 when it does not fit.
    """
    from deployer.values.estimate import Fit
    from deployer.view.estimate import estimate_json, render_estimate
    from deployer.workflow.estimating import Asked, estimate_asked

    found = estimate_asked(Asked(**said, environment=dict(os.environ)))
    if json:
        console.data(estimate_json(found))
    else:
        console.result(render_estimate(found))
    return int(found.verdict is Fit.NO)
