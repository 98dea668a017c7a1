"""The documentation, and the schemas for editors, keep step with the code and the models."""

import json
import os
import re
import shlex
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path

import jsonschema
import pytest
import torch
from PIL import Image
from pydantic import Field
from snakemake.cli import parse_config

from lgd_core.config.__main__ import read_words
from lgd_core.config.catalogue import MODELS, read_run
from lgd_core.config.models.base import Config
from lgd_core.config.models.dataset import DatasetConfig
from lgd_core.config.new_dataset import new_dataset
from lgd_core.config.recipes import Recipes
from lgd_core.config.reference import editor_schema, reference, written_files
from lgd_core.config.schema import load_yaml
from lgd_core.diffusion.guidance import DenoisingStep

ROOT = Path(__file__).parents[2]
FOLDERS = (".", ".github", "benchmarks", "config", "config/paper", "docs", "lgd_core", "priors/*")
PAGES = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md"))


def path_in_project(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("path", written_files())
def test_what_is_written_out_of_the_models_is_in_step(path: str) -> None:
    written = (ROOT / path).read_text()
    assert written == written_files()[path], "run python -m lgd_core.config.reference"


def test_no_other_schema_lies_beside_those_for_editors() -> None:
    there = {f"config/schemas/{path.name}" for path in (ROOT / "config" / "schemas").iterdir()}
    assert there == written_files().keys() - {"docs/configuration.md"}


class Part(Config):
    """A part."""

    size: int | None = Field(None, ge=2, description="Its a|b.")
    kinds: list[str] = Field(max_length=3, description="Its kinds.")


class Toy(Config):
    """A toy."""

    part: Part


def test_the_reference_names_type_default_and_bounds() -> None:
    rows = reference({"toy": Toy}).splitlines()
    assert rows[rows.index("## toy") + 2] == "A toy."
    assert "| `part` | object |  |  | A part. |" in rows
    assert r"| `part.size` | integer or null | `null` | ≥ 2 | Its a\|b. |" in rows
    assert "| `part.kinds` | list of string | required | at most 3 items | Its kinds. |" in rows


RECIPES = sorted((ROOT / "config").rglob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_editors_find_nothing_wrong_with_what_ships(recipe: Path) -> None:
    first = recipe.read_text().splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)[1]
    folder = recipe.relative_to(ROOT / "config").parts[0]
    kind = folder.removesuffix("s") if folder.removesuffix("s") in MODELS else "config"
    path = ROOT / "config" / "schemas" / f"{kind}.schema.json"
    assert (recipe.parent / named).resolve() == path
    # To an editor all keys are text, as in JSON.
    value = json.loads(json.dumps(load_yaml(recipe)))
    jsonschema.validate(value, json.loads(path.read_text()))


def test_editors_see_what_is_wrong() -> None:
    schema = json.loads(editor_schema(DatasetConfig))
    jsonschema.Draft7Validator.check_schema(schema)
    found = load_yaml(ROOT / "config" / "datasets" / "digits.yaml")
    found |= {"evaluation": {"epochs": {"ten": 5}}}
    with pytest.raises(jsonschema.ValidationError, match="'ten' does not match"):
        jsonschema.validate(found, schema)


def test_editors_want_classes_of_a_data_set_that_extends_no_other() -> None:
    schema = json.loads(editor_schema(DatasetConfig))
    jsonschema.validate({"extends": "digits"}, schema)
    with pytest.raises(jsonschema.ValidationError, match="not valid under any"):
        jsonschema.validate({"description": "No classes."}, schema)


@pytest.mark.parametrize("page", PAGES, ids=path_in_project)
def test_links_and_named_functions_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for module, name, path in re.findall(r"\[`(\w+)\.(\w+)`\]\(([^)]+)\)", text):
        code = (page.parent / path).read_text()
        assert path.endswith(f"{module}.py")
        assert re.search(rf"^(def|class) {name}\b", code, re.MULTILINE), f"{module}.{name}"


def documented_words(page: Path) -> list[list[str]]:
    """Return what a page gives to --config, call by call."""
    calls = re.findall(r"--config ([^`\n]+)", page.read_text())
    return [
        list(takewhile(lambda word: "=" in word, shlex.split(call, comments=True)))
        for call in calls
        if not call.startswith("key=value")
    ]


@pytest.mark.parametrize("page", PAGES, ids=path_in_project)
def test_documented_values_of_the_command_line_are_accepted(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config", "priors"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "PATH").mkdir()
    monkeypatch.chdir(tmp_path)
    for words in documented_words(page):
        Recipes("config", read_run(["config/config.yaml"]), parse_config(words))


def test_pages_document_values_of_the_command_line() -> None:
    assert sum(len(documented_words(page)) for page in PAGES) >= 7


NEW_DATASET = "python -m lgd_core.config new-dataset"


def documented_new_datasets(page: Path) -> list[list[str]]:
    """Return the words of the commands on a page that propose a recipe."""
    calls = re.findall(rf"{re.escape(NEW_DATASET)} ([^`\n]+)", page.read_text())
    return [["new-dataset", *shlex.split(call)] for call in calls]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_recipes_are_proposed(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "PATH" / name).mkdir(parents=True)
        for shade in range(8):
            Image.linear_gradient("L").point(lambda value, top=shade: value // (top + 1)).save(
                tmp_path / "PATH" / name / f"{shade}.png"
            )
    for number, words in enumerate(documented_new_datasets(page)):
        shutil.copytree(ROOT / "config", tmp_path / str(number) / "config")
        (tmp_path / str(number) / "PATH").symlink_to(tmp_path / "PATH")
        monkeypatch.chdir(tmp_path / str(number))
        options = read_words(words)
        path = new_dataset(options.folder, options.name, options.size, lambda line: None)
        assert path == Path(f"config/datasets/{options.name or 'PATH'}.yaml")


def test_pages_document_how_recipes_are_proposed() -> None:
    assert sum(len(documented_new_datasets(page)) for page in PAGES) >= 3


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_every_picture_shown_is_made_by_make_pictures_or_bench() -> None:
    shown = {
        (page.parent / target).resolve().relative_to(ROOT)
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
    }
    said = subprocess.run(
        ["make", "-n", "--no-print-directory", "pictures", "bench"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (copied,) = re.findall(r"^cp (.+) docs/pictures/$", said, re.MULTILINE)
    names = [Path(path).name for path in copied.split()] + re.findall(
        r"results/(\w+\.png)$", said, re.MULTILINE
    )
    made = {Path("docs/pictures") / name for name in names}
    assert shown
    assert shown <= made
    assert {path.relative_to(ROOT) for path in (ROOT / "docs" / "pictures").iterdir()} == made


def test_the_page_s_guidance_does_what_it_says() -> None:
    text = (ROOT / "docs/extending.md").read_text().split("## A method of your own")[1]
    example, *_ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(example, names)
    kind = names["GUIDANCE"]
    noise, alpha_bar = torch.randn(2, 4, 8, 8), torch.tensor(0.4)
    unused = torch.zeros(2)
    step = DenoisingStep(noise, noise, noise, alpha_bar, unused, unused, unused, unused)
    change = kind.build(kind.settings(strength=0.5), None)(step)
    moved = -(1 - alpha_bar).sqrt() * change / alpha_bar.sqrt()
    assert change.shape == noise.shape
    assert (moved > 0).all(), "a lower noise is a higher x0"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("name", "expected"),
    [("", ["d_ipc20/samples/0_a.png", "d_ipc20/table.csv"]), ("mine", ["d_ipc20/mine/table.csv"])],
)
def test_make_report_takes_what_the_named_run_has_made(
    tmp_path: Path, name: str, expected: list[str]
) -> None:
    made = ["d_ipc20/table.csv", "d_ipc20/samples/0_a.png", "d_ipc20/mine/table.csv"]
    for path in (tmp_path / "results" / file for file in made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    words = ["make", "-n", "-o", "install", "report", f"NAME={name}", "RUN=--cores 1"]
    # Called by make itself, make would say which folder it enters.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    said = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=True, env=env
    ).stdout
    assert "--cores 1 --report results/report.html" in said
    assert sorted(said.split(" -- ")[1].split()) == [f"results/{file}" for file in expected]


def test_the_page_of_methods_has_every_recipe_with_its_five_parts():
    text = (ROOT / "docs/methods.md").read_text()
    recipes = {path.stem for path in (ROOT / "config/methods").glob("*.yaml")}
    assert recipes <= set(re.findall(r"`([a-z0-9_]+)`", text))
    parts = [" ".join(part.split()) for part in text.split("\n\n") if part.startswith("**`")]
    assert len(parts) >= 20
    for part in parts:
        named = [
            part.find(f"{word}: ") for word in ("Idea", "Equation", "Source", "Unknown", "Cost")
        ]
        assert -1 not in named, part
        assert named == sorted(named), part


def test_the_page_of_differences_has_the_values_that_recipes_have():
    text = (ROOT / "docs/differences.md").read_text()
    recipes = Recipes(ROOT / "config", {})
    for dataset in ("fashionmnist", "glyphs"):
        lgd, dit = (recipes.method(dataset, name) for name in ("lgd", "dit"))
        assert f"| 0.5 | the same; {lgd.learnability.reference_weight:g} on Fashion-MNIST," in text
        scales = f"{lgd.sampler.cfg_scale:g} for `lgd` and {dit.sampler.cfg_scale:g} for `dit` on"
        assert f"| 4 | the same; {scales} Fashion-MNIST," in text
