"""A user's own class folders."""

from lgd_core.config.data_kinds import Folder
from lgd_core.config.models.source import SourceKeys
from lgd_core.data.trees import TreeKind


class OwnFolder(TreeKind[SourceKeys]):
    """Any images; every file is checked for changes before a run."""

    description = "class folders under train/ and test/ or val/"
    keys = SourceKeys
    folder = Folder(
        meaning="required",
        expected="class folders under train/ and test/ or val/",
        required=True,
        by_variable=True,
    )
    tests = ("test", "val")
    of_wnids = False


KIND = OwnFolder()
