"""The notebook of examples/ runs from end to end, on the sets of a finished run."""

import re
import shutil

import nbformat
import pytest
from conftest import copy_of
from miniature import ROOT
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = ROOT / "examples" / "first_steps.ipynb"


def written() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_cells_are_short_and_have_no_outputs():
    for cell in code(written()):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= 30


@pytest.fixture(scope="module")
def executed(finished, tmp_path_factory) -> NotebookNode:
    """Return the notebook as it is after running, in a copy of the finished project."""
    project = copy_of(finished, tmp_path_factory.mktemp("first_steps") / "project")
    for name in ("examples/first_steps.ipynb", "tests/workflow/tiny.yaml"):
        (project.folder / name).parent.mkdir(parents=True)
        shutil.copy2(ROOT / name, project.folder / name)
    notebook, place = written(), {"metadata": {"path": str(project.folder / "examples")}}
    NotebookClient(notebook, timeout=1800, resources=place).execute()
    return notebook


def printed(notebook: NotebookNode, wanted: str) -> list[float]:
    """Return the numbers in what a cell has printed that has a word in its code."""
    (cell,) = (cell for cell in code(notebook) if wanted in cell.source)
    text = "".join(
        output.get("text", "") for output in cell.outputs if output.get("name") == "stdout"
    )
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]


def test_the_notebook_shows_sets_students_and_what_guidance_does(executed):
    outputs = [output for cell in code(executed) for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3
    assert "Nothing to be done" in outputs[0].text
    accuracy = next(o for o in outputs if "top1" in o.get("data", {}).get("text/plain", ""))
    top1 = float(re.search(r"'top1': ([\d.]+)", accuracy.data["text/plain"])[1])
    assert top1 > 30, "chance is 10 %"
    brighter, _ = printed(executed, "brighter =")
    assert brighter > 20
    plain, guided = printed(executed, "S_guided =")
    assert guided > plain
