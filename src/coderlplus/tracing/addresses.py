"""Memory addresses, which no trace shows: they say nothing of a program and are others on every run."""

from __future__ import annotations

import re
from typing import Any

_IN_TEXT = re.compile(
    r"(?<= at )0x[0-9a-f]{6,16}\b"  # the default `repr` of objects: <A object at 0x7f...>
    r"|0x[0-9a-f]{6,16}(?=>)"
    r"|\b0x(?:7[0-9a-f]|5[56])[0-9a-f]{10}\b",  # hex(id(...))
    re.IGNORECASE,
)
_LIKELY = ((0x5500_0000_0000, 0x56FF_FFFF_FFFF), (0x7000_0000_0000, 0x7FFF_FFFF_FFFF))
"""Where Linux puts a process's heap and mappings."""


def without_addresses(text: str) -> str:
    """The text with dots for the digits of addresses; as long as before.

    >>> without_addresses("<A object at 0x7f3c1a2b3c40>")
    '<A object at 0x............>'
    """
    return _IN_TEXT.sub(lambda found: "0x" + "." * (len(found[0]) - 2), text) if "0x" in text.lower() else text


def without_addresses_among_numbers(tagged: Any) -> Any:
    """A tagged value of a run that chance plays a part in, with a cut for each number that may be an address.

    >>> without_addresses_among_numbers({"a": [1, 139637976727552]})
    {'a': [1, {'$cut': 'address'}]}
    """
    if type(tagged) is int:
        return {"$cut": "address"} if any(low <= tagged <= high for low, high in _LIKELY) else tagged
    if isinstance(tagged, list):
        return [without_addresses_among_numbers(item) for item in tagged]
    if isinstance(tagged, dict):
        return {key: without_addresses_among_numbers(item) for key, item in tagged.items()}
    return tagged
