"""The errors that a person can act on."""


class UserError(ValueError):
    """Wrong input: one line that names the file or key, what was found and what was expected."""


class BrokenFileError(UserError):
    """A file whose contents cannot be used; one that cannot even be read is not among them."""


class MissingFolderError(UserError):
    """Images that a run asks for are not there at all, as on a disk that is not mounted."""
