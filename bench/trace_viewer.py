"""What a step costs in the trace viewer: CPU time of the page's main thread, drawing included, on a run of 5,000 steps
over a list of 700.

    python bench/trace_viewer.py

Needs Chromium. A display that shows 60 pictures a second leaves 16.7 ms for each.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "report"))

from browser import Browser, chromium  # noqa: E402

from coderlplus.records import StdioInput  # noqa: E402
from coderlplus.report import write_trace  # noqa: E402
from coderlplus.sandbox import Sandbox  # noqa: E402
from coderlplus.tracing import trace  # noqa: E402

PROGRAM = """\
flags = [True] * 700
total = 0
for i in range(2, 700):
    if flags[i]:
        total += i
        print(i, total)
        for j in range(2 * i, 700, i):
            flags[j] = not flags[j]
"""
MOVES = {
    "one step forward": "i",
    "one step back": "END - 1 - i",
    "a twentieth forward": "(i * 250) % END",
    "anywhere": "(i * 2654435761) % END",
}
TIMES = 200


def main() -> None:
    executable = chromium()
    if executable is None:
        sys.exit("no Chromium here to open the page with")
    with tempfile.TemporaryDirectory() as folder, Browser(executable) as browser:
        with Sandbox(workers=1) as sandbox:
            page = write_trace(
                trace(sandbox, PROGRAM, StdioInput(""), max_steps=5000), Path(folder) / "trace.html", title="sieve.py"
            )
        browser.size(1280, 800)
        browser.call("Performance.enable", timeDomain="threadTicks")
        browser.open(page)
        print(
            f"{browser.run('END'):,} steps, {page.stat().st_size / 1000:.0f} kB, opened in "
            f"{1000 * cpu_s(browser):.0f} ms of CPU time"
        )
        for name, place in MOVES.items():
            before = cpu_s(browser)
            browser.run(
                f"(async () => {{ for (let i = 0; i < {TIMES}; i++) {{ moveTo({place}); await new "
                f"Promise(requestAnimationFrame); }} }})()"
            )
            print(f"{name:20} {1000 * (cpu_s(browser) - before) / TIMES:5.1f} ms")


def cpu_s(browser: Browser) -> float:
    """CPU seconds of the page's main thread since it was opened."""
    metrics = browser.call("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


if __name__ == "__main__":
    main()
