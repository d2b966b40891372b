"""What tests of inferences share: a fake of both providers, and a function that asks one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import durable
from durable.ai import Model


KEY = "sk-test-4f1c9a7e2b8d6053"
ASKED = {"messages": [{"role": "user", "content": "Say hello"}]}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-test-2026",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hello"}},
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "model": "claude-test-2026",
    "content": [{"type": "text", "text": "hello"}],
    "usage": {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 0,
        "output_tokens": 7,
    },
}
BUSY = (429, {"retry-after": "7"}, {"error": {"message": "Rate limit reached"}})


class Provider:
    """A fake of both APIs on loopback: gives what is queued, then what each gives."""

    def __init__(self, serve: Callable[[type[BaseHTTPRequestHandler]], str]) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.queued: list[Any] = []  # "hang up", "hang", or status, headers, body
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                headers = {name.lower(): text for name, text in self.headers.items()}
                outer.asked.append(
                    (self.path, headers, json.loads(self.rfile.read(size)))
                )
                own = MESSAGE if self.path.endswith("/v1/messages") else CHAT
                following = outer.queued.pop(0) if outer.queued else (200, {}, own)
                if following == "hang":
                    outer.released.wait(30)
                if isinstance(following, str):
                    self.close_connection = True
                    return
                status, more, body = following
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, text in {**more, "content-length": str(len(data))}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.url = serve(Handler)


def inferring(
    world: Any, model: Model, body: dict[str, Any] = ASKED, **options: Any
) -> list[Any]:
    """A function whose runs ask a model once; what each was answered."""
    answers: list[Any] = []

    async def asker(ctx: durable.Context) -> Any:
        try:
            answer = await ctx.step.ai.infer("ask", model=model, body=body, **options)
        except durable.StepError as error:
            return f"{error.name}: {error.message}"
        await ctx.step.sleep("rest", "1m")
        answers.append(answer)
        return "answered"

    flat = durable.Retries(2, durable.Backoff("1s", jitter=0))
    world.function(asker, on="test/start", retries=flat)
    return answers


async def ended(world: Any) -> durable.Run:
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("5m")
    return await world.get(run_id)
