"""What a model is for, by what its files say of it: chat, vectors, order, speech, images. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from deployer.values.facts import PathFact

# Of sentence-transformers: a decoder whose folder has one of these was made for vectors.
VECTOR_FILES = ("modules.json", "config_sentence_transformers.json", "1_Pooling")
LLM = "llm"
SHAPES_VECTORS = re.compile(r"dense|dimension|pooler|overrides|embedding-dtype")
DIFFUSERS_FILE = "model_index.json"
RANK = 4  # LLAMA_POOLING_TYPE_RANK of llama.cpp's include/llama.h
# Classes of transformers and diffusers, as GPUStack 2.2 sorts them (gpustack/scheduler/evaluator.py).
BY_ARCHITECTURE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reranker", ("*ForSequenceClassification", "JinaVLForRanking")),
    ("speech-to-text", ("Whisper*", "Voxtral*", "Qwen3ASR*", "GraniteSpeech*", "FunASR*")),
    ("text-to-speech", ("Qwen3TTS*", "Parler*", "Bark*", "CosyVoice*", "*TextToSpeech", "*TextToWaveform")),
    ("embedding", ("*Model", "*EncoderModel", "*ForMaskedLM", "*EmbeddingModel")),
)
CHATS = ("*ForCausalLM", "*LMHeadModel", "ChatGLMModel", "*ChatModel")  # whatever else their names end with
BY_GGUF: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("embedding", ("*bert*", "t5encoder", "gemma-embedding")),
    ("speech-to-text", ("whisper*",)),
    ("text-to-speech", ("wavtokenizer*", "outetts*")),
)


def category_of(facts: PathFact | None) -> tuple[str, str] | None:
    """The category and the reason; None where nothing tells."""
    if facts is None:
        return None
    if DIFFUSERS_FILE in facts.entries:
        return "image", f"the model has a {DIFFUSERS_FILE}"
    if not facts.architectures:
        return None
    architecture = facts.architectures[0]
    is_gguf = facts.path.endswith(".gguf") or any(name.endswith(".gguf") for name in facts.entries)
    if is_gguf and facts.pooling is not None and facts.pooling > 0:
        category = "reranker" if facts.pooling == RANK else "embedding"
        return category, f"its GGUF header has pooling type {facts.pooling}"
    found = category_of_architecture(architecture, is_gguf)
    if found != LLM:
        return found, f"its architecture is {architecture}"
    vectors = next((name for name in VECTOR_FILES if name in facts.entries), None)
    if vectors is not None:
        return "embedding", f"the model has a {vectors}"
    return LLM, f"its architecture is {architecture}"


def vector_width(facts: PathFact | None, args: Sequence[str]) -> int | None:
    """How many numbers a vector of an embedding model has: those that its layers pass on. None where its files do not
    tell, where a layer of its own follows (`2_Dense` of sentence-transformers), and where `args` may shape vectors."""
    if facts is None or facts.shape is None or any(SHAPES_VECTORS.search(arg) for arg in args):
        return None
    return None if any("_Dense" in entry for entry in facts.entries) else facts.shape.hidden


def category_of_architecture(architecture: str, is_gguf: bool) -> str:
    """By the name of the class, or of GGUF's architecture, alone."""
    rules = BY_GGUF if is_gguf else () if _is_any(architecture, CHATS) else BY_ARCHITECTURE
    return next((category for category, patterns in rules if _is_any(architecture, patterns)), LLM)


def _is_any(architecture: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(architecture, pattern) for pattern in patterns)
