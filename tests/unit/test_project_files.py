"""What surrounds the code: citation, list of changes, GitHub's files, hooks, the site."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

ROOT = Path(__file__).parents[2]
GITHUB = sorted((ROOT / ".github").rglob("*.yml"))
WORKFLOWS = [path for path in GITHUB if path.parent.name == "workflows"]
# What runners have, besides make and a shell.
PROGRAMS = {"if", "exit", "git", "gh"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def load(path: Path) -> dict:
    """Read YAML with all values as text, so that `on` is a word and names of functions are, too."""
    return yaml.load(path.read_text(), yaml.BaseLoader)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps(path: Path) -> list[dict]:
    """Return the steps of all jobs of a workflow, or those of an action."""
    found = load(path)
    parts = found.get("jobs", {"": found.get("runs", {})}).values()
    return [step for part in parts for step in part.get("steps", [])]


def commands(path: Path) -> list[list[str]]:
    """Return the commands that a workflow gives to the shell, as words."""
    text = "\n".join(step.get("run", "") for step in steps(path))
    text = re.sub(r"\$\([^()]*\)", "", text)
    return [shlex.split(part) for part in re.split(r"\n|; (?:then |fi)?", text) if part.strip()]


def test_there_are_workflows_and_templates():
    assert {path.stem for path in WORKFLOWS} == {"ci", "lock", "release"}
    assert len(GITHUB) > len(WORKFLOWS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_what_there_is(path):
    assert {"name", "on", "permissions", "jobs"} <= load(path).keys()
    assert all("timeout-minutes" in job for job in load(path)["jobs"].values())
    called = commands(path)
    assert any(words[0] == "make" for words in called)
    for words in called:
        if words[0] == "make":
            assert {word for word in words[1:] if re.fullmatch("[a-z-]+", word)} <= targets(), words
        else:
            assert words[0] in PROGRAMS, words


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.stem)
def test_actions_are_here_or_have_a_version(path):
    for step in steps(path):
        used = step.get("uses", "actions/none@v1")
        if used.startswith("./"):
            assert (ROOT / used / "action.yml").is_file(), used
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", used), used


def test_contributors_are_told_of_targets_that_exist():
    named = re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    assert {"lint", "unit", "tiny", "docs", "lock", "notes", "test"} <= set(named) <= targets()


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").iterdir()), ids=lambda path: path.stem
)
def test_forms_have_what_github_wants(path):
    form = load(path)
    assert form["name"]
    assert form["description"]
    for part in form["body"]:
        assert part["type"] in ("markdown", "textarea")
        assert part["attributes"].get("label" if "id" in part else "value"), path


def test_citation_is_of_this_version_and_names_the_paper():
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= CITATION.keys()
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    assert [one["name"] for one in CITATION["authors"]] == [a["name"] for a in PROJECT["authors"]]
    assert "independent implementation" in CITATION["abstract"]
    (paper,) = CITATION["references"]
    assert {"type", "title", "authors", "year"} <= paper.keys()
    assert {one["value"] for one in paper["identifiers"]} == {"arXiv:2604.00519"}
    assert all(one.keys() == {"family-names", "given-names"} for one in paper["authors"])


def test_authors_are_those_of_the_licence():
    licence = (ROOT / "LICENSE").read_text()
    assert all(author["name"] in licence for author in PROJECT["authors"])


def test_releases_in_the_list_of_changes_are_dated_and_the_newest_is_this_version():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    found = [re.fullmatch(r"\[([\d.]+)\] - \d{4}-\d\d-\d\d", title) for title in headings[1:]]
    assert all(found), headings
    versions = [Version(match[1]) for match in found]
    assert versions == sorted(versions, reverse=True)
    assert not versions or versions[0] == Version(PROJECT["version"])


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_notes_prints_the_section_of_a_version_alone(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    sections = [
        "## [Unreleased]\n\n- Newer.\n",
        "## [0.2.0] - 2026-12-31\n\n- New.\n",
        "## [0.2]\n",
    ]
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n" + "\n".join(sections))
    words = ["make", "--silent", "--no-print-directory", "notes"]
    done = subprocess.run([*words, "VERSION=0.2.0"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, sections[1].strip())
    assert subprocess.run([*words, "VERSION=0.3.0"], cwd=tmp_path, capture_output=True).returncode


def test_hooks_are_the_tools_of_make_lint_or_have_a_version():
    hooks = load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    linted = (ROOT / "Makefile").read_text()
    assert {hook["id"] for hook in hooks} >= {"ruff", "ruff-format", "snakefmt", "codespell"}
    for hook in hooks:
        program = hook["entry"].split()[0]
        if hook["language"] == "system":
            assert f"$(BIN)/{program.removeprefix('.venv/bin/')} " in linted
        else:
            assert all("==" in package for package in hook["additional_dependencies"])


def test_the_catalogue_says_what_rules_and_profile_say():
    usage = load(ROOT / ".snakemake-workflow-catalog.yml")["usage"]
    flags = shlex.split(usage["mandatory-flags"]["flags"])
    profile = load(ROOT / "profiles/default/config.yaml")
    triggers = ["--rerun-triggers", *profile["rerun-triggers"]]
    assert flags == ["--resources", *profile["resources"], *triggers]
    deployment = usage["software-stack-deployment"]
    rules = [path.read_text() for path in (ROOT / "rules").glob("*.smk")]
    assert deployment["conda"] == str(any("conda:" in text for text in rules)).lower()
    assert deployment["apptainer"] == str(any("container:" in text for text in rules)).lower()


# ---- The site ----


def site():
    """The module that makes pages of files outside docs/."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages_of(part: object) -> list[str]:
    """Return the pages of a part of the site's navigation."""
    if isinstance(part, str):
        return [part]
    parts = part.values() if isinstance(part, dict) else part
    return [page for inner in parts for page in pages_of(inner)]


def test_the_site_lists_every_page_once():
    listed = pages_of(load(ROOT / "mkdocs.yml")["nav"])
    made = [*site().PAGES.values(), *(f"reference/{name}.md" for name in site().PACKAGES)]
    written = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert sorted(listed) == sorted(made + written)
    assert all((ROOT / source).is_file() for source in site().PAGES)


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("README.md", "![A](docs/pictures/a.png)", "![A](pictures/a.png)"),
        ("README.md", "`docs/method.md`, Norms", "[`docs/method.md`](method.md), Norms"),
        ("README.md", "[a](docs/method.md#norms)", "[a](method.md#norms)"),
        ("README.md", "[cite](CITATION.cff)", "cite"),
        ("README.md", "[a](https://example.org/a.md)", "[a](https://example.org/a.md)"),
        ("docs/results.md", "`config/README.md`", "[`config/README.md`](recipes.md)"),
        ("docs/results.md", "![A](pictures/a.png)", "![A](pictures/a.png)"),
        ("docs/results.md", "`model/README.md`", "`model/README.md`"),
        ("config/README.md", "[all](../README.md)", "[all](index.md)"),
        (
            "docs/method.md",
            "[`seeding.image_generator`](../lgd_core/base/seeding.py)",
            "[`seeding.image_generator`][lgd_core.base.seeding.image_generator]",
        ),
        ("docs/method.md", "[x](../lgd_core/base/web.py)", "[x][lgd_core.base.web]"),
    ],
)
def test_links_of_files_hold_on_the_site(source, text, expected):
    assert site().relink(text, source) == expected


def test_a_notebook_is_a_page_of_its_text_and_code():
    text = site().text_of(ROOT / "examples/first_steps.ipynb")
    assert text.startswith("# First steps\n")
    assert "\n\n## Train a student\n" in text
    assert text.count("\n\n```python\n") == text.count("\n```\n\n") + text.endswith("\n```") > 5


def test_an_older_python_is_refused_before_anything_is_installed(tmp_path):
    old = tmp_path / "python"
    program = (
        f'exec {shlex.quote(sys.executable)} -c "import sys; sys.version_info = (3, 9, 0)\n$2"'
    )
    old.write_text(f"#!/bin/sh\n{program}\n")
    old.chmod(0o755)
    words = ["make", "--what-if=requirements.lock", "install", f"PYTHON={old}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"error: {old}: found Python 3.9, expected 3.11 or later" in done.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/running.md"])
def test_the_environment_is_activated_before_the_first_command_that_needs_it(page):
    text = (ROOT / page).read_text()
    first = re.search(r"^(snakemake|python) |`(snakemake|python) ", text, re.MULTILINE)
    assert "source .venv/bin/activate" in text[: first.start()]


def test_an_image_has_the_name_that_the_profile_and_the_pages_give_it():
    words = ["make", "--dry-run", "image", "BUILDER=docker"]
    printed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    name = f"lgd:{PROJECT['version']}"
    assert f"docker build --tag {name} --file Containerfile ." in printed
    for page in ("profiles/kubernetes/config.yaml", "docs/cluster.md"):
        assert name in (ROOT / page).read_text()


def test_without_a_builder_no_image_is_tried():
    done = subprocess.run(["make", "image", "BUILDER="], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: found none of podman, buildah, docker" in done.stderr
