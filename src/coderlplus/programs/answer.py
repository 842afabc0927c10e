"""The part of a completion that is its answer: one turn of the assistant, without reasoning and marks of a chat
template."""

from __future__ import annotations

import re

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
