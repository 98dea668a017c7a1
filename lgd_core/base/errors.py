"""The errors that a person can act on."""

LONGEST = 400


class UserError(ValueError):
    """Wrong input: one line that names the file or key, what was found and what was expected.

    What was found may be anything: the line is made printable, and where it is too long its middle
    goes, since the key stands at its beginning and what was expected at its end.
    """

    def __init__(self, message: str) -> None:
        line = "".join(c if c.isprintable() else " " for c in message)
        half = LONGEST // 2 - 3
        super().__init__(line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}")


class BrokenFileError(UserError):
    """A file whose contents cannot be used; one that cannot even be read is not among them."""


class MissingFolderError(UserError):
    """Images that a run asks for are not there at all, as on a disk that is not mounted."""
