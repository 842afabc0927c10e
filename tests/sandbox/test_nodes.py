"""LeetCode's nodes travel by their values; what their values do not say is cut, never guessed."""

from __future__ import annotations

from collections import namedtuple
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.sandbox.nodes import ListNode, TreeNode, are_shared, build
from coderlplus.sandbox.values import decode, encode, equal, is_plain, to_source

Point = namedtuple("Point", "x y")


class Level(IntEnum):
    HIGH = 3


@st.composite
def trees(draw: st.DrawFn) -> Any:
    """A random tree: each new node takes a free place."""
    places: list[tuple[TreeNode, str]] = []
    root = TreeNode(draw(st.integers()))
    places += [(root, "left"), (root, "right")]
    for value in draw(st.lists(st.integers(), max_size=12)):
        node, side = places.pop(draw(st.integers(0, len(places) - 1)))
        child = TreeNode(value)
        setattr(node, side, child)
        places += [(child, "left"), (child, "right")]
    return root


def shape(node: Any) -> Any:
    return node and (node.val, shape(node.left), shape(node.right))


@given(trees())
def test_trees_round_trip(root: TreeNode) -> None:
    assert shape(decode(encode(root, by_value=True))) == shape(root)


@given(st.lists(st.integers() | st.text(), min_size=1, max_size=300))
def test_linked_lists_round_trip(items: list[Any]) -> None:
    node = decode({"$list_node": items})
    assert encode(node, by_value=True) == {"$list_node": items}


def test_trees_are_written_as_leetcode_writes_them() -> None:
    root = TreeNode(1, None, TreeNode(2, TreeNode(3)))
    assert encode(root, by_value=True) == {"$tree_node": [1, None, 2, 3]}
    assert to_source(encode([root], by_value=True)) == "[tree_node([1, None, 2, 3])]"


def test_equality_is_by_values_with_tolerance() -> None:
    assert equal({"$tree_node": [1.0, 2]}, {"$tree_node": [1, 2, None, None]})
    assert equal({"$list_node": [0.1 + 0.2]}, {"$list_node": [0.3]}, float_tolerance=1e-9)
    assert equal({"$list_node": []}, None)
    assert not equal({"$list_node": [1]}, [1])
    assert not equal({"$list_node": [1]}, {"$tree_node": [1]})


def test_what_values_do_not_say_is_cut() -> None:
    ring = ListNode(1)
    ring.next = ring
    loop = TreeNode(1)
    loop.left = loop
    odd = ListNode(1, TreeNode(2))
    assert [is_plain(encode(value, by_value=True)) for value in (ring, loop, odd, TreeNode(None))] == [False] * 4


def test_shared_nodes_are_found() -> None:
    tail = ListNode(3)
    assert are_shared([ListNode(1, tail), {"b": [ListNode(2, tail)]}])
    assert not are_shared([ListNode(1, ListNode(3)), ListNode(1, ListNode(3))])


def test_nodes_are_made_of_the_classes_given() -> None:
    class Mine:
        def __init__(self, x: int) -> None:
            self.val = x

    node = decode({"$list_node": [1, 2]}, {"ListNode": Mine})
    assert (type(node), type(node.next), node.next.next) == (Mine, Mine, None)
    assert build("TreeNode", [], TreeNode) is None


@pytest.mark.parametrize(
    ("value", "tagged"),
    [
        (Point(1, [2]), {"$tuple": [1, [2]]}),
        (Level.HIGH, 3),
        (type("Text", (str,), {})("a"), "a"),
        (type("Bag", (dict,), {})(a=1), {"a": 1}),
    ],
)
def test_instances_of_subclasses_of_plain_types_are_plain_by_value(value: object, tagged: object) -> None:
    assert encode(value, by_value=True) == tagged
    assert "$object" in str(encode(value))


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    values = [numpy.int64(3), numpy.float32(0.5), numpy.float64(0.25), numpy.bool_(True), numpy.array([1])]
    encoded = encode(values, by_value=True)
    assert encoded[:4] == [3, 0.5, 0.25, True]
    assert [type(item) for item in encoded[:4]] == [int, float, float, bool]
    assert not is_plain(encoded[4])


def test_objects_of_other_classes_become_what_the_caller_makes_of_them() -> None:
    tagged = [{"$object": "P", "fields": {"x": {"$tuple": [1]}}}]
    assert decode(tagged, {"$object": lambda name, fields: (name, fields)}) == [("P", {"x": (1,)})]
