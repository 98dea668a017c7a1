"""A new kind of data set, added to the product with the text that docs/extending.md gives."""

import shutil
from pathlib import Path

import pytest
from conftest import Project, new_project
from own_kind import MODULE, RECIPE, ROOT, add_kind

ARRAYS = "results/stripes/data/prepared.json"
OURS = ("--config", "datasets=[stripes]")


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Project:
    """A project with a copy of the library, and the additions to both, prepared."""
    project = new_project(tmp_path_factory.mktemp("kind") / "project")
    shutil.copytree(ROOT / "lgd_core", project.folder / "lgd_core")
    add_kind(project.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(project.folder))
        project.make("--", "results/digits/data/source.json")
        project.make(*OURS, "--", ARRAYS)
    return project


@pytest.fixture(autouse=True)
def own_library(extended, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(extended.folder))


def planned(project: Project, old: str, new: str) -> set[str]:
    """Return the rules that an edit of the recipe repeats; the edit is undone."""
    project.replace(RECIPE, old, new)
    jobs = project.planned(*OURS, "--", ARRAYS)
    project.replace(RECIPE, new, old)
    return {rule for rule, *_ in jobs}


def test_its_images_are_prepared_and_its_keys_repeat_what_they_decide(extended):
    assert Path(extended.folder / "results/stripes/data/train_images.npy").is_file()
    assert planned(extended, "per_class: 40", "per_class: 41") == {"prepare_dataset"}
    assert not planned(extended, "per_class: 40", "per_class: 40, min_distance: 0.5")


def test_keys_of_a_new_kind_repeat_nothing_of_other_data_sets(extended):
    away = {name: extended.folder / Path(name).name for name in (MODULE, RECIPE)}
    for name, place in away.items():
        (extended.folder / name).rename(place)
    nothing = extended.make("-n", "--", "results/digits/data/source.json")
    for name, place in away.items():
        place.rename(extended.folder / name)
    assert "Nothing to be done" in nothing


def test_a_mistyped_key_is_one_line(extended):
    extended.replace(RECIPE, "per_class", "per_clas")
    done = extended.run("-n", *OURS, "--", ARRAYS)
    extended.replace(RECIPE, "per_clas", "per_class")
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        f"error: {RECIPE}: source.per_clas: unknown key, did you mean 'per_class'?"
    ]
