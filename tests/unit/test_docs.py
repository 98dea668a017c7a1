"""The documentation keeps step with the code and the schemas."""

import re
import shlex
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest
import torch
from snakemake.cli import parse_config

from lgd_core.config.catalogue import read_run
from lgd_core.config.recipes import Recipes
from lgd_core.config.reference import reference
from lgd_core.diffusion import guidance
from lgd_core.diffusion.guidance import Denoising

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "config" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_configuration_reference_is_that_of_the_schemas() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == reference(ROOT / "config" / "schemas"), (
        "run python -m lgd_core.config.reference docs/configuration.md"
    )


def test_the_reference_names_type_default_and_bounds(tmp_path: Path) -> None:
    (tmp_path / "toy.schema.yaml").write_text(
        "description: A toy.\n"
        "type: object\n"
        "properties:\n"
        "  part:\n"
        "    type: object\n"
        "    description: A part.\n"
        "    properties:\n"
        "      size: {type: [integer, 'null'], description: Its a|b., minimum: 2, default: null}\n"
        "      kinds: {type: array, items: {type: string}, maxItems: 3, description: Its kinds.}\n"
        "    required: [kinds]\n"
    )
    rows = reference(tmp_path).splitlines()
    assert "| `part` | object |  |  | A part. |" in rows
    assert r"| `part.size` | integer or null | `null` | ≥ 2 | Its a\|b. |" in rows
    assert "| `part.kinds` | list of string | required | at most 3 items | Its kinds. |" in rows


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_functions_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_every_picture_shown_is_made_by_make_pictures() -> None:
    shown = {
        (page.parent / target).resolve().relative_to(ROOT)
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
    }
    said = subprocess.run(
        ["make", "-n", "pictures"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (copied,) = re.findall(r"^cp (.+) (docs/pictures/)$", said, re.MULTILINE)
    made = {Path(copied[1]) / Path(path).name for path in copied[0].split()}
    assert shown
    assert shown <= made
    assert {path.relative_to(ROOT) for path in (ROOT / "docs" / "pictures").iterdir()} == made


def test_the_readme_s_guidance_does_what_it_says() -> None:
    example, *_ = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names = vars(guidance).copy()
    exec(example, names)
    noise, alpha_bar = torch.randn(2, 4, 8, 8), torch.tensor(0.4)
    unused = torch.zeros(2)
    step = Denoising(noise, noise, noise, alpha_bar, unused, unused, unused, unused)
    change = names["brightness"](0.5)(step)
    moved = -(1 - alpha_bar).sqrt() * change / alpha_bar.sqrt()
    assert change.shape == noise.shape
    assert (moved > 0).all(), "a lower noise is a higher x0"
