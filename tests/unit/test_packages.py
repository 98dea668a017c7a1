"""pyproject.toml, environment.yml and requirements.lock speak of the same packages."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        Requirement(r) for r in project["dependencies"] + project["optional-dependencies"]["dev"]
    ]


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [re.match(r"^([a-z0-9._-]+)==([^ ]+) \\$", line) for line in lines]
    return {pin[1]: pin[2] for pin in pins if pin}


def test_lock_satisfies_pyproject():
    pins = locked()
    for requirement in declared():
        assert requirement.name in pins, f"{requirement.name} is not locked"
        assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_environment_has_the_locked_versions_of_all_declared_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    pins = {r.name: next(iter(r.specifier)).version for r in map(Requirement, pip)}
    assert pins == {r.name: locked()[r.name] for r in declared()}


def test_torch_is_supported_from_2_11_on():
    torch = next(r for r in declared() if r.name == "torch")
    assert torch.specifier.contains("2.11.0")
    assert not torch.specifier.contains("2.10.0")


def test_lock_has_hashes_and_no_addresses():
    text = (ROOT / "requirements.lock").read_text()
    assert len(locked()) <= text.count("--hash=sha256:")
    assert "://" not in text
    assert "--index" not in text


def test_library_knows_nothing_of_snakemake():
    for path in (ROOT / "lgd_core").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M), path


def test_nothing_unpickles():
    folders = ("lgd_core", "workflow_scripts", "benchmarks")
    code = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for path in code:
        text = path.read_text()
        assert "allow_pickle=True" not in text, path
        assert "import pickle" not in text, path
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path


def test_test_files_have_names_of_their_own():
    """Test files are modules without a package, so two of a name cannot both be imported."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
