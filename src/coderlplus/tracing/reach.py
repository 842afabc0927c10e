"""Whether a program mentions what could falsify its trace: a look at its syntax tree. Standard library only; runs
inside the sandbox.

A second line of defence. The audit hook (see `monitor`) sees whoever reaches for a frame or a code object; it does not
see raw memory, and may not see what nobody has thought of yet. So a program that so much as mentions the means is not
traced: as a module that it imports, as a name or an attribute, or as a text that is such a name, for `getattr` and
`exec`. Ordinary programs mention none of it.
"""

from __future__ import annotations

import ast
from types import CodeType

_MODULES = frozenset(
    {
        "gc", "ctypes", "_ctypes", "_xxsubinterpreters", "_interpreters", "_xxinterpchannels", "_interpchannels",
        "interpreters", "linecache", "marshal", "bdb", "pdb", "trace", "tracemalloc", "faulthandler", "mmap", "_imp",
        "imp", "importlib", "pkgutil", "runpy", "zipimport", "_frozen_importlib", "_frozen_importlib_external",
        "_testcapi", "_testinternalcapi", "_posixsubprocess", "code", "cffi", "codeop", "dis", "opcode", "pyclbr",
        "modulefinder"
    }
)  # fmt: skip
_NAMES = frozenset(
    {
        "_getframe", "_current_frames", "_current_exceptions", "settrace", "setprofile", "settrace_all_threads",
        "setprofile_all_threads", "addaudithook", "audit", "call_tracing", "unraisablehook", "_getframemodulename",
        "register_callback", "use_tool_id", "create_builtin", "tb_frame", "gi_frame", "cr_frame", "ag_frame",
        "gi_code", "cr_code", "ag_code", "f_back", "f_locals", "f_globals", "f_code", "f_builtins", "__code__",
        "co_consts", "co_code", "CodeType", "FrameType", "TracebackType", "CellType", "FunctionType", "cell_contents",
        "__subclasses__", "__globals__", "__builtins__", "__loader__", "__spec__", "get_objects", "get_referrers",
        "get_referents", "FrameSummary", "StackSummary", "TracebackException", "walk_tb", "walk_stack",
        "capture_locals", "lazycache", "checkcache", "currentframe", "as_strided", "stride_tricks",
        "__array_interface__", "__array_struct__", "ctypeslib", "frombuffer", "set_wakeup_fd", "_wrap_awaitable"
    }
)  # fmt: skip
_WORDS = frozenset(
    {
        "code", "trace", "linecache", "interpreters", "gc", "imp", "dis", "pdb", "bdb", "mmap", "opcode", "runpy",
        "pkgutil"
    }
)  # fmt: skip
FORBIDDEN = _MODULES - _WORDS | _NAMES
"""Names that say enough by themselves, be it as attributes or in texts."""
_HINTS = FORBIDDEN | _MODULES
_KNOWN = {
    name: f"sys.{name}" for name in ("_getframe", "_current_frames", "settrace", "setprofile", "addaudithook", "audit")
}
_KNOWN |= {name: f"gc.{name}" for name in ("get_objects", "get_referrers", "get_referents")}


def reached(code: CodeType, source: str) -> str | None:
    """The first such thing that a program mentions, by its known name; `None` if there is none. `code` is that of the
    source text.

    >>> texts = "import sys; sys._getframe()", "import heapq; code = heapq"
    >>> [reached(compile(text, "", "exec"), text) for text in texts]
    ['sys._getframe', None]
    """
    if not _has(code, _HINTS):  # so much for nearly all programs, which saves a walk over the tree
        return None
    for node in ast.walk(ast.parse(source)):
        named = _mentioned(node)
        if named is not None:
            return _KNOWN.get(named, named)
    return None


def named_in(code: CodeType) -> bool:
    """Whether code that was made in the run, of which there is no source text, has such a name."""
    return _has(code, FORBIDDEN)


def _has(code: CodeType, names: frozenset[str]) -> bool:
    if not names.isdisjoint(code.co_names):
        return True
    if any("." in name and not names.isdisjoint(name.split(".")) for name in code.co_names):
        return True
    for constant in code.co_consts:
        kind = type(constant)
        if kind is str:
            if constant in names:
                return True
        elif kind is CodeType:
            if _has(constant, names):
                return True
        elif kind is tuple and any(type(item) is str and item in names for item in constant):
            return True
    return False


def _mentioned(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr if node.attr in FORBIDDEN else None
    if isinstance(node, ast.Name):
        return node.id if node.id in _NAMES and node.id.startswith("__") else None
    if isinstance(node, ast.keyword):
        return node.arg if node.arg in FORBIDDEN else None
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is str and node.value in FORBIDDEN else None
    if isinstance(node, ast.Call):
        function = (
            node.func.id
            if isinstance(node.func, ast.Name)
            else node.func.attr
            if isinstance(node.func, ast.Attribute)
            else ""
        )
        names = [
            value.value for value in node.args[:1] if isinstance(value, ast.Constant) and type(value.value) is str
        ]
        return next(
            (name for name in names if function in ("__import__", "import_module") and name.split(".")[0] in _MODULES),
            None,
        )
    if isinstance(node, ast.alias):
        return next((part for part in node.name.split(".") if part in _MODULES or part in FORBIDDEN), None)
    if isinstance(node, ast.ImportFrom):
        return next((part for part in (node.module or "").split(".") if part in _MODULES), None)
    return None
