"""pyproject.toml, environment.yml and the files of locked versions speak of the same packages."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = ("requirements.lock", "requirements-docs.lock")


def declared(lock: str = "requirements.lock") -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    workflow = PROJECT["dependencies"] + extras["dev"]
    return [*map(Requirement, extras["docs"] if lock == "requirements-docs.lock" else workflow)]


def locked(lock: str = "requirements.lock") -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    pins = [re.match(r"^([a-z0-9._-]+)==([^ ]+) \\$", line) for line in lines]
    return {pin[1]: pin[2] for pin in pins if pin}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_satisfies_pyproject(lock):
    pins = locked(lock)
    for requirement in declared(lock):
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


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_hashes_and_no_addresses(lock):
    text = (ROOT / lock).read_text()
    assert 0 < len(locked(lock)) <= text.count("--hash=sha256:")
    assert "://" not in text
    assert "--index" not in text


def test_library_knows_nothing_of_snakemake():
    for path in (ROOT / "lgd_core").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M), path


def test_nothing_counts_parts_of_a_path_from_its_front():
    """In object storage files of results lie below other folders."""
    folders = ("lgd_core", "workflow_scripts")
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        assert not re.search(r"\.parts\[\d", path.read_text()), path


def test_nothing_unpickles():
    folders = ("lgd_core", "workflow_scripts", "benchmarks", "rules")
    code = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    forbidden = r"(import|from) +(pickle|cloudpickle|dill|joblib|shelve|marshal)\b|read_pickle"
    for path in (path for path in code if path.suffix in (".py", ".smk")):
        text = path.read_text()
        assert "allow_pickle=True" not in text, path
        assert not re.search(forbidden, text), path
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path


def test_test_files_have_names_of_their_own():
    """Test files are modules without a package, so two of a name cannot both be imported."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
