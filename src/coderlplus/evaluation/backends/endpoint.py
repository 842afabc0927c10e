"""Any server with OpenAI's chat completions API: `POST {url}/chat/completions`; for base models its completions API,
`POST {url}/completions`. Standard library only; several requests are under way at a time.

What may pass (no connection, 408, 409, 429, 5xx) is tried again, later each time and no sooner than the server asks
in `Retry-After`, up to `MAX_WAIT_S`; anything else ends it. The limit of tokens is `max_tokens`, and
`max_completion_tokens` where a server refuses that. Reasoning that a server takes out of the answer
(`reasoning_content`, `reasoning`) is put before it again, as `<think>…</think>`: completions read as those of the same
model in this process. The key, if the server wants one, is in the environment: `OPENAI_API_KEY`.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.backends import Completion, Request, Sampling
from coderlplus.evaluation.generate import Continued, Prompt, until_stop

MAX_WAIT_S = 120.0
"""The longest pause that a server's `Retry-After` can ask for."""
_PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
_LIMITS = ("max_tokens", "max_completion_tokens")
"""The names of the token limit. Every server knew the first; OpenAI's reasoning models refuse it."""
MAX_STOPS = 4
"""How many stop strings OpenAI's API takes; a completion is cut at the others here."""
_MAX_BYTES = 2**28
"""Longest answer that is read."""
_SECONDS = re.compile(r"\d+(?:\.\d*)?", re.ASCII)


class _Passing(Exception):
    """A failure that may pass; `after_s` is when the server wants to hear from us again."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class _Refused(Exception):
    """A server does not take the request as it is; `names` says which names of the token limit it speaks of."""

    def __init__(self, error: ConfigError, names: Sequence[str]) -> None:
        super().__init__(str(error))
        self.error, self.names = error, names


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server. `url` is the address without `/chat/completions`, as in `http://localhost:8000/v1`.

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
        """Raises `DataError` if the server keeps failing, `ConfigError` when it refuses; what it had said by then is
        yielded first."""
        stop = threading.Event()
        limits = list(_LIMITS)  # the first is the one that the server takes, as far as is known
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
                        running[pool.submit(self._ask, request, sampling, limits, stop)] = request
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

    def _ask(self, request: Request, sampling: Sampling, limits: list[str], stop: threading.Event) -> Completion:
        pause, reason = self.pause_s, "no answer"
        for attempt in range(1, self.attempts + 1):
            try:
                return self._accepted(request, sampling, limits)
            except _Passing as error:
                reason = str(error)
                if attempt < self.attempts and stop.wait(max(error.after_s, pause * random.uniform(0.75, 1.25))):
                    break  # another request has failed for good
                pause *= 2
        raise DataError(f"the endpoint {self.url} failed {attempt} times ({reason}); rerun the command when it is up")

    def _accepted(self, request: Request, sampling: Sampling, limits: list[str]) -> Completion:
        """The completion, by the name of the token limit that the server takes; the other is tried once where it
        refuses one by its name."""
        known = tuple(limits)
        try:
            return self._once(request, sampling, known[0])
        except _Refused as first:
            if known[0] not in first.names:
                raise first.error from first
            try:
                completion = self._once(request, sampling, known[1])
            except _Refused as second:
                raise (first if known[1] in second.names else second).error from second
            limits[:] = known[::-1]
            return completion

    def _once(self, request: Request, sampling: Sampling, limit: str) -> Completion:
        asked = request.messages
        what = (
            {"prompt": asked.text, "stop": asked.stop[:MAX_STOPS] or None}
            if isinstance(asked, Continued)
            else {"messages": list(asked)}
        )
        path = "completions" if isinstance(asked, Continued) else "chat/completions"
        body = {
            "model": self.model,
            **what,
            "temperature": sampling.temperature,
            limit: sampling.max_tokens,
            "seed": request.seed(sampling.seed),
            **({"logprobs": 0 if isinstance(asked, Continued) else True} if sampling.logprobs else {}),
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {os.environ['OPENAI_API_KEY']}"
        call = urllib.request.Request(f"{self.url.rstrip('/')}/{path}", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(call, timeout=self.timeout_s) as answer:
                text = _body(answer)
        except urllib.error.HTTPError as error:
            raise self._failure(error) from error
        except (http.client.HTTPException, OSError, ValueError) as error:  # OSError: URLError; ValueError: no URL
            raise _Passing(str(getattr(error, "reason", "") or error or type(error).__name__)) from error
        completion = self._completion(text, asked)
        return replace(completion, logprob=self._logprob(text)) if sampling.logprobs else completion

    def _logprob(self, answer: bytes) -> float:
        """The mean of the log-probabilities in an answer; raises `ConfigError` where there are none."""
        try:
            given = json.loads(answer)["choices"][0]["logprobs"]
            of_completions, of_chat = given.get("token_logprobs"), given.get("content")
            values = [float(one["logprob"]) for one in of_chat] if of_completions is None else of_completions
        except (ValueError, KeyError, IndexError, TypeError):
            raise ConfigError(
                f"the endpoint {self.url} gives no log-probabilities; leave logprob out of --select"
            ) from None
        return math.fsum(values) / max(1, len(values))

    def _failure(self, error: urllib.error.HTTPError) -> _Passing | _Refused:
        try:
            text = error.read(4000).decode("utf-8", "replace")
        except (http.client.HTTPException, OSError):  # the connection ended in the middle of it
            text = ""
        reason = f"HTTP {error.code} {error.reason}: {_message(text)}"
        if error.code in _PASSING:
            return _Passing(reason, _pause(error.headers))
        refusal = ConfigError(
            f"the endpoint {self.url} refuses model {self.model!r} ({reason}){_way_out(error.code, text)}"
        )
        return _Refused(refusal, [name for name in _LIMITS if re.search(rf"\b{name}\b", text)])

    def _completion(self, answer: bytes, asked: Prompt) -> Completion:
        try:
            data = json.loads(answer)
            choice = data["choices"][0]
            whole = choice["text"] if isinstance(asked, Continued) else _with_reasoning(choice["message"])
            text, stopped = until_stop(whole, asked)
            tokens = (data.get("usage") or {}).get("completion_tokens")
            return Completion(
                text=text,
                truncated=choice.get("finish_reason") == "length" and not stopped,
                tokens=tokens if type(tokens) is int and 0 <= tokens < 2**63 else None,
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            api = "completions" if isinstance(asked, Continued) else "chat completions"
            raise ConfigError(
                f"the endpoint {self.url} does not speak OpenAI's {api} API: it says {answer[:120]!r}"
            ) from error


def _body(answer: http.client.HTTPResponse) -> bytes:
    """The body, or its first `_MAX_BYTES`. Raises `IncompleteRead` where the connection ended before it."""
    text = answer.read(_MAX_BYTES)
    if answer.length and len(text) < _MAX_BYTES:
        raise http.client.IncompleteRead(text, answer.length)
    return text


def _message(text: str) -> str:
    """What a server says of its error, in one line."""
    try:
        data: Any = json.loads(text)
        if isinstance(data, dict):
            text = str((data.get("error") or {}).get("message") or data.get("message") or text)
    except (ValueError, AttributeError, RecursionError):
        pass
    return " ".join(text.split())[:200]


def _with_reasoning(message: Mapping[str, Any]) -> str:
    """The text of a message, with the reasoning before it that a server has taken out of it. Reasoning without an
    answer is left open, as it is where the tokens ended.

    >>> _with_reasoning({"reasoning_content": "It sorts.", "content": "[1, 2]"})
    '<think>\\nIt sorts.\\n</think>\\n\\n[1, 2]'
    """
    content = message.get("content") or ""
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    if not isinstance(content, str):
        raise TypeError("the content is no text")
    if not isinstance(reasoning, str) or not reasoning.strip():
        return content
    return f"<think>\n{reasoning.strip()}" + (f"\n</think>\n\n{content}" if content.strip() else "")


def _pause(headers: Mapping[str, str] | Message) -> float:
    """The seconds in `Retry-After`, or until its date by the server's own clock; at most `MAX_WAIT_S`, 0 where there
    are none.

    >>> _pause({"Retry-After": "7"}), _pause({"Retry-After": "soon"}), _pause({})
    (7.0, 0.0, 0.0)
    >>> at = {"Date": "Sun, 06 Nov 1994 08:49:30 GMT", "Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}
    >>> _pause(at), _pause(at | {"Retry-After": "Mon, 07 Nov 1994 08:49:37 GMT"})
    (7.0, 120.0)
    """
    asked = (headers.get("Retry-After") or "").strip()
    if _SECONDS.fullmatch(asked):
        return min(MAX_WAIT_S, float(asked))
    date = _timestamp(asked)
    if date is None:
        return 0.0
    now = _timestamp(headers.get("Date") or "")
    return min(MAX_WAIT_S, max(0.0, date - (time.time() if now is None else now)))


def _timestamp(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _way_out(code: int, text: str) -> str:
    if code in (401, 403):
        return "; set OPENAI_API_KEY to a key that may use it"
    if code == 400 and ("context length" in text or "max_tokens" in text):
        return "; lower --max-tokens, or serve the model with a longer context"
    return "; check --model and the address, which ends before /chat/completions" if code == 404 else ""
