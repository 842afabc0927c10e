"""Any server with OpenAI's chat completions API: `POST {url}/chat/completions`. Standard library only; several
requests are under way at a time.

What may pass (no connection, 408, 409, 429, 5xx) is tried again, later each time and no sooner than the server asks;
anything else ends it. The key, if the server wants one, is in the environment: `OPENAI_API_KEY`.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.backends import Completion, Request, Sampling

_PASSING = {408, 409, 425, 429, 500, 502, 503, 504}


class _Passing(Exception):
    """A failure that may pass; `after_s` is when the server wants to hear from us again."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server: `url` ends where `/chat/completions` goes on, as in `http://localhost:8000/v1`.

    `concurrency` requests at a time, `attempts` for each, the first pause `pause_s` and each one twice as long; an
    answer may take `timeout_s`.
    """

    url: str
    model: str
    concurrency: int = 16
    attempts: int = 7
    pause_s: float = 0.5
    timeout_s: float = 900.0

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).hostname:
            raise ConfigError(f"the endpoint {self.url!r} is not a valid URL (http://localhost:8000/v1)")

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        """Raises `DataError` when the server keeps failing, `ConfigError` when it refuses; what it had said by then is
        yielded first."""
        stop = threading.Event()
        waiting = iter(requests)
        running: dict[Future[Completion], Request] = {}
        failed: Exception | None = None
        with ThreadPoolExecutor(self.concurrency) as pool:
            try:
                while True:
                    while (
                        failed is None
                        and len(running) < self.concurrency
                        and (request := next(waiting, None)) is not None
                    ):
                        running[pool.submit(self._ask, request, sampling, stop)] = request
                    if not running:
                        break
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        request = running.pop(future)
                        error = future.exception()
                        if error is None:
                            yield request, future.result()
                        elif isinstance(error, ConfigError | DataError):
                            failed = failed or error
                            stop.set()
                        else:
                            raise error
            finally:
                stop.set()
        if failed is not None:
            raise failed

    def _ask(self, request: Request, sampling: Sampling, stop: threading.Event) -> Completion:
        pause, reason = self.pause_s, "no answer"
        for attempt in range(1, self.attempts + 1):
            try:
                return self._once(request, sampling)
            except _Passing as error:
                reason = str(error)
                if attempt < self.attempts and stop.wait(max(error.after_s, pause * random.uniform(0.75, 1.25))):
                    break  # another request has failed for good
                pause *= 2
        raise DataError(f"the endpoint {self.url} failed {attempt} times ({reason}); rerun the command when it is up")

    def _once(self, request: Request, sampling: Sampling) -> Completion:
        body = {
            "model": self.model,
            "messages": list(request.messages),
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": request.seed(sampling.seed),
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {os.environ['OPENAI_API_KEY']}"
        call = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(call, timeout=self.timeout_s) as answer:
                return self._completion(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read(600).decode("utf-8", "replace")
            reason = f"HTTP {error.code} {error.reason}: {_message(text)}"
            if error.code in _PASSING:
                raise _Passing(reason, _seconds(error.headers.get("Retry-After"))) from error
            raise ConfigError(
                f"the endpoint {self.url} refuses model {self.model!r} ({reason}){_way_out(error.code, text)}"
            ) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise _Passing(str(getattr(error, "reason", "") or error or type(error).__name__)) from error

    def _completion(self, text: bytes) -> Completion:
        try:
            data = json.loads(text)
            choice = data["choices"][0]
            content = choice["message"].get("content") or ""
            tokens = (data.get("usage") or {}).get("completion_tokens")
            return Completion(
                text=str(content),
                truncated=choice.get("finish_reason") == "length",
                tokens=tokens if isinstance(tokens, int) else None,
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(
                f"the endpoint {self.url} does not speak OpenAI's chat completions API: it says {text[:120]!r}"
            ) from error


def _message(text: str) -> str:
    """What a server says of its error, in one line."""
    try:
        data: Any = json.loads(text)
        text = (
            str((data.get("error") or {}).get("message") or data.get("message") or text)
            if isinstance(data, dict)
            else text
        )
    except (ValueError, AttributeError, RecursionError):
        pass
    return " ".join(text.split())[:200]


def _seconds(text: str | None) -> float:
    try:
        return min(120.0, max(0.0, float(text or 0)))
    except ValueError:
        return 0.0


def _way_out(code: int, text: str) -> str:
    if code in (401, 403):
        return "; set OPENAI_API_KEY to a key that may use it"
    if code == 400 and ("context length" in text or "max_tokens" in text):
        return "; lower --max-tokens, or serve the model with a longer context"
    return "; check --model and the address, which ends before /chat/completions" if code == 404 else ""
