"""Proves health by one real request of the model's category, and judges the answer. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass
from deployer.engine.answers import (
    BadAnswer,
    chat_text,
    check_scores,
    check_text,
    check_vector,
    completion_text,
    listed_abilities,
    listed_models,
)
from deployer.engine.container_log import last_lines, service_of
from deployer.engine.context import Site, failed
from deployer.engine.endings import ended_since
from deployer.engine.failed_container import explained
from deployer.engine.media import (
    Payload,
    check_image,
    check_speech,
    check_transcription,
    first_voice,
    image_request,
    speech_request,
    transcription_request,
)
from deployer.engine.model_http import BrokenOff, Question, Reply, exchange
from deployer.engine.ownership import look
from deployer.errors import Diagnostic, OperationError
from deployer.values.facts import ObservedContainer
from deployer.values.operations import Probe

PROMPT = "Reply with the word: ready"
MAX_TOKENS = 32
EVIDENCE = 300  # characters of an answer that is no good
SHOWN = 80  # characters of an answer that a line shows
SPOKEN, DRAWN = "Ready.", "a white square on black"
QUERY, DOCUMENTS = "What is a panda?", ("The giant panda is a bear.", "Paris is the capital of France.")


def probe(operation: Probe, site: Site) -> str:
    """The answer in one line. OperationError: `model-not-listed`, `died-on-request`, `nonsense-answer`, ..."""
    before = look(site, operation.name)
    asked = Asked(operation, site, before)
    try:
        asked.check_models()
        match operation.category:
            case "embedding":
                return asked.embed()
            case "reranker":
                return asked.rerank()
            case "text-to-speech":
                return asked.speak()
            case "speech-to-text":
                return asked.transcribe()
            case "image":
                return asked.draw()
            case _:
                return asked.chat()
    except BadAnswer as bad:
        raise asked.judged(bad) from None


@dataclass(slots=True)
class Asked:
    """One probe's requests; `last` is the latest answer, for evidence."""

    operation: Probe
    site: Site
    before: ObservedContainer | None
    last: bytes = b""
    listed: tuple[str, ...] = ()
    abilities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check_models(self) -> None:
        path = self.operation.paths.get("models")
        if path is None:
            return
        reply = self.request("GET", path)
        if reply.status == 404:
            return  # the server has no such list
        self.must_be_ok(reply, path)
        found = self.listed = listed_models(reply.body)
        self.abilities = listed_abilities(reply.body)
        missing = [name for name in self.operation.models if name not in found]
        if missing:
            listed = ", ".join(self.site.words(name) for name in found[:10]) or "nothing"
            hint = f"correct `served_name` or the model of `{service_of(self.operation.name)}`"
            raise failed("model-not-listed", f"the server does not serve `{missing[0]}`", hint, (f"it lists {listed}",))

    def chat(self) -> str:
        path = self.operation.paths.get("chat")
        if path is not None:
            message = {"role": "user", "content": self.operation.prompt or PROMPT}
            reply = self.request("POST", path, {"messages": [message], **self.sampling()})
            if reply.status == 200:
                return self.said(chat_text(reply.body))
            if not lacks_chat_template(reply) or "completions" not in self.operation.paths:
                self.must_be_ok(reply, path)
        return self.complete()

    def complete(self) -> str:
        """Models without a chat template only continue a text."""
        path = self.path("completions")
        reply = self.request("POST", path, {"prompt": self.operation.prompt or PROMPT, **self.sampling()})
        self.must_be_ok(reply, path)
        answer = self.said(completion_text(reply.body))
        self.site.context.completing.add((self.site.host, self.operation.name))
        return answer

    def embed(self) -> str:
        path = self.path("embeddings")
        reply = self.request("POST", path, {"input": self.operation.prompt or PROMPT, **self.model()})
        self.must_be_ok(reply, path)
        return f"a vector of {check_vector(reply.body, self.operation.vector)}"

    def rerank(self) -> str:
        path = self.path("rerank")
        request = {"query": QUERY, "documents": DOCUMENTS, "texts": DOCUMENTS, "top_n": len(DOCUMENTS), **self.model()}
        reply = self.request("POST", path, request)
        self.must_be_ok(reply, path)
        scores = check_scores(reply.body, len(DOCUMENTS))
        return "scores " + ", ".join(f"{score:.3g}" for score in scores)

    def speak(self) -> str:
        path = self.path("speech")
        voice = first_voice(self.listing("voices")) if "voices" in self.operation.paths else self.operation.voice
        reply = self.request("POST", path, {**self.model(), **speech_request(self.operation.prompt or SPOKEN, voice)})
        self.must_be_ok(reply, path)
        return check_speech(reply.body)

    def transcribe(self) -> str:
        path = self.path("transcriptions")
        reply = self.request("POST", path, transcription_request(self.model()))
        self.must_be_ok(reply, path)
        return self.site.context.redactor.line(check_transcription(reply.body), SHOWN)

    def draw(self) -> str:
        """Of a model that its server lists with abilities, and not with this one, the list has to do: one that reads
        text in images, say."""
        can = self.abilities.get(self.model().get("model", ""))
        if can is not None and "text2image" not in can:
            return self.site.context.redactor.line("is listed, for " + ", ".join(can), SHOWN)
        path = self.path("images")
        reply = self.request("POST", path, {**self.model(), **image_request(self.operation.prompt or DRAWN)})
        self.must_be_ok(reply, path)
        return check_image(reply.body)

    # --- parts of a request ------------------------------------------------------------

    def listing(self, name: str) -> bytes:
        path = self.path(name)
        reply = self.request("GET", path)
        self.must_be_ok(reply, path)
        return reply.body

    def model(self) -> dict[str, Any]:
        """By a name it was given, or by the first that it lists."""
        names = self.operation.models or self.listed
        return {"model": names[0]} if names else {}

    def sampling(self) -> dict[str, Any]:
        return {**self.model(), "max_tokens": MAX_TOKENS, "temperature": 0, "stream": False}

    def path(self, name: str) -> str:
        path = self.operation.paths.get(name)
        if path is None:
            what = f"the backend has no way to ask a model of category `{self.operation.category}`"
            hint = f"correct the model's `category`, or set `{service_of(self.operation.name)}.health.probe: none`"
            raise failed("no-such-request", what, hint)
        return path

    def said(self, text: str) -> str:
        self.last = text.encode("utf-8", "replace")
        check_text(text, self.operation.expect)
        return self.site.context.redactor.line(" ".join(text.split()), SHOWN)

    # --- sending -----------------------------------------------------------------------

    def request(self, method: str, path: str, body: dict[str, Any] | Payload | None = None) -> Reply:
        operation = self.operation
        question = Question(operation.name, operation.endpoint, method, path, body, operation.timeout)
        try:
            reply = exchange(question, self.site)
        except TimeoutError:
            what = f"the model gave no answer within {operation.timeout:g} s"
            hint = "look whether the model is too large for this host's processor or GPUs"
            raise failed("no-answer", what, hint, self.log()) from None
        except BrokenOff as error:
            raise self.broke_off(str(error)) from None
        self.last = reply.body
        return reply

    def must_be_ok(self, reply: Reply, path: str) -> None:
        if reply.status == 200:
            return
        evidence = (self.site.words(reply.body), *self.log())
        if reply.status in (401, 403):
            hint = f"correct `options.api_key` of `{service_of(self.operation.name)}`"
            raise failed("key-refused", f"the server refuses the API key: HTTP {reply.status}", hint, evidence)
        hint = "correct the model or its options as the answer says"
        what = f"the server answers {path} with HTTP {reply.status}"
        told = Diagnostic("bad-answer", what, evidence=evidence, hint=hint)
        raise OperationError(explained(self.site, self.operation.name, told))

    def broke_off(self, cause: str) -> OperationError:
        """The connection ended instead of an answer: most likely the server did too; Docker notices a little later."""
        died = ended_since(self.site, self.operation.name, self.before, "at its first request")
        if died is not None:
            return OperationError(died)
        what = f"the server broke off at a request: {cause}"
        return failed("request-broken", what, "read the container's last lines", self.log())

    def judged(self, bad: BadAnswer) -> OperationError:
        service = service_of(self.operation.name)
        hint = {
            "unexpected-answer": f"correct the model, or `{service}.health.probe.expect`",
            "other-model": f"check that `{service}` serves the model it is given, or set its `health.probe: none`",
            "nonsense-answer": f"check the weights and options of `{service}`: type, quantization, chat template",
        }.get(bad.code, f"check that `{service}` runs the backend its image holds")
        evidence = (f"it answered: {self.site.context.redactor.line(self.last, EVIDENCE)}",)
        return failed(bad.code, f"the model's answer {bad.why}", hint, evidence)

    def log(self) -> tuple[str, ...]:
        return last_lines(self.site, self.operation.name, 10)


def lacks_chat_template(reply: Reply) -> bool:
    """vLLM answers 400, llama.cpp 400 or 500, TGI 422, and names the template; others do not know the path."""
    return reply.status == 404 or (reply.status in (400, 422, 500, 501) and b"template" in reply.body.lower())
