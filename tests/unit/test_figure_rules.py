"""A figure is a rule, a module of its name and a caption; it imports no more than it needs."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lgd_core.base.files import write_json
from lgd_core.figures.making import FigureJob, maker

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "rules" / "figures.smk").read_text()
FIGURES = re.findall(r"^use rule figure as (\w+) with:$", RULES, re.M)
# Drawn from JSON: these need neither tensors nor models; two read models, the others tensors too.
PLAIN = {"complementarity", "curve", "dynamics", "redundancy_heatmap"}
OF_MODELS = {"ablation", "cost", "scores"}


def test_every_rule_has_a_module_and_every_module_a_rule() -> None:
    modules = (ROOT / "lgd_core" / "figures").glob("*.py")
    assert {path.stem for path in modules if "\ndef make(" in path.read_text()} == set(FIGURES)
    assert set(FIGURES) >= PLAIN | OF_MODELS


def test_every_caption_is_there_and_in_use() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    captions = {path.stem for path in (ROOT / "report").iterdir()} - {"workflow"}
    assert set(re.findall(r'caption="(\w+)"', rules)) == captions


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_imports_what_it_needs(figure: str) -> None:
    code = (
        f"import sys; from lgd_core.figures.making import maker; maker('{figure}'); "
        "sys.exit(' '.join({'torch', 'diffusers', 'timm', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    allowed = set() if figure in PLAIN else {"pydantic"}
    allowed |= set() if figure in PLAIN | OF_MODELS else {"torch"}
    assert set(done.stderr.split()) <= allowed


def test_a_figure_is_drawn_from_the_table_that_it_writes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.json" for seed in range(3)]
    for path, accuracy in zip(paths, (90.0, 91.0, 93.0), strict=True):
        write_json(path, {"method": "lgd", "matrix": [[100.0, accuracy], [50.0, 100.0]]})
    settings = {"compared": {"methods": ["lgd"]}, "images": {"lgd": 100}}
    outputs = {"table": str(tmp_path / "table.csv")}
    figure = maker("complementarity")(FigureJob({"matrices": paths}, outputs, settings, {}))
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["errors_mean"].tolist() == [8.66667], "six digits"
    assert table["errors_std"].tolist() == [1.53], "two decimals"
    (bars,) = figure.axes[0].containers
    assert bars.lines[0].get_ydata().tolist() == table["wrong"].tolist()


def test_inputs_that_a_rule_does_not_have_are_none() -> None:
    assert FigureJob({}, {}, {}, {}).artifacts("learners") == []
