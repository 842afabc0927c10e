"""What had another name in an earlier version. An old name is refused, with the new one in the message."""

from __future__ import annotations

from collections.abc import Iterable

from coderlplus.errors import ConfigError, nearest

KEYS = {
    "alignment.policy": "alignment.sampling",
    "alignment.warmup_steps": "alignment.start_step",
    "sandbox.max_wait_s": "sandbox.timeout_s",
    "starts": "initial_models",
    "arms.*.start": "arms.*.initial_model",
}
"""Old key of a configuration → its name now; `*` is the name of an arm."""
NAMES = {"AlignmentSettings": "AlignmentConfig"}
"""Old name in Python → its name now."""
OPTIONS = {"--cell": "--run"}
"""Old option of a command → its name now."""
FOLDERS = ("cells", "starts", "warm_start")
"""What the folder of a study or quick start had, and has no more."""


def new_key(key: str) -> str | None:
    """The name that a dotted key has now; `None` for one that was not renamed.

    >>> new_key("alignment.policy"), new_key("arms.grpo.start"), new_key("alignment.alpha")
    ('alignment.sampling', 'arms.grpo.initial_model', None)
    """
    parts = key.split(".")
    for old, new in KEYS.items():
        pattern = old.split(".")
        if len(pattern) == len(parts) and all(one in ("*", part) for one, part in zip(pattern, parts, strict=True)):
            return ".".join(part if one == "*" else one for one, part in zip(new.split("."), parts, strict=True))
    return None


def nearest_name(name: str, section: str, names: Iterable[str]) -> str | None:
    """The name among those of a section that was probably meant, also by its name of an earlier version.

    >>> nearest_name("polcy", "alignment", ["alpha", "kinds", "sampling"])
    'sampling'
    """
    inside = f"{section}." if section else ""
    old = {key.removeprefix(inside): new for key, new in KEYS.items() if key.rpartition(".")[0] == section}
    close = nearest(name, [*names, *old])
    return old[close].removeprefix(inside) if close in old else close


def refuse(key: str, where: str = "") -> None:
    """Raises `ConfigError` for a dotted key that has another name now; `where` says where it is written.

    >>> refuse("sandbox.max_wait_s", "run.yaml:7")
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: run.yaml:7: the setting 'sandbox.max_wait_s' is now 'sandbox.timeout_s'
    """
    new = new_key(key)
    if new is not None:
        raise ConfigError(f"{where + ': ' if where else ''}the setting {key!r} is now {new!r}")
