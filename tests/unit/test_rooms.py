"""The walls between the packages of the library: see lgd_core/README.md."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# From top to bottom: a package imports itself and those below it.
ROOMS = (
    "figures",
    "analysis",
    "evaluation",
    "distill",
    "diffusion",
    "networks",
    "exchange",
    "data",
    "config",
    "base",
)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "lgd_core").rglob("*.py")
}


def imported_by(module: str) -> set[str]:
    """Return the names that a module imports anywhere in it, modules of the library as such."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part if part in MODULES else node.module for part in parts}
    return found


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_module_is_in_a_room():
    assert {room_of(module) for module in MODULES} - {""} == set(ROOMS)
    folders = [path for path in (ROOT / "lgd_core").iterdir() if path.name != "__pycache__"]
    assert {path.name for path in folders} == {*ROOMS, "README.md", "__init__.py"}


def test_imports_point_down():
    for module in MODULES:
        for other in imported_by(module) & MODULES.keys():
            if room_of(other):
                allowed = ROOMS[ROOMS.index(room_of(module)) :]
                assert room_of(other) in allowed, f"{module} imports {other}"


def test_no_module_imports_itself_by_way_of_others():
    graph = {module: imported_by(module) & MODULES.keys() for module in MODULES}
    assert list(TopologicalSorter(graph).static_order()), "raises CycleError"


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("matplotlib", {"figures"}),
        ("diffusers", {"diffusion"}),
        ("snakemake", set()),
        ("jsonschema", {"config"}),
        ("datasets", {"exchange"}),
        ("pyarrow", {"exchange"}),
        ("webdataset", {"exchange"}),
        ("huggingface_hub", {"data", "exchange"}),
        ("pydantic", {"config", "data", "distill"}),
    ],
)
def test_libraries_stay_in_their_rooms(library, rooms):
    users = {
        room_of(module)
        for module in MODULES
        if any(name.split(".")[0] == library for name in imported_by(module))
    }
    assert users == rooms


def test_configuration_needs_neither_pytorch_nor_pandas():
    modules = [module for module in MODULES if room_of(module) == "config"]
    code = (
        f"import sys, {', '.join(modules)}; "
        "sys.exit(str({'torch', 'pandas', 'matplotlib', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.strip() == "set()"


def test_the_readme_says_what_every_room_is_for_in_their_order():
    lines = (ROOT / "lgd_core" / "README.md").read_text().splitlines()
    named = [line.split("`")[1].rstrip("/") for line in lines if line.startswith("| `")]
    assert tuple(named) == ROOMS
