"""Requests of speech and image models, and what counts as an answer."""

from __future__ import annotations

import io
import json
import wave
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest

from deployer.engine.answers import BadAnswer
from deployer.engine.media import (
    check_image,
    check_speech,
    check_transcription,
    first_voice,
    speech_request,
    tone,
    transcription_request,
)


def test_a_tone_is_a_wav_file() -> None:
    with wave.open(io.BytesIO(tone(seconds=0.5))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 16_000, 8_000)
        assert any(file.readframes(100))


def test_a_transcription_is_a_form_that_others_can_read() -> None:
    payload = transcription_request({"model": "whisper"})
    head = f"Content-Type: {payload.content_type}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + payload.content)
    parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
    assert parts["model"].get_content().strip() == "whisper"
    assert parts["file"].get_filename() == "tone.wav"
    assert parts["file"].get_payload(decode=True) == tone()


@pytest.mark.parametrize(
    ("listed", "voice"),
    [
        ({"voices": ["Chinese Female", "b"]}, "Chinese Female"),
        ({"voices": []}, "default"),
        ({"voices": [{"name": "a"}]}, "default"),
        ({}, "default"),
        ({"voices": ["x" * 999]}, "x" * 200),
    ],
)
def test_the_voice_that_is_asked_for(listed: dict[str, Any], voice: str) -> None:
    assert first_voice(json.dumps(listed).encode()) == voice
    assert speech_request("hi", voice)["voice"] == voice


def test_answers_that_are_good() -> None:
    assert check_speech(tone()) == f"{len(tone())} bytes of sound"
    assert check_transcription(b'{"text": " Beep. "}') == "Beep."
    assert check_transcription(b'{"text": ""}') == "(no words, as there were none)"
    assert check_image(json.dumps({"data": [{"b64_json": "A" * 200}]}).encode()) == "an image"
    assert check_image(b'{"data": [{"url": "http://127.0.0.1/1.png"}]}') == "an image"


@pytest.mark.parametrize("body", [b"", b"RIFF", b'{"error": "no voice"}' + b" " * 500])
def test_what_is_no_sound(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        check_speech(body)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"text": 7}', b'{"data": []}', b'{"data": [{"b64_json": "AA"}]}', b'{"data": 3}']
)
def test_what_is_no_words_and_no_image(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        check_transcription(body)
    with pytest.raises(BadAnswer):
        check_image(body)
