"""Commands about recipes: ``python -m lgd_core.config new-dataset FOLDER``."""

import argparse
import sys
from collections.abc import Sequence

from lgd_core.base.errors import UserError
from lgd_core.config.new_dataset import new_dataset


def read_words(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what a command line says, by default that of the process."""
    parser = argparse.ArgumentParser(prog="lgd_core.config")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "new-dataset", help="write the recipe of a data set from a folder of images"
    )
    command.add_argument("folder", help="class folders, or train/ and test/ or val/ with them")
    command.add_argument("--name", help="name of the data set; the folder's if left out")
    command.add_argument("--size", type=int, help="side of images in pixels")
    return parser.parse_args(words)


def main() -> None:
    """Do what the command line asks for; a UserError ends it with one line and status 1."""
    options = read_words()
    try:
        new_dataset(options.folder, options.name, options.size, print)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
