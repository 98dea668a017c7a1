"""The record of a search, and that recipes have the values that it found."""

import math
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from lgd_core.analysis import search, written
from lgd_core.analysis.ablations import ABLATION_COLUMNS
from lgd_core.base.csv_files import write_csv
from lgd_core.base.errors import UserError
from lgd_core.config.recipes import Recipes

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "config/search").glob("*.csv"))
SMALL = ("fashionmnist", "glyphs")
# The prior alone has no key but its guidance scale.
ONE_KEY = {"dit"}


def family_table(family: str, values: list, means: list[float]) -> pd.DataFrame:
    variants = dict(Recipes(ROOT / "config", {}).sweep("fashionmnist", family).variants)
    rows = [
        {
            "value": value,
            "dataset": "fashionmnist",
            "ipc": 20,
            "method": variants[value],
            "student": "ConvNet-3-w32",
            "protocol": "hard",
            "n_sets": 3,
            "n_runs": 3,
            "top1_mean": 99 - index,
            "validation_mean": mean,
            "validation_std": 0.5,
        }
        for index, (value, mean) in enumerate(zip(values, means, strict=True))
    ]
    return pd.DataFrame(rows).reindex(columns=list(ABLATION_COLUMNS))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped configuration and a table of one family."""
    monkeypatch.chdir(tmp_path)
    for name in ("config", "priors"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setattr(search, "RECORD", "record/{dataset}.csv")
    (tmp_path / "docs").mkdir()
    place = "<!-- search: fashionmnist -->\n<!-- end of search -->"
    (tmp_path / "docs/results.md").write_text(f"# Results\n\n{place}\n")
    table(tmp_path, "cgs_pull", [0.0, 0.02, 0.05, 0.1], [70.0, 72.0, 71.0, 60.0])
    return tmp_path


def table(project: Path, family: str, values: list, means: list[float]) -> None:
    path = project / f"results/fashionmnist/ablation/{family}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(family_table(family, values, means), path)


def test_the_best_is_that_on_held_out_images_and_the_test_set_is_left_out(project: Path, capsys):
    search.main("fashionmnist", "cgs_pull")
    found = pd.read_csv(project / "record/fashionmnist.csv")
    assert list(found.columns) == list(search.RECORD_COLUMNS)
    assert not [name for name in found.columns if "top1" in name]
    assert found["best"].tolist() == [False, True, False, False]
    assert found["method"].tolist() == ["cgs"] * 4
    assert found["key"].unique().tolist() == ["cgs.pull"]
    assert found["recipe"].nunique() == 4
    assert "0.02" in capsys.readouterr().out
    means = "70.0 ± 0.5, 72.0 ± 0.5, 71.0 ± 0.5, 60.0 ± 0.5"
    row = f"| `cgs`, `cgs.pull` | 0, **0.02**, 0.05, 0.1 | {means} |"
    assert row in (project / "docs/results.md").read_text().splitlines()


def test_a_family_that_is_searched_again_replaces_its_rows_alone(project: Path):
    search.main("fashionmnist", "cgs_pull")
    table(project, "cgs_strength", [0.015, 0.03], [60.0, 61.0])
    search.main("fashionmnist", "cgs_strength")
    table(project, "cgs_pull", [0.0, 0.02], [75.0, 74.0])
    search.main("fashionmnist", "cgs_pull")
    found = pd.read_csv(project / "record/fashionmnist.csv")
    assert found["family"].tolist() == ["cgs_pull"] * 2 + ["cgs_strength"] * 2
    assert found["best"].tolist() == [True, False, False, True]


def test_the_best_value_has_the_recipe_that_its_method_then_gets(project: Path, capsys):
    table(project, "cgs_pull", [0.02, 0.05], [72.0, 71.0])
    search.main("fashionmnist", "cgs_pull")
    assert "cgs: its recipe on fashionmnist is none of those" in capsys.readouterr().out
    table(project, "ccs_cutoff", [0.1, 0.3], [71.0, 72.0])
    search.main("fashionmnist", "ccs_cutoff")
    assert "ccs: its recipe" not in capsys.readouterr().out
    found = pd.read_csv(project / "record/fashionmnist.csv")
    for pull, changed in ((0.02, []), (0.03, ["cgs"])):
        overrides = {"methods": {"cgs": {"cgs": {"pull": pull}}}}
        recipes = Recipes(Path("config"), {"overrides": overrides})
        assert list(search.outdated("fashionmnist", found, recipes)) == changed


def test_a_table_of_a_former_recipe_is_refused(project: Path):
    path = project / "results/fashionmnist/ablation/cgs_pull.csv"
    path.write_text(path.read_text().replace("cgs_pull0.02", "cgs_pull0.3"))
    with pytest.raises(UserError, match=r"cgs_pull.csv: method: found cgs_pull0.3, expected cgs_"):
        search.main("fashionmnist", "cgs_pull")
    assert not (project / "record").exists()


def test_values_that_tables_show_as_equal_are_best_together(project: Path):
    table(project, "cgs_pull", [0.0, 0.02, 0.05, 0.1], [70.0, 72.02, 71.98, 71.94])
    search.main("fashionmnist", "cgs_pull")
    found = pd.read_csv(project / "record/fashionmnist.csv")
    assert found["best"].tolist() == [False, True, True, False]


def test_null_counts_as_a_value_even_beside_the_base_s_own(project: Path):
    table(project, "mode_clusters", [None, 20, 50, 100], [72.0, 70.0, 71.0, 69.0])
    search.main("fashionmnist", "mode_clusters")
    found = pd.read_csv(project / "record/fashionmnist.csv")
    assert found["value"].isna().tolist() == [True, False, False, False]
    assert found["best"].tolist() == [True, False, False, False]
    assert (
        "| `mgd3`, `modes.clusters` | **none**, 20, 50, 100 |"
        in (project / "docs/results.md").read_text()
    )
    changed = {"methods": {"mgd3": {"modes": {"clusters": 7}}}}
    recipes = Recipes(Path("config"), {"overrides": changed})
    rows = family_table("mode_clusters", [None, 20, None], [72.0, 70.0, 75.0])
    rows["method"] = ["mgd3_clustersnone", "mgd3_clusters20", "mgd3"]
    write_csv(rows, project / "results/fashionmnist/ablation/mode_clusters.csv")
    found = search.tried("fashionmnist", "mode_clusters", recipes)
    assert found["value"].isna().tolist() == [True, False, False]
    assert found["value"].tolist()[1:] == [20, 7]


def test_what_cannot_be_recorded_is_said_in_a_line(project: Path):
    table(project, "cgs_pull", [0.0, 0.02], [70.0, math.nan])
    with pytest.raises(UserError, match=r"cgs_pull.csv: validation_mean: found an empty cell"):
        search.main("fashionmnist", "cgs_pull")
    with pytest.raises(UserError, match="components: found a family of methods, expected one"):
        search.main("fashionmnist", "components")
    with pytest.raises(UserError, match=r"cgs_strength.csv: No such file or directory"):
        search.main("fashionmnist", "cgs_strength")


@pytest.mark.parametrize("path", RECORDS, ids=[path.stem for path in RECORDS])
def test_recipes_have_the_values_that_were_best(path: Path):
    recipes = Recipes(ROOT / "config", {})
    assert list(search.not_taken(path.stem, pd.read_csv(path), recipes)) == []


def test_a_best_value_that_a_recipe_has_not_taken_is_said(project: Path, capsys):
    table(project, "cgs_strength", [0.06, 0.12], [60.0, 61.0])
    search.main("fashionmnist", "cgs_strength")
    assert "cgs:" not in capsys.readouterr().out
    search.main("fashionmnist", "cgs_pull")
    said = capsys.readouterr().out.splitlines()
    assert "cgs: cgs.pull: found 0.1, expected the best: 0.02" in said
    assert not any("its recipe" in line for line in said), "it is the best of its first key"
    table(project, "mode_clusters", [None, 20, 50, 100], [72.0, 70.0, 71.0, 69.0])
    search.main("fashionmnist", "mode_clusters")
    said = capsys.readouterr().out.splitlines()
    assert "mgd3: modes.clusters: found 20, expected the best: none" in said


def noticed(path: Path, **overrides: object) -> list[str]:
    """Return the methods that have changed since their search, if these are ours."""
    recipes = Recipes(ROOT / "config", {"overrides": {"methods": overrides}})
    return list(search.outdated(path.stem, pd.read_csv(path), recipes))


@pytest.mark.parametrize("path", RECORDS, ids=[path.stem for path in RECORDS])
def test_no_method_has_changed_since_its_search(path: Path):
    assert noticed(path) == []


def test_a_method_that_has_changed_in_a_key_that_was_not_searched_is_noticed():
    path = ROOT / "config/search/fashionmnist.csv"
    assert noticed(path, cgs={"window": [5, 23]}) == ["cgs"]
    assert noticed(path, cgs={"description": "another"}) == []
    assert {"lgd", "lgd_noised"} <= set(noticed(path, lgd={"candidates": 5})), "what extends it"


@pytest.fixture(scope="module")
def searched() -> list[str]:
    """The families of ``make search``."""
    makefile = (ROOT / "Makefile").read_text()
    stated = re.search(r"^SEARCHES := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    assert stated
    return stated[1].replace("\\\n", " ").split()


@pytest.mark.parametrize("dataset", SMALL)
def test_every_method_is_searched_with_the_same_budget(dataset: str, searched: list[str]):
    recipes = Recipes(ROOT / "config", {})
    sweeps = [recipes.sweep(dataset, family) for family in searched]
    for sweep in sweeps:
        assert len(sweep.variants) == 4, sweep.title
        assert (sweep.ipc, sweep.students) == ([20], ["ConvNet-3-w32"]), sweep.title
        assert (sweep.redundancy, sweep.learner) == (False, False), sweep.title
    keys = Counter(sweep.base for sweep in sweeps)
    assert {method for method, count in keys.items() if count != 2} == ONE_KEY


@pytest.mark.parametrize("path", RECORDS, ids=[path.stem for path in RECORDS])
def test_what_is_recorded_belongs_to_the_search(path: Path, searched: list[str]):
    found = pd.read_csv(path)
    assert set(found["family"]) <= set(searched)
    assert found.groupby("family")["value"].nunique(dropna=False).eq(4).all()
    assert found["n_sets"].eq(3).all()
    assert found["n_runs"].eq(3).all()


def test_the_page_shows_what_is_recorded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    page = Path(written.PAGE).read_text(encoding="utf-8")
    assert written.with_tables(page, "search", search.table_of) == page
    assert all(f"<!-- search: {path.stem} -->" in page for path in RECORDS)


def test_the_page_says_of_which_methods_the_second_key_is_not_searched():
    found = pd.read_csv(ROOT / "config/search/fashionmnist.csv")
    keys = found.groupby("method")["key"].nunique()
    page = " ".join((ROOT / written.PAGE).read_text(encoding="utf-8").split())
    said = re.search(r"Of ([^.]*), the second key is not searched yet in this way\.", page)
    assert said
    assert set(re.findall(r"`(\w+)`", said[1])) == set(keys.index[keys == 1]) - ONE_KEY
