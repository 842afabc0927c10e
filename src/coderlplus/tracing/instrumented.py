"""An instrumented program: its scopes, and the slots in its code for the recorder's objects. Standard library only;
runs inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Literal

FILENAME = "<program>"
MODULE = "<module>"

# Names of the slots
LAST = "last"
CALLS = "calls"
COUNT = "count"
CLOSE = "close"
SET_LAST = "set_last"
RECORD = "record"
RECORD_WALRUS = "record_walrus"
START = "start"
END = "end"
NUMBER = "number"
LEND = "lend"
OWNER = "owner"
HELD = "held"
SINK = "sink"
TOO_DEEP = "too_deep"
STEP = "step"
TURN = "turn"
OVER = "over"
ENTER = "enter"
LEAVE = "leave"


def wanted(index: int) -> str:
    """The slot of the set of activations of scope `index` (`final`), or of counts of variable `index` (`binding`),
    that are to be recorded."""
    return f"wanted {index}"


@dataclass
class Scope:
    """A module, class body or function. A *key* is the number of a variable, the same for all its bindings."""

    index: int
    """Place in the list of scopes, which is that of the source text."""
    qualname: str
    kind: Literal["module", "class", "function"]
    parent: Scope | None = None
    node: ast.AST | None = None
    class_name: str | None = None
    """The innermost class around, after which private names are mangled."""
    variables: dict[str, int] = field(default_factory=dict)
    """Name → key of what the scope owns."""
    rebound: set[str] = field(default_factory=set)
    """Names bound otherwise than as a parameter."""
    constant_parameters: list[int] = field(default_factory=list)
    """Keys of the parameters that nothing else binds: each activation binds them once, so they need no note."""
    borrowed: dict[str, tuple[int, Scope, int]] = field(default_factory=dict)
    """Nonlocal name → a key for the bindings made here, the owner, and the owner's key."""
    lent: set[str] = field(default_factory=set)
    """Variables that functions inside bind, or mention."""
    lenders: dict[int, str] = field(default_factory=dict)
    """Index of a function around → a variable of its that is bound here."""
    globals: frozenset[str] = frozenset()
    nonlocals: frozenset[str] = frozenset()
    token: str = field(init=False)
    """The local variable that holds the number of the activation."""

    def __post_init__(self) -> None:
        self.token = f"${self.index}"


def owner_token(scope: Scope, owner: int) -> str:
    """The local variable that holds the number of the activation of scope `owner`, around, that owns what a function
    borrows."""
    return f"${scope.index}_{owner}"


def mangled(scope: Scope, name: str) -> str:
    """The name under which the scope's namespace holds the variable: private names of a class are mangled."""
    if scope.class_name and name.startswith("__") and not name.endswith("__"):
        return f"_{scope.class_name.lstrip('_')}{name}"
    return name


@dataclass(frozen=True)
class Instrumented:
    """A program ready to run once its slots are `filled`."""

    code: CodeType
    slots: dict[str, float]
    """Slot name → the constant in `code` that stands for it."""
    scopes: list[Scope]
    """The first is the module."""
    keys: int
    """Keys are 1 to this number."""
    suspends: bool
    """Whether there may be generators or coroutines."""
    hides: bool = True
    """Whether numbers of activations are in local variables; else the recorder knows them by their frames."""


def filled(program: Instrumented, objects: Mapping[str, Any]) -> CodeType:
    """The code with its slots replaced by `objects` (by slot name).

    A slot is a NaN of its own: equal to no constant of the program, not to be folded with others, and found again by
    identity.
    """
    filled_code: CodeType = _replaced(program.code, {id(slot): objects[name] for name, slot in program.slots.items()})
    return filled_code


def _replaced(constant: Any, by_identity: Mapping[int, Any]) -> Any:
    if isinstance(constant, CodeType):
        return constant.replace(co_consts=tuple([_replaced(each, by_identity) for each in constant.co_consts]))
    return by_identity.get(id(constant), constant) if type(constant) is float else constant
