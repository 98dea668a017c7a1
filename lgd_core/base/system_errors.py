"""What the operating system says behind an error, and calls that are repeated when it loses a file.

A server of NFS forgets a file that another host has replaced, and answers "stale file handle" to
whoever still has it open. The same call finds the new file a moment later.
"""

import errno
import os
import re
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Seconds before a call is repeated.
PAUSES = (0.1, 0.5, 2.0)
# How safetensors and torch say the number of an error.
NUMBER = re.compile(r"\(os error (\d+)\)|Error code (\d+) \(")


# What to do about errors of the operating system before the next call.
REMEDIES = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room within the quota",
    errno.EROFS: "make its file system writable",
    errno.EACCES: "give permission",
    errno.EMFILE: "allow more open files by `ulimit -n`",
    errno.ENOMEM: "run fewer jobs at once",
}


def remedy(error: OSError) -> str:
    """Return in words what to do about an error: run again, after what would otherwise recur."""
    first = REMEDIES.get(error.errno or 0)
    return f"{first}, then run again" if first else "run again"


def system_error(error: BaseException) -> OSError | None:
    """Return the numbered error of the operating system that another error passes on, or None."""
    if isinstance(error, MemoryError):
        return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    passed_on = [error, error.__cause__]
    if isinstance(error, RuntimeError):  # torch raises it while it handles the other
        passed_on.append(error.__context__)
    for each in passed_on:
        if isinstance(each, OSError) and each.errno is not None:
            return each
    said = NUMBER.search(str(error))
    if said is None:
        return None
    number = int(said[1] or said[2])
    return OSError(number, os.strerror(number))


def patient(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return a function that is called again, after a pause, while a file's handle is stale.

    It must be one that can be repeated. The last error is raised.
    """

    @wraps(function)
    def repeated(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        for pause in PAUSES:
            try:
                return function(*arguments, **named)
            except Exception as error:
                system = system_error(error)
                if system is None or system.errno != errno.ESTALE:
                    raise
            time.sleep(pause)
        return function(*arguments, **named)

    return repeated
