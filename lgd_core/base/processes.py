"""Processes by host and number: whose file it is, and whether that process still runs."""

import contextlib
import os
import re
import socket
from pathlib import Path

# Of a living process about which the system says no more.
UNKNOWN = 0
# Link to the namespace of process numbers, and its target outside of all containers.
NAMESPACE, OUTSIDE = Path("/proc/self/ns/pid"), "pid:[4026531836]"


def host() -> str:
    """Return a name, without dots, of the place where a process number means one process.

    It is the host's name. A container that counts its own processes is another place, so that the
    number of its namespace follows.
    """
    name = socket.gethostname().replace(".", "-")
    with contextlib.suppress(OSError):  # no /proc
        namespace = str(NAMESPACE.readlink())
        if namespace != OUTSIDE:
            return name + re.sub(r"\D+", "-", namespace).rstrip("-")
    return name


def started(process: int) -> int | None:
    """Return when a process of this host started, in ticks since the boot; None if it has ended.

    Numbers are used again, but not with the same start. UNKNOWN where the system does not say.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    with contextlib.suppress(OSError):  # no /proc, or closed to others
        facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ended = facts[0] in "ZX"  # nobody has asked for its exit status yet
        return None if ended else int(facts[19])
    return UNKNOWN


def temporary_beside(path: Path) -> Path:
    """Return a path in the same folder that no other process on any host writes to."""
    return path.with_name(f".{path.name}.{host()}.{os.getpid()}")
