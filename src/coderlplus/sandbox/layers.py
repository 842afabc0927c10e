"""The layers of isolation. Standard library only.

    rlimits        CPU time, address space (on top of what is mapped already), size of any file written, open
                   files, no core dumps; what counts per user (pending signals, locked memory, message queues) next
                   to nothing
    no_new_privs   set-uid programs give nothing
    death_signal   the child dies with the zygote
    capabilities   root's privileges are given up (an ordinary user has none)
    landlock       of the file system only the standard library, installed packages and shared libraries can be
                   read, nothing but `/dev/null` written; no signals and no abstract sockets to the outside where the
                   kernel knows how
    seccomp        the allow-list of `syscalls.py`

None of these needs a privilege or a user namespace, so they hold for root, for an ordinary user and in an unprivileged
container alike.

    namespaces     processes, network, System V IPC and a file tree of its own for the fork server, an extra
                   where it works (see `namespaces.py`)
"""

from __future__ import annotations

LAYERS = ("rlimits", "no_new_privs", "death_signal", "capabilities", "landlock", "seccomp")
"""The base, which every supported machine offers."""
EXTRA_LAYERS = ("namespaces",)
"""Taken where they are to be had; an error where they are not only if they were asked for by name."""
