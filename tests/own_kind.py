"""A kind of data set of one's own, with the module and the recipe that docs/extending.md gives."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
MODULE = "lgd_core/data/kinds/stripes.py"
RECIPE = "config/datasets/stripes.yaml"


def add_kind(folder: Path) -> None:
    """Write module and recipe into a copy of the library and the recipes."""
    text = (ROOT / "docs" / "extending.md").read_text()
    section = text.split("## A kind of data set\n")[1].split("\n## ")[0]
    module, keys = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)
    (folder / MODULE).write_text(module)
    recipe = yaml.safe_load((folder / "config/datasets/digits.yaml").read_text())
    (folder / RECIPE).write_text(yaml.safe_dump(recipe | yaml.safe_load(keys)))
