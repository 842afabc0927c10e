"""What is kept comes back as it was put last, or not at all."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coderlplus.judge.kept import Kept, key

VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=30), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
STEPS = st.lists(st.tuples(st.integers(0, 50), st.booleans(), VALUES), max_size=100)


@given(STEPS, st.sampled_from([0, 1_000, 1 << 20]))
def test_a_value_comes_back_as_it_was_put_last(steps: list[tuple[int, bool, Any]], max_bytes: int) -> None:
    kept, put = Kept(max_bytes, read=lambda value: ("read", value)), dict[int, Any]()
    for name, is_put, value in steps:
        if is_put:
            kept.put(key(name), value)
            put[name] = value
        found = kept.get(key(name))
        assert found == (("read", put[name]),) if found else max_bytes < 1 << 20 or name not in put
        assert kept.size <= max_bytes
