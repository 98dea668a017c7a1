"""Errors that the user can fix."""

LONGEST = 400


class UserError(ValueError):
    """Wrong input: one line that names the file or key, what was found and what was expected.

    What was found may be anything, so unprintable characters are replaced. In a line that is too
    long the middle is cut: the key is at the beginning, and what was expected at the end.
    """

    def __init__(self, message: str) -> None:
        line = "".join(c if c.isprintable() else " " for c in message)
        half = LONGEST // 2 - 3
        super().__init__(line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}")


class BrokenFileError(UserError):
    """A file that can be read, but whose contents cannot be used."""


class TransientError(UserError):
    """Another attempt may succeed: on another host, or when another job has ended."""


class MissingFolderError(TransientError):
    """The folder of images that a run needs does not exist, for example on an unmounted disk."""
