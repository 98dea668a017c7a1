"""Projects whose results several tests use, and what they are asked for."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from projects import ForkedProject as Project
from projects import kill, made_once, put_product, start, wait_for
from sklearn.datasets import load_digits

__all__ = ["Project", "kill", "start", "wait_for"]

TARGETS = [
    f"results/digits_ipc20/{name}"
    for name in ("table.csv", "redundancy.png", "curve.png", "samples.png")
]
ANALYSES = [
    f"results/digits_ipc20/{name}.png"
    for name in (
        "complementarity",
        "dynamics",
        "difficulty",
        "in_distribution",
        "guidance",
        "samples/3_three",
    )
]
# Made beside the targets; apart from them, since a page depends on everything.
PAGES = tuple(f"results/digits_ipc20/{name}.html" for name in ("table", "gallery"))
# A set of our own, and one that another program has written.
EXTERNAL = (
    "--config",
    "external={own: results/digits/lgd/s0/k1/distilled, mine: {folder: mine, increment: 2}}",
)
DIAGNOSES = ("results/external/own/diagnosis.csv", "results/external/mine/duplicates.csv")
# A workflow that has the product as a module.
SNAKEFILE = """
configfile: "settings.yaml"


module lgd:
    snakefile: "../project/Snakefile"
    config: config["distilling"]


use rule * from lgd as lgd_*


rule best:
    input: "results/digits_ipc20/table.csv"
    output: "results/best.txt"
    shell: "head -n 2 {input} > {output}"
"""


def new_project(folder: Path) -> Project:
    """Copy the product and the tiny configuration into an empty folder."""
    return Project(put_product(folder))


def copy_of(project: Project, folder: Path) -> Project:
    """Copy a project with its results and Snakemake's records of them."""
    return project.copy(folder)


@pytest.fixture
def fresh(tmp_path) -> Project:
    """A project in which nothing has been made."""
    return new_project(tmp_path / "project")


@pytest.fixture
def importing(tmp_path) -> Project:
    """A workflow that imports the product, in a folder beside it; nothing made yet."""
    product, ours = new_project(tmp_path / "project"), tmp_path / "ours"
    ours.mkdir()
    keys = yaml.safe_load((product.folder / "tiny.yaml").read_text())
    (ours / "settings.yaml").write_text(yaml.safe_dump({"samples": 3, "distilling": keys}))
    (ours / "Snakefile").write_text(SNAKEFILE)
    return Project(ours, ("--cores", "1", "--rerun-triggers", "mtime", "params", "input"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A project in which everything has been made, undisturbed; not to be changed."""

    def make(folder: Path) -> None:
        new_project(folder).make("--", *TARGETS, *ANALYSES, *PAGES)

    return Project(made_once(tmp_path_factory, "finished", make))


def write_digits(root: Path) -> None:
    """Write a folder as another program would: four digits a class, 20 x 16, one of them twice."""
    digits = load_digits()
    for label in range(10):
        (root / str(label)).mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.target == label][:4]):
            large = Image.fromarray(np.uint8(image * 15)).resize((20, 16))
            large.save(root / str(label) / f"{number}.png")
    with Image.open(root / "7" / "0.png") as image:
        image.point(lambda value: value * 0.9 + 10).save(root / "7" / "3.png")


@pytest.fixture(scope="session")
def diagnosed(finished, tmp_path_factory) -> Project:
    """A copy of the finished project with two folders diagnosed; not to be changed."""
    project = copy_of(finished, tmp_path_factory.mktemp("diagnosed") / "project")
    write_digits(project.folder / "mine")
    project.make(*EXTERNAL, "--", *DIAGNOSES)
    return project


@pytest.fixture
def copied(finished, tmp_path) -> Project:
    """A copy of the finished project, to be changed."""
    return copy_of(finished, tmp_path / "project")
