"""Values that are looked at again and again, as JSON text that is made anew only where they differ. Standard library
only; runs inside the sandbox.

A *note* says what was seen of a value, as far as the encoder's budget went: its class, and of its items the identity
of each atom and a note of each container. So it is known, without running the program's code, whether a value is still
the same, and which parts of its text are. A note keeps no container and no instance of a class alive. What the encoder
treats in a way of its own (cycles, slots, exceptions) has no note and is encoded each time.
"""

from __future__ import annotations

import json
import math
import types
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import repeat as _repeat
from operator import is_ as _is
from typing import Any

from coderlplus.sandbox import encoding
from coderlplus.tracing.monitor import encode_json
from coderlplus.tracing.recorder import VALUE_BUDGET, is_variable

# Taken here, where the program cannot patch them
_identity = object.__hash__
"""As `id`, which is an event for the audit hook."""
_quoted, _isfinite, _Namespace = json.encoder.encode_basestring_ascii, math.isfinite, types.SimpleNamespace
_int_text, _float_text = int.__repr__, float.__repr__
_None, _GetSet, _Member, _Thread = type(None), types.GetSetDescriptorType, types.MemberDescriptorType, encoding._Thread
_is_dict, _mro_of, _dict_of, _name_of = encoding._is_dict, encoding._mro_of, encoding._dict_of, encoding._name_of
_flags_of, _HEAP_TYPE, _OPAQUE = encoding._flags_of, encoding._HEAP_TYPE, encoding._OPAQUE
_MAX_DEPTH, _INT_BITS, _INT_64 = encoding.MAX_DEPTH, encoding._INT_BITS, 1 << 63
_MAX_NOTES = 100

Note = list[Any]
"""`[class, size, is flat, parts, text, cost, is whole, left, depth, texts, costs, looks]`. The parts are atoms and,
unless it is flat, notes; `None` of a value that was cut. It took `cost` of the budget; if it is whole, its text is the
same wherever so much is left, else where `left` was left. The looks are those of the class of an object, see
`_class_of`: they differ when it has been given another name. One that is not flat has one item more, see `_tail`."""


class Unlike(Exception):
    """No note can be made of a value."""


def memory_of(encode: Callable[[object], str]) -> Any:
    """What is known of values by their identity, and what of it is `sure`, for the program has not run since.
    `encode` is for what has no note."""
    return _Namespace(encode=encode, notes={}, sure={}, classes={}, sure_classes={})


def forget(memory: Any) -> None:
    """The program goes on, and may change values."""
    memory.sure.clear()
    memory.sure_classes.clear()


def is_atomic(kind: type) -> bool:
    """By identity: to look for a class in a set calls `__hash__` of its metaclass."""
    is_number = kind is int or kind is float or kind is bool or kind is complex
    return is_number or kind is str or kind is _None or kind is bytes


def text_of_atom(memory: Any, value: Any, kind: type) -> str:
    if kind is int and -_INT_64 < value < _INT_64:
        return _int_text(value)
    if kind is str and len(value) <= VALUE_BUDGET:
        return _quoted(value)
    text: str = memory.encode(value)
    return text


def text_of(memory: Any, value: Any, kind: type) -> str | None:
    """The text of a value that is no atom; `None` if a name with this value is no variable."""
    place = _identity(value)
    text: str | None = memory.sure.get(place)
    if text is not None:
        return text
    if not _is_container(kind) and not is_variable(value):
        return None
    notes = memory.notes
    note = notes.get(place)
    if note is not _UNLIKE:
        try:
            if note is None or not _is_same(memory, value, note):
                note = _described(memory, value, VALUE_BUDGET, 0, [], note)
        except (Unlike, RuntimeError):  # changed by another thread while it was read
            note = _UNLIKE
        if len(notes) >= _MAX_NOTES:
            notes.clear()
        notes[place] = note
    memory.sure[place] = text = memory.encode(value) if note is _UNLIKE else note[4]
    return text


_UNLIKE = object()


def _is_container(kind: type) -> bool:
    return kind is list or kind is tuple or kind is set or kind is deque or kind is frozenset or _is_dict(kind)


def _is_same(memory: Any, value: Any, note: Note) -> bool:
    """Whether the value is surely what the note was made of."""
    kind, size, is_flat, parts = note[:4]
    if type(value) is not kind or (note[11] is not None and note[11] is not _class_of(memory, kind)):
        return False
    if parts is None:
        return bool(_size_of(memory, value, kind) == size)
    items = value if kind is list or kind is tuple else _items_of(memory, value, kind)
    if len(items) != size:
        return False
    if is_flat:
        return all(map(_is, items, parts))
    start, size = note[12]
    if start < len(items):
        for item in items[start:]:
            if type(item) is not list or len(item) != size:
                return False
        items, parts = items[:start], parts[:start]
    for item, part in zip(items, parts, strict=True):
        if item is part:
            continue
        if type(part) is not list:
            return False
        if part[0] is list and (part[2] or part[3] is None):  # most are lists of atoms, as in a grid
            if type(item) is not list or len(item) != part[1] or (part[2] and not all(map(_is, item, part[3]))):
                return False
        elif not _is_same(memory, item, part):
            return False
    return True


def _size_of(memory: Any, value: Any, kind: type) -> int:
    if _is_dict(kind):
        return dict.__len__(value)
    return len(value) if kind is str or _is_container(kind) else len(_items_of(memory, value, kind)) // 2


def _items_of(memory: Any, value: Any, kind: type) -> Any:
    """Sized and in order: of a mapping first the keys, of an object the names of its attributes."""
    if _is_dict(kind):
        return (*dict.keys(value), *dict.values(value))
    if _is_container(kind):
        return value
    own = _class_of(memory, kind).own
    if own is None:
        return ()
    fields = own(value)
    if type(fields) is not dict:
        raise Unlike
    return (*fields.keys(), *fields.values())


def _described(memory: Any, value: Any, left: int, depth: int, above: list[Any], old: Any) -> Note:
    """A note of a container or an object, as the encoder would encode it there; `above` are the containers around.
    Texts of `old`, an earlier note, are used again where they are the same. Raises `Unlike`."""
    kind = type(value)
    if any(map(_is, above, _repeat(value))):
        raise Unlike
    is_object = not _is_container(kind)
    is_mapping = is_object or _is_dict(kind)
    looks = _class_of(memory, kind) if is_object else None
    name = _name_of(kind) if looks is None else looks.name
    if looks is not None and looks.is_opaque:
        text = encode_json({"$object": name, "fields": {}})
        return [kind, 0, True, (), text, 0, True, left, depth, (), (), looks]
    length = _size_of(memory, value, kind)
    cost = length + is_object
    if depth >= _MAX_DEPTH or cost > left:
        text = encode_json({"$cut": name if is_object else f"{name} of {length}"})
        return [kind, length, False, None, text, 0, False, left, depth, (), (), looks]
    items = tuple(_items_of(memory, value, kind))
    keys = items[:length] if is_mapping else ()
    has_names = is_mapping and all(type(key) is str and (is_object or key[:1] != "$") for key in keys)
    if is_object and not (has_names and all(key[:2] != "__" for key in keys)):
        raise Unlike
    flat = (
        None
        if is_object
        else _longer(items, kind, left - cost, old) or _flat(items, keys, kind, has_names, left - cost)
    )
    if flat is not None:
        return [kind, len(items), True, items, flat[0], cost + flat[1], True, left, depth, (), (), None]
    above.append(value)
    parts, texts, costs, is_whole = _parts(
        memory, items, length if is_mapping else 0, is_object, has_names, left - cost, depth + 1, above, old
    )
    above.pop()
    if is_mapping and has_names:
        fields = dict(zip(texts, texts[length:]))  # noqa: B905  # names that were cut may be the same
        text = "{" + ",".join([f"{key}:{item}" for key, item in fields.items()]) + "}"
        text = f'{{"$object":{_quoted(name)},"fields":{text}}}' if is_object else text
    elif is_mapping:
        pairs = ",".join([f"[{key},{item}]" for key, item in zip(texts, texts[length:])])  # noqa: B905
        text = f'{{"$dict":[{pairs}]}}'
    elif kind is list:
        text = "[" + ",".join(texts) + "]"
    elif kind is tuple or kind is deque:
        text = f'{{"${name}":[' + ",".join(texts) + "]}"
    else:
        if not (is_whole and all(type(item) is tuple for item in parts)):
            raise Unlike
        text = f'{{"${name}":[' + ",".join(sorted(texts)) + "]}"
    is_flat = not any(type(part) is list for part in parts)
    cost += sum(costs)
    return [
        kind,
        len(items),
        is_flat,
        parts,
        text,
        cost,
        is_whole,
        left,
        depth,
        texts,
        costs,
        looks,
        _tail(kind, parts),
    ]


def _tail(kind: type, parts: list[Any]) -> tuple[int, int]:
    """Where the parts of a list begin that are lists of one size, all cut, as most rows of a large table are; and the
    size."""
    start = len(parts)
    size = parts[-1][1] if kind is list and parts and type(parts[-1]) is list else 0
    while start and type(parts[start - 1]) is list and kind is list:
        part = parts[start - 1]
        if part[0] is not list or part[3] is not None or part[1] != size:
            break
        start -= 1
    return start, size


def _flat(items: Any, keys: Any, kind: type, has_names: bool, left: int) -> tuple[str, int] | None:
    """Text and cost of what holds atoms of one kind, which JSON writes as the encoder does; `None` for anything
    else."""
    own = items[len(keys) :]
    cost = _cost_of_all(own, left)
    of_keys = sum(map(len, keys)) if has_names else _cost_of_all(keys, left)
    if cost is None or of_keys is None or cost + of_keys > left:
        return None
    if has_names:
        return encode_json(dict(zip(keys, own, strict=True))), cost + of_keys
    if keys:
        return '{"$dict":' + encode_json([*zip(keys, own, strict=True)]) + "}", cost + of_keys
    if kind is list:
        return encode_json(own), cost
    if kind is tuple or kind is deque:
        return f'{{"${_name_of(kind)}":{encode_json(own)}}}', cost
    if own and type(own[0]) is not int and type(own[0]) is not str:
        return None
    texts = sorted(map(_int_text if own and type(own[0]) is int else _quoted, own))
    return f'{{"${_name_of(kind)}":[' + ",".join(texts) + "]}", cost


def _longer(items: Any, kind: type, left: int, old: Any) -> tuple[str, int] | None:
    """As `_flat`, of a list that begins with the atoms of an earlier note; `None` if it does not."""
    if kind is not list or type(old) is not list or old[0] is not list or not (old[2] and old[6]) or not old[1]:
        return None
    size, cost = old[1], old[5] - old[1]
    if size >= len(items) or not all(map(_is, items, old[3])):
        return None
    more = _flat(items[size:], (), list, False, left - cost)
    return None if more is None else (f"{old[4][:-1]},{more[0][1:]}", cost + more[1])


def _cost_of_all(items: Any, left: int) -> int | None:
    """What of the budget atoms take that are of one kind and fit; `None` for anything else."""
    kind = type(items[0]) if items else _None
    if not all(map(_is, map(type, items), _repeat(kind))):
        return None
    if kind is int:
        return 0 if min(items) > -_INT_64 and max(items) < _INT_64 else None
    if kind is str:
        cost = sum(map(len, items))
        return cost if cost <= left else None
    if kind is float:
        return 0 if all(map(_isfinite, items)) else None
    return 0 if kind is bool or kind is _None else None


def _parts(
    memory: Any,
    items: tuple[Any, ...],
    keys: int,
    is_object: bool,
    has_names: bool,
    left: int,
    depth: int,
    above: list[Any],
    old: Any,
) -> tuple[list[Any], list[str], list[int], bool]:
    """Parts, texts and costs of items, the first `keys` of which are the keys of the others, and whether all are
    whole."""
    parts, texts, costs = [*items], [""] * len(items), [0] * len(items)
    is_whole = True
    old_parts, old_texts, old_costs = (old[3], old[9], old[10]) if type(old) is list and old[9] else ((), (), ())
    shift = len(old_parts) // 2 - keys if keys else 0
    order: Any = range(len(items))
    if keys:  # the encoder takes each key and its item in turn
        order = [place for key in range(keys) for place in (key, key + keys)]
    for place in order:
        item = items[place]
        kind = type(item)
        cost = 0
        if kind is int:
            if not -_INT_64 < item < _INT_64:
                cost = item.bit_length() // 4
            if cost > left:
                is_whole, cost, text = False, 0, '{"$cut":"int"}'
            elif cost * 4 > _INT_BITS - 4:
                raise Unlike
            else:
                text = _int_text(item)
        elif kind is str:
            if is_object and place < keys:
                text = _quoted(item)
            elif len(item) <= left:
                text, cost = _quoted(item), len(item)
            elif has_names and place < keys:
                is_whole, text = False, _quoted(item[:8] + "…")
            else:
                is_whole, text = False, encode_json({"$cut": f"str of {len(item)}"})
                parts[place] = [str, len(item), False, None, text, 0, False, left, depth, (), (), None]
        elif kind is float:
            text = _float_text(item) if _isfinite(item) else f'{{"$float":"{_float_text(item)}"}}'
        elif kind is bool:
            text = "true" if item else "false"
        elif kind is _None:
            text = "null"
        else:
            old_place = place + shift if place >= keys else place
            part = old_parts[old_place] if old_place < len(old_parts) else None
            if part is item and old_costs[old_place] <= left:
                text, cost = old_texts[old_place], old_costs[old_place]
            else:
                if not (
                    type(part) is list
                    and part[8] == depth
                    and (part[7] == left or (part[6] and part[5] <= left))
                    and _is_same(memory, item, part)
                ):
                    part = _described(memory, item, left, depth, above, part)
                text, cost, is_whole = part[4], part[5], is_whole and part[6]
                parts[place] = item if kind is tuple and part[2] and part[6] else part
        left -= cost
        texts[place], costs[place] = text, cost
    return parts, texts, costs, is_whole


def _class_of(memory: Any, kind: type) -> Any:
    """How instances of a class are encoded: `name`, whether without their attributes (`is_opaque`), and `own`, which
    gives the dict of their attributes if they have one. Raises `Unlike`."""
    place = _identity(kind)
    found = memory.sure_classes.get(place)
    if found is None:
        facts = _facts_of(kind)
        found = memory.classes.get(place)
        if found is None or len(found.facts) != len(facts) or not all(map(_is, found.facts, facts)):
            found = memory.classes[place] = _looks_of(kind, facts)
        memory.sure_classes[place] = found
    return found


def _facts_of(kind: type) -> tuple[Any, ...]:
    """All that the encoder looks at in a class, by identity."""
    facts = [kind, _mro_of(kind), _name_of(kind)]
    for base in _mro_of(kind):
        if _flags_of(base) & _HEAP_TYPE:
            own = _dict_of(base)
            facts += [*own.keys(), *map(type, own.values())]
    return tuple(facts)


def _looks_of(kind: type, facts: tuple[Any, ...]) -> Any:
    bases = _mro_of(kind)
    is_opaque = id(kind) in _OPAQUE or any(map(_is, bases, _repeat(type)))
    dicts = []
    for base in bases:
        if is_opaque:
            break
        if any(map(_is, _PECULIAR, _repeat(base))):
            raise Unlike
        for key, member in encoding.items_of(_dict_of(base)):
            if type(member) is _Member and _flags_of(base) & _HEAP_TYPE:
                raise Unlike
            if type(key) is str and key == "__dict__" and type(member) is _GetSet:
                dicts.append(member.__get__)
    if len(dicts) > 1:
        raise Unlike
    return _Namespace(
        facts=facts, name=str.__str__(_name_of(kind)), is_opaque=is_opaque, own=dicts[0] if dicts else None
    )


_PECULIAR = (tuple, BaseException, _Thread, complex, range, bytes, bytearray, Decimal, Fraction)
"""Classes whose instances, or those of subclasses, are not encoded by the dict of their attributes alone."""
