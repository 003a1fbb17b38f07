"""Requests of speech and image models: what is sent, and whether speech, words or an image came back. Pure.

Forms from OpenAI's API reference (audio/speech, audio/transcriptions, images/generations), which these servers follow.
"""

from __future__ import annotations

import array
import io
import math
import wave
from collections.abc import Mapping
from typing import Any

from deployer.dataclass import dataclass
from deployer.engine.answers import BadAnswer, parsed

BOUNDARY = "deployer-5d0a8f7e41c2b963"
RATE = 16_000  # samples a second
MAX_VOICE = 200  # characters of a name
LEAST_SOUND, LEAST_IMAGE = 256, 100  # bytes below which it is none


@dataclass(frozen=True, slots=True)
class Payload:
    """A body that is not JSON."""

    content: bytes
    content_type: str


def speech_request(text: str, voice: str = "default") -> dict[str, Any]:
    return {"input": text, "voice": voice, "response_format": "wav"}


def first_voice(body: bytes) -> str:
    """Of a list of voices; `default` where there is none."""
    voices = parsed(body).get("voices")
    first = voices[0] if isinstance(voices, list) and voices else None
    return first[:MAX_VOICE] if isinstance(first, str) else "default"


def check_speech(body: bytes) -> str:
    """Sound of any form; an error in JSON is none."""
    if body[:1] in (b"{", b"[") or len(body) < LEAST_SOUND:
        raise BadAnswer("nonsense-answer", f"is no sound but {len(body)} bytes")
    return f"{len(body)} bytes of sound"


def transcription_request(model: Mapping[str, str]) -> Payload:
    """Half a second of a tone: no words, so that any words or none are a good answer."""
    parts = [_part(name, value.encode()) for name, value in {**model, "response_format": "json"}.items()]
    parts.append(_part("file", tone(), 'filename="tone.wav"', "audio/wav"))
    return Payload(b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}")


def _part(name: str, content: bytes, more: str = "", content_type: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"' + (f"; {more}" if more else "")
    kind = f"\r\nContent-Type: {content_type}" if content_type else ""
    return f"{head}{kind}\r\n\r\n".encode() + content + b"\r\n"


def tone(hertz: float = 440.0, seconds: float = 0.5) -> bytes:
    """A WAV file: 16 bit, one channel."""
    count = int(RATE * seconds)
    samples = array.array("h", (int(8000 * math.sin(2 * math.pi * hertz * i / RATE)) for i in range(count)))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def check_transcription(body: bytes) -> str:
    text = parsed(body).get("text")
    if not isinstance(text, str):
        raise BadAnswer("bad-answer", "holds no `text`")
    return text.strip() or "(no words, as there were none)"


def image_request(prompt: str) -> dict[str, Any]:
    return {"prompt": prompt, "n": 1, "size": "256x256", "response_format": "b64_json"}


def check_image(body: bytes) -> str:
    data = parsed(body).get("data")
    first = data[0] if isinstance(data, list) and data else None
    found = first.get("b64_json") or first.get("url") if isinstance(first, dict) else None
    if not isinstance(found, str) or not found:
        raise BadAnswer("bad-answer", "holds no image")
    if isinstance(first, dict) and first.get("b64_json") and len(found) < LEAST_IMAGE:
        raise BadAnswer("nonsense-answer", f"is an image of {len(found)} characters")
    return "an image"
