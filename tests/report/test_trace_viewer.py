"""The trace viewer in a real browser, with keys and clicks; skipped where there is no Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus.records import AlignmentTask, CallInput, Target, Trace
from coderlplus.report import write_trace
from coderlplus.report.trace_page import value_text

from .browser import Browser
from .test_trace_page import HOSTILE

COUNT = """\
def grow(items, n):
    for i in range(n):
        items.append(i * i)
    return items


squares = grow([], 4)
print("squares:", squares)
print(squares[4])
"""

LONG = """\
flags = [True] * 500
total = 0
for i in range(2, 500):
    for j in range(2 * i, 500, i):
        flags[j] = False
    total += i
    print(i, total)
"""


@pytest.fixture
def view(traced: Callable[..., Trace], browser: Browser, tmp_path: Path) -> Callable[..., Trace]:
    """Trace a program and open its page: `view(program, input, fragment="", cpu_s=5.0, **page)`."""

    def open_page(program: str, given: Any = "", fragment: str = "", cpu_s: float = 5.0, **page: Any) -> Trace:
        trace = traced(program, given, cpu_s=cpu_s)
        browser.open(write_trace(trace, tmp_path / "trace.html", **({"title": "program.py"} | page)), fragment)
        return trace

    return open_page


def rows(browser: Browser) -> dict[str, str]:
    """The variables on the page: name → value, of all cards."""
    return dict(
        browser.run(
            "[...document.querySelectorAll('#variables tr')].map((row) => [row.cells[0].innerText, "
            "row.cells[row.cells.length - 1].innerText])"
        )
    )


def current(browser: Browser) -> int:
    return int(
        browser.run("[...document.querySelectorAll('.listing .line')].findIndex((line) => line.ariaCurrent) + 1")
    )


def test_keys_step_through_the_run(view: Callable[..., Trace], browser: Browser) -> None:
    trace = view(COUNT)
    assert trace.steps
    assert browser.text("#status").startswith(f"Step 1 of {len(trace.steps)} · line 1 in module")
    for key, place in (
        ("ArrowRight", 1),
        ("j", 2),
        ("ArrowRight", 3),
        ("ArrowLeft", 2),
        ("k", 1),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("PageDown", 1),
        ("PageUp", 0),
    ):
        browser.press(key)
        assert browser.text("#status").startswith(f"Step {place + 1} of"), key
        assert current(browser) == trace.steps[place].line
    browser.press("End")
    assert browser.text("#status").startswith("The end")
    browser.press("ArrowRight")
    assert browser.text("#status").startswith("The end")


def test_n_and_p_go_to_the_next_and_the_previous_time_a_line_runs(
    view: Callable[..., Trace], browser: Browser
) -> None:
    trace = view(COUNT)
    assert trace.steps
    visits = [number for number, step in enumerate(trace.steps, 1) if step.line == 3]
    browser.click(".listing .line:nth-child(3) code")
    browser.press("n", 2)
    assert browser.text("#status").startswith(f"Step {visits[2]} of")
    browser.press("p")
    assert browser.text("#status").startswith(f"Step {visits[1]} of")


def test_buttons_and_the_slider_move_too(view: Callable[..., Trace], browser: Browser) -> None:
    trace = view(COUNT)
    assert trace.steps
    browser.click("#forward")
    assert browser.text("#status").startswith("Step 2 of")
    browser.click("#back")
    assert browser.text("#status").startswith("Step 1 of")
    assert browser.run("document.querySelector('#back').ariaDisabled") == "true"
    browser.click("#slider")
    assert browser.run("Number(document.querySelector('#slider').value)") == pytest.approx(len(trace.steps) / 2, abs=1)
    browser.click("#last")
    assert browser.text("#status").startswith("The end")


def test_what_changed_is_marked(view: Callable[..., Trace], browser: Browser) -> None:
    trace = view(COUNT)
    assert trace.steps
    number = next(
        number
        for number, step in enumerate(trace.steps)
        if [value_text(change.value) for change in step.changes] == ["[0, 1]"]
    )
    browser.press("ArrowRight", number)
    assert browser.text(".changed").split() == ["items", "•", "changed", "[0,", "1]"]
    assert browser.text(".changed mark") == ", 1"
    assert browser.text(".line.current .aside span") == "items = [0, 1]"
    heads = browser.run("[...document.querySelectorAll('.card h3')].map((head) => head.innerText)")
    assert heads == ["grow call 1", "module at line 7"]


def test_going_forward_and_back_shows_the_same(view: Callable[..., Trace], browser: Browser) -> None:
    trace = view(
        "def f(n):\n    if n:\n        f(n - 1)\n    m = n\n    del n\n    return m\nx = 1\nf(3)\ndel x\ny = [x for "
        "x in range(3)]"
    )
    assert trace.steps
    shots: list[Any] = []
    look = "[document.querySelector('main').innerText, document.querySelector('#status').innerText]"
    for _ in trace.steps:
        shots.append(browser.run(look))
        browser.press("ArrowRight")
    for shot in reversed(shots):
        browser.press("ArrowLeft")
        assert browser.run(look) == shot


def test_every_step_shows_the_true_state(view: Callable[..., Trace], browser: Browser) -> None:
    trace = view(COUNT)
    state: dict[tuple[int, str], str] = {}
    for number, step in enumerate(trace.steps or ()):
        for change in step.changes:
            state[change.activation, change.name] = value_text(change.value)
        if number:
            browser.press("ArrowRight")
        inside = {0, step.activation}
        assert rows(browser) == {name: value for (activation, name), value in state.items() if activation in inside}
        assert browser.text("#printed").rstrip() == (trace.output[: step.output_chars].rstrip() or "nothing yet")


def test_the_exception_stands_at_its_line(view: Callable[..., Trace], browser: Browser) -> None:
    view(COUNT)
    assert not browser.run("document.querySelector('.raised')")
    browser.press("End")
    assert current(browser) == 9
    assert (
        browser.text(".line.raised")
        .replace("\n", " ")
        .endswith("print(squares[4]) IndexError: list index out of range")
    )
    assert rows(browser)["squares"] == "[0, 1, 4, 9]"


@pytest.mark.parametrize(
    ("program", "given", "told"),
    [
        ("def f(n):\n    return [n] * 2", CallInput("f", (3,)), "returned [3, 3]"),
        ("x = 1\nraise SystemExit(3)", "", "exit 3"),
        ("x = 1\nwhile True: x += 1", "", "time limit"),
        ("def f(n): pass", CallInput("f"), "TypeError: f() missing 1 required positional argument: 'n'"),
        ("x = 1", "", "finished"),
    ],
)
def test_the_end_is_told(view: Callable[..., Trace], browser: Browser, program: str, given: Any, told: str) -> None:
    view(program, given, "#end", cpu_s=0.3)
    assert browser.text("#status").endswith(told)


def test_predicted_values_stand_beside_true_ones(view: Callable[..., Trace], browser: Browser) -> None:
    targets = (Target(label="items", value=[0, 1, 4, 9], scope="grow"), Target(label="i", value=3, scope="grow"))
    task = AlignmentTask(
        task_id="t",
        kind="final_values",
        prompt="",
        program=COUNT,
        input=CallInput("f"),
        targets=targets,
        problem_id="p",
        rollout_id="r",
    )
    trace = view(COUNT, task=task, answer='{"items": [0, 1, 4, 9], "i": 4}')
    assert trace.steps
    assert browser.text("#answer h2").split() == [
        "The",
        "model’s",
        "answer",
        "1",
        "of",
        "2",
        "right",
        "·",
        "reward",
        "0.55",
    ]
    told = browser.run(
        "[...document.querySelectorAll('#answer tbody tr')].map((row) => [...row.cells].map((cell) => "
        "cell.innerText.split('\\n')[0]))"
    )
    bound = [
        max(n for n, step in enumerate(trace.steps, 1) if any(c.name == name for c in step.changes))
        for name in ("items", "i")
    ]
    assert [row[:3] for row in told] == [["items", "[0, 1, 4, 9]", "[0, 1, 4, 9]"], ["i", "3", "4"]]
    assert [row[3][0] for row in told] == ["✓", "✗"]
    browser.click("#answer tbody tr:nth-child(2) button")
    assert browser.text("#status").startswith(f"Step {bound[1]} of")


def test_hostile_text_stays_text(view: Callable[..., Trace], browser: Browser) -> None:
    program = f"# {HOSTILE!r}\nx = {HOSTILE!r}\nprint(x)\nraise ValueError(x)"
    view(program, HOSTILE, "#end", title=HOSTILE)
    assert browser.run("document.title").startswith("Trace of </script>")
    assert browser.run("document.images.length") == 0
    assert browser.run("document.scripts.length") == 2
    assert "</script><img" in browser.text(".line.raised")
    assert "</script><img" in browser.text("#printed")


def test_a_run_of_thousands_of_steps_touches_little_at_a_step(view: Callable[..., Trace], browser: Browser) -> None:
    trace = view(LONG)
    assert trace.steps
    assert len(trace.steps) == 5000
    assert trace.steps_cut == "steps"
    assert "Only the first 5\u202f000 steps" in browser.text("#about")
    touched = browser.run("""(async () => {
      let touched = 0;
      const count = (records) => {
        for (const one of records) touched += one.addedNodes.length + one.removedNodes.length + 1;
      };
      const observer = new MutationObserver(count);
      observer.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
      for (let i = 1; i <= 1000; i++) moveTo(i * 4);
      count(observer.takeRecords());
      return touched / 1000;
    })()""")
    assert touched < 100
    browser.press("End")
    browser.press("Home")
    assert browser.text("#status").startswith("Step 1 of")


def test_an_address_names_a_step(view: Callable[..., Trace], browser: Browser) -> None:
    view(COUNT, "", "#step-5")
    assert browser.text("#status").startswith("Step 5 of")
    browser.press("ArrowRight")
    assert browser.run("new Promise((done) => setTimeout(() => done(location.hash), 400))") == "#step-6"


def test_the_keyboard_alone_reaches_everything_and_sees_where_it_is(
    view: Callable[..., Trace], browser: Browser
) -> None:
    view(COUNT, "", "#step-5")
    seen = []
    for _ in range(12):
        browser.press("Tab")
        focus = "document.activeElement"
        if browser.run(f"{focus} === document.body"):
            break
        seen.append(browser.run(f"{focus}.id || {focus}.className"))
        assert browser.run(f"getComputedStyle({focus}).outlineStyle") == "solid", seen
        assert (
            browser.run(
                f"({focus}.ariaLabel || {focus}.innerText || "
                f"document.getElementById({focus}.getAttribute('aria-labelledby')).innerText).length"
            )
            > 0
        )
    assert seen[:7] == ["slider", "first", "back", "forward", "last", "keys", "listing"]
    assert {"variables", "printed"} <= set(seen)


def test_the_question_mark_lists_the_keys(view: Callable[..., Trace], browser: Browser) -> None:
    view(COUNT)
    browser.press("?")
    assert browser.run("document.querySelector('#help').open")
    browser.press("ArrowRight")
    assert browser.text("#status").startswith("Step 1 of")
    browser.press("Escape")
    assert not browser.run("document.querySelector('#help').open")


CONTRAST = """(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => channels(text).slice(0, 3).map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => { for (let at = node; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (channels(color).length === 3 || channels(color)[3] > 0) return color; } };
  const kinds = 'h1, h2, h3, small, #status, .badge, .line.ran .nr, ' +
    'code span, .aside span, td code, th code, mark, button';
  return [...document.querySelectorAll(kinds)]
    .filter((node) => node.innerText && node.ariaDisabled !== 'true').map((node) => {
      const [one, other] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
      return [(one + 0.05) / (other + 0.05), node.tagName + ' ' + node.className + ' ' + node.innerText];
    }).filter(([ratio]) => ratio < 4.5);
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("fragment", ["#step-9", "#end"])
def test_text_is_readable_in_light_and_dark(
    view: Callable[..., Trace], browser: Browser, dark: bool, fragment: str
) -> None:
    browser.size(1280, 800, dark=dark)
    view(COUNT, "", fragment)
    assert browser.run(CONTRAST) == []
    assert browser.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 23, 26)" if dark else "rgb(252, 252, 251)"
    )


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_cut_off_at_the_side(view: Callable[..., Trace], browser: Browser, width: int) -> None:
    browser.size(width, 844)
    view("value = " + json.dumps("long " * 60) + "\nshort = 1\nprint('word' * 200)", "x" * 300, "#end")
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_the_current_line_stays_in_sight_on_a_phone(view: Callable[..., Trace], browser: Browser) -> None:
    browser.size(390, 844)
    view("x = 0\n" * 200 + "y = 1")
    for key in ("End", "ArrowLeft", "PageUp", "Home"):
        browser.press(key)
        place = browser.run("""(() => { const box = document.querySelector('.listing').getBoundingClientRect();
          const current = document.querySelector('.listing [aria-current]');
          const line = (current || document.querySelector('.listing')).getBoundingClientRect();
          return [box.top <= line.top + 1, line.bottom <= box.bottom + 1 || line.height >= box.height]; })()""")
        assert place == [True, True], key
    browser.click("#forward")
    assert browser.text("#status").startswith("Step 2 of")
