"""A kind of data set of one's own, with the module and the recipe that docs/extending.md gives."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULE = "lgd_core/data/kinds/stripes.py"
RECIPE = "config/datasets/stripes.yaml"


def add_kind(folder: Path) -> None:
    """Write module and recipe into a copy of the library and the recipes."""
    text = (ROOT / "docs" / "extending.md").read_text()
    section = text.split("## A kind of data set\n")[1].split("\n## ")[0]
    module, recipe = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)
    (folder / MODULE).write_text(module)
    (folder / RECIPE).write_text(recipe)
