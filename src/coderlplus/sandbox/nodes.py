"""LeetCode's two classes as data: a linked list is the list of its values, a binary tree the list of its values level
by level.

As LeetCode writes trees, `None` stands for a child that is not there, children of absent nodes are left out, and so
are trailing `None`. Standard library only: this file also runs inside the sandbox.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_name_of = type.__dict__["__name__"].__get__
_MAX_SHARED = 10_000
"""Nodes of a tree that may be reached a second time; a cycle has more."""


class ListNode:
    def __init__(self, val: Any = 0, next: Any = None) -> None:
        self.val = val
        self.next = next


class TreeNode:
    def __init__(self, val: Any = 0, left: Any = None, right: Any = None) -> None:
        self.val = val
        self.left = left
        self.right = right


CLASSES: dict[str, Any] = {"ListNode": ListNode, "TreeNode": TreeNode}
FIELDS = {"ListNode": ("val", "next"), "TreeNode": ("val", "left", "right")}
TAGS = {"ListNode": "$list_node", "TreeNode": "$tree_node"}


def values_of(name: str, root: Any, fields_of: Callable[[Any], Mapping[str, Any]], limit: int) -> list[Any] | None:
    """The values of a list (`name` is `"ListNode"`) or a tree that begins with `root`; `None` if it has a cycle,
    something else among its nodes, a tree node whose value is `None`, or more than `limit` nodes. `fields_of` gives
    the attributes of an object."""
    children = FIELDS[name][1:]
    found: list[Any] = []
    queue, seen, shared = deque([root]), set(), 0
    while queue:
        node = queue.popleft()
        if node is None:
            if name == "TreeNode":
                found.append(None)
            continue
        shared += id(node) in seen
        seen.add(id(node))
        fields = fields_of(node) if str.__str__(_name_of(type(node))) == name else {}
        is_bad = "val" not in fields or (name == "TreeNode" and fields["val"] is None)
        if is_bad or len(found) >= limit or shared > (_MAX_SHARED if name == "TreeNode" else 0):
            return None
        found.append(fields["val"])
        queue.extend(fields.get(child) for child in children)
    while found and name == "TreeNode" and found[-1] is None:
        found.pop()
    return found


def build(name: str, values: Sequence[Any], node_class: Any) -> Any:
    """The first node of the list or tree that has these values, of `node_class`; `None` for no values."""
    if not values:
        return None
    if name == "ListNode":
        following = None
        for value in reversed(values):
            node = node_class(value)
            node.next = following
            following = node
        return following
    rest = iter(values)
    root = _tree_node(next(rest), node_class)
    queue = deque([root])
    while queue:
        node = queue.popleft()
        for side in ("left", "right"):
            value = next(rest, None)
            if value is not None:
                child = _tree_node(value, node_class)
                setattr(node, side, child)
                queue.append(child)
    return root


def _tree_node(value: Any, node_class: Any) -> Any:
    node = node_class(value)
    node.left = node.right = None
    return node


def are_shared(values: Sequence[Any]) -> bool:
    """Whether a node is reached twice from these values, so that a copy of each by its values would not be the
    same."""
    seen: set[int] = set()
    for node in _nodes(list(values)):
        if id(node) in seen:
            return True
        seen.add(id(node))
    return False


def _nodes(stack: list[Any]) -> Iterator[Any]:
    """All nodes in values: in containers, and behind other nodes."""
    while stack:
        value = stack.pop()
        if isinstance(value, list | tuple):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif type(value).__name__ in FIELDS:
            yield value
            stack.extend(getattr(value, name, None) for name in FIELDS[type(value).__name__])
