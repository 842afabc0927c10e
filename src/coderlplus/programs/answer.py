"""The part of a completion that is its answer: one turn of the assistant, without reasoning and marks of a chat
template."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

_LINE_END = re.compile(r"\r\n?")
_LEADING_BOM = re.compile(r"^\ufeff+", re.MULTILINE)
_CHANNELS = re.compile(r"<\|channel\|>(\w{1,20})[^<\n]{0,80}<\|message\|>|<\|(begin|end)_of_thought\|>")
_REASONING = re.compile(
    r"<(/?)(?:seed:)?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad)\b[^<>\n]{0,80}>"
    r"|\[(/?)THINK\]|◁(/?)think▷",
    re.IGNORECASE,
)
_NAMED = "start_of_turn|end_of_turn|eos|bos|pad|EOT"
_SPECIAL = re.compile(rf"<[|｜][^<>|｜\s]{{1,40}}[|｜]>|</?s>|<(?:{_NAMED})>|\[/?INST\]")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_JSON_CODE = re.compile(
    r'"(?:code|program|solution|answer|source|python|completion|content|input)"\s{0,9}:\s{0,9}("(?:[^"\\]|\\.)*+")',
    re.IGNORECASE | re.DOTALL,
)
_JSON_LINES = re.compile(r'"source"\s{0,9}:\s{0,9}\[((?:\s{0,99}+"(?:[^"\\]|\\.)*+"\s{0,9},?)++)\s{0,99}\]', re.DOTALL)
_CODE_TAG = re.compile(r"</?(?:pre|code|br)\b[^<>\n]{0,80}>", re.IGNORECASE)
_HTML = re.compile(
    rf"{_CODE_TAG.pattern}|&(?:lt|gt|amp|quot|apos|nbsp|#\d{{1,5}}|#x[0-9a-fA-F]{{1,5}});", re.IGNORECASE
)
_QUOTE_FENCE = re.compile(r"^(?:'{3,4}|\"{3,4})(?:python3?|py)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_QUOTE_FENCE_END = re.compile(r"^(?:'{3,4}|\"{3,4})[ \t]*$", re.MULTILINE)
_PROMPT = re.compile(r"^(?:>>>|\.\.\.)(?: |$)(.*)$", re.MULTILINE)
_INDENTED = re.compile(r"^(?:(?: {4}|\t)[^\n]*|[ \t]*)$", re.MULTILINE)
_ROLE = re.compile(r"\s*(?:assistant|model|user|system)[ \t]*(?:\n|\Z)", re.IGNORECASE)


def answers_of(completion: str) -> list[str]:
    """The texts that may be the answer of a completion, the likeliest first.

    The first is what stands before the first end-of-turn token: what comes after it is another turn. The second, where
    there is such a token, is the whole: a program may have one in a string. Line ends are `\\n` in both.
    """
    text = _LEADING_BOM.sub("", _LINE_END.sub("\n", completion))
    text = without_reasoning(_CHANNELS.sub(_channel, text))
    turn = _first_turn(text)
    return [text] if turn == text else [turn, text]


def other_readings(text: str) -> Iterator[str]:
    """What a text says where its code is written in another way: a JSON string (of a tool call or a notebook), HTML,
    fences of quotation marks, a session of the interpreter, a block indented as in Markdown."""
    if (lines := _JSON_LINES.search(text)) is not None:
        yield "".join(map(_unquoted, _JSON_STRING.findall(lines[1])))
    for found in list(_JSON_CODE.finditer(text))[-4:]:
        yield _unquoted(found[1])
    if _HTML.search(text):
        yield html.unescape(_CODE_TAG.sub("\n", text))
    if _QUOTE_FENCE.search(text):
        yield _QUOTE_FENCE_END.sub("```", _QUOTE_FENCE.sub("```python", text))
    session = _PROMPT.findall(text)
    if session:
        yield "\n".join(session)
    indented = _INDENTED.findall(text)
    if indented:
        yield "\n".join(line[4:] if line.startswith("    ") else line[1:] for line in indented)


def _unquoted(string: str) -> str:
    try:
        return str(json.loads(string, strict=False))
    except ValueError:
        return ""


def without_reasoning(text: str) -> str:
    """The text without `<think>…</think>` and the like, before or after the answer.

    An end without a beginning ends reasoning that began in the prompt; a beginning without an end, at the beginning of
    a line, begins reasoning that was cut. A tag with a quotation mark next to it is part of a program."""
    tags = [tag for tag in _REASONING.finditer(text) if not _is_quoted(text, tag)]
    if not tags:
        head, found, tail = text.rpartition("assistantfinal")  # gpt-oss where special tokens were left out
        return tail if found and head.lstrip().startswith("analysis") else text
    last_end = max((tag.start() for tag in tags if _is_end(tag)), default=-1)
    kept: list[str] = []
    position, is_open = 0, False
    for tag in tags:
        if _is_end(tag):
            if not is_open:
                kept.clear()
            position, is_open = tag.end(), False
        elif not is_open and (tag.start() < last_end or _begins_a_line(text, tag.start())):
            kept.append(text[position : tag.start()])
            is_open = True
    if not is_open:
        kept.append(text[position:])
    return "".join(kept)


def _channel(mark: re.Match[str]) -> str:
    """The channels of gpt-oss and the thoughts of Sky-T1 in the form of the others."""
    return "</think>" if mark[1] == "final" or mark[2] == "end" else "<think>"


def _is_end(tag: re.Match[str]) -> bool:
    return "/" in tag.groups()


def _is_quoted(text: str, tag: re.Match[str]) -> bool:
    return text[max(tag.start() - 1, 0) : tag.start()] in ("'", '"') or text[tag.end() : tag.end() + 1] in ("'", '"')


def _begins_a_line(text: str, position: int) -> bool:
    before = text[max(position - 200, 0) : position].rpartition("\n")[2]
    return not before.strip()


def _first_turn(text: str) -> str:
    position = 0
    for token in _SPECIAL.finditer(text):
        if _is_quoted(text, token):
            continue
        turn = text[position : token.start()]
        if turn.strip() and not _ROLE.fullmatch(turn):
            return _without_role(turn, position)
        position = token.end()
    return _without_role(text[position:], position)


def _without_role(turn: str, position: int) -> str:
    role = _ROLE.match(turn) if position else None
    return turn[role.end() :] if role else turn
