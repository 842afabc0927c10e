"""Text → the bytes that a program reads. Standard library only: this file also runs inside the sandbox."""

from __future__ import annotations


def as_bytes(text: str) -> bytes:
    """The text in UTF-8, whatever is in it: a byte that was no UTF-8 as that byte (`surrogateescape`), another half
    of a surrogate pair as its three bytes, which is how programs that write such text without checking do it.

    >>> as_bytes("a\\udcff"), as_bytes("a\\ud83d")
    (b'a\\xff', b'a\\xed\\xa0\\xbd')
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"".join(
            one.encode("utf-8", "surrogateescape" if "\udc80" <= one <= "\udcff" else "surrogatepass") for one in text
        )
