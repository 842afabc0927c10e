"""A real browser for tests: Chromium without a window, told what to do over a pair of pipes in its DevTools protocol.

Keys and clicks arrive as from a keyboard and a mouse. Standard library only.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Self

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
TIMEOUT_S = 180.0
KEYS = {
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35, "PageUp": 33,
    "PageDown": 34, "Tab": 9, "Escape": 27, "Enter": 13,
}  # fmt: skip


def chromium() -> str | None:
    """The path of an installed Chromium, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One Chromium process with one tab. `problems` collects what pages complain of: errors in scripts and refused
    loads."""

    def __init__(self, executable: str) -> None:
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out)]
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        actions = [
            (os.POSIX_SPAWN_DUP2, end, number) for end, number in ((null, 1), (null, 2), (high[0], 3), (high[1], 4))
        ]
        command = [executable, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        self.process = os.posix_spawn(executable, command, os.environ, file_actions=actions, setpgroup=0)
        for end in (theirs_in, theirs_out, *high, null):
            os.close(end)
        self.writer, self.reader = ours_out, ours_in
        self.waiting = b""
        self.calls = 0
        self.problems: list[str] = []
        self.loaded = False
        self.session: str | None = None
        target = next(info for info in self.call("Target.getTargets")["targetInfos"] if info["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.writer)
        os.close(self.reader)
        os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, page: Path, fragment: str = "") -> None:
        """Open a file and wait until its scripts ran."""
        self.call("Page.navigate", url="about:blank")  # else only the fragment may change
        self.loaded = False
        self.problems.clear()
        self.call("Page.navigate", url=page.resolve().as_uri() + fragment)
        while not self.loaded:
            self._handle(self._message())
        self.frame()

    def frame(self) -> None:
        """Wait until the page has drawn what it was told."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def text(self, selector: str) -> str:
        """What a reader sees in the first element that matches."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def press(self, key: str, times: int = 1) -> None:
        """Press and release a key as a person does: a name as in `KEYS`, or one character."""
        code = KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        for _ in range(times):
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.frame()

    def click(self, selector: str) -> None:
        """Click the middle of the first element that matches."""
        box = self.run(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)}); node.scrollIntoView({{ block: "
            f"'nearest' }});"
            " const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
        self.frame()

    def size(self, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """The window in CSS pixels, and whether its owner likes it dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.frame()

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def call(self, method: str, **parameters: Any) -> Any:
        """One call of the DevTools protocol."""
        self.calls += 1
        message = {"id": self.calls, "method": method, "params": parameters} | (
            {"sessionId": self.session} if self.session else {}
        )
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while (answer := self._message()).get("id") != self.calls:
            self._handle(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _message(self) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT_S
        while b"\0" not in self.waiting:
            ready, _, _ = select.select([self.reader], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self.reader, 1 << 20) if ready else b""
            if not piece:
                raise TimeoutError("Chromium does not answer")
            self.waiting += piece
        first, _, self.waiting = self.waiting.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message

    def _handle(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Page.loadEventFired":
                self.loaded = True
            case "Runtime.exceptionThrown":
                self.problems.append(str(event["params"]["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.problems.append(str(event["params"]["args"]))
            case "Log.entryAdded":
                self.problems.append(str(event["params"]["entry"]))
