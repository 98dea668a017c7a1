"""Records of comparisons, and that the page's tables are those of the records."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import crossed

from lgd_core.analysis import record, written
from lgd_core.analysis.students import STUDENT_COLUMNS, students_table
from lgd_core.analysis.tables import redundancy_table
from lgd_core.base.csv_files import write_csv
from lgd_core.base.errors import UserError
from lgd_core.config.recipes import Recipes
from lgd_core.config.stages import recipe_fingerprint

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs/records").glob("*.csv"))
SETS = {
    "dit": {0: [80.0, 80.2], 1: [81.0, 81.2], 2: [79.0, 79.2]},
    "lgd": {0: [83.0, 83.2], 1: [83.0, 83.2], 2: [83.0, 83.2]},
}


def students(sets: dict[str, dict[int, list[float]]], **facts: object) -> pd.DataFrame:
    rows = [
        {"method": method, "seed": seed, "run": run, "top1": top1}
        for method, seeds in sets.items()
        for seed, accuracies in seeds.items()
        for run, top1 in enumerate(accuracies)
    ]
    known = {"dataset": "fashionmnist", "ipc": 50, "student": "ConvNet-3-w32", "protocol": "hard"}
    table = pd.DataFrame(rows).assign(**{"recipe": "abc"} | known | facts)
    return table.reindex(columns=list(STUDENT_COLUMNS))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run in an empty project, whose page has a place for a table."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results/fashionmnist_ipc50/neutral")
    folder.mkdir(parents=True)
    write_csv(students(SETS), folder / "students.csv")
    Path("docs").mkdir()
    place = (
        "<!-- table: fashionmnist 20,50 ConvNet-3-w32 hard redundancy -->\n<!-- end of table -->"
    )
    Path("docs/results.md").write_text(f"# Results\n\n{place}\n\nThe end.\n")
    return folder


def test_both_spreads_and_the_paired_difference_are_in_the_table():
    table = record.results_table(students(SETS), pd.DataFrame(columns=["ipc", "redundancy"]))
    head, *rows = table.splitlines()
    columns = ["", ": sets, students", ": difference to `dit`"]
    assert head == "| method | " + " | ".join(f"50 per class{name}" for name in columns) + " |"
    assert rows == [
        "| --- | --- | --- | --- |",
        "| `dit` | 80.1 ± 1.0 (0.1) | 3, 6 |  |",
        "| `lgd` | 83.1 ± 0.0 (0.1) | 3, 6 | +3.0 ± 0.6 |",
    ]


def test_one_set_has_no_spread_between_sets():
    one = {name: {0: sets[0]} for name, sets in SETS.items()}
    table = record.results_table(students(one), pd.DataFrame(columns=["ipc", "redundancy"]))
    assert "| `lgd` | 83.1 (0.1) | 1, 2 | +3.0 ± 0.0 |" in table.splitlines()


def test_a_difference_that_rounds_to_zero_has_no_minus():
    near = {"dit": SETS["dit"], "igd": {s: [x - 0.02 for x in v] for s, v in SETS["dit"].items()}}
    table = record.results_table(students(near), pd.DataFrame(columns=["ipc", "redundancy"]))
    assert "| +0.0 ± 0.0 |" in table


def test_protocols_are_columns_of_their_own_and_methods_have_all():
    soft = students({"dit": SETS["dit"]}, protocol="soft_steps")
    both = pd.concat([students(SETS), soft])
    head, _, *rows = record.results_table(
        both, pd.DataFrame(columns=["ipc", "redundancy"])
    ).splitlines()
    assert "50 per class, `hard`" in head
    assert "50 per class, `soft_steps`" in head
    (dit,) = rows
    assert dit.startswith("| `dit` |")
    assert dit.count("80.1 ± 1.0") == 2


def test_pieces_add_up_and_a_later_one_replaces_what_it_has_again(run: Path):
    record.main(str(run))
    write_csv(students({"lgd": {0: [90.0, 90.2]}, "ot": SETS["dit"]}), run / "students.csv")
    record.main(str(run))
    kept = pd.read_csv("docs/records/fashionmnist.csv")
    assert kept.groupby("method").size().to_dict() == {"dit": 6, "lgd": 6, "ot": 6}
    assert kept.query("method == 'lgd' and seed == 0")["top1"].tolist() == [90.0, 90.2]
    assert kept.query("method == 'lgd' and seed == 1")["top1"].tolist() == [83.0, 83.2]


def test_a_page_has_the_redundancy_and_keeps_the_rest(run: Path):
    sets = {"lgd": [[[50, 40], [40, 50]], [[50, 42], [42, 50]]], "dit": [[[50, 44], [46, 50]]]}
    write_csv(redundancy_table(crossed(sets)), run / "redundancy.csv")
    record.main(str(run))
    page = Path("docs/results.md").read_text()
    assert "| `lgd` | 83.1 ± 0.0 (0.1) | 3, 6 | +3.0 ± 0.6 | 41.0 ± 1.4 |" in page.splitlines()
    assert "| `dit` | 80.1 ± 1.0 (0.1) | 3, 6 |  | 45.0 |" in page.splitlines()
    assert page.startswith("# Results\n")
    assert page.endswith("The end.\n")
    record.main()
    assert Path("docs/results.md").read_text() == page


def test_a_place_says_which_rows_and_columns_it_has(run: Path):
    sets = {"lgd": [[[50, 40], [40, 50]]], "dit": [[[50, 44], [46, 50]]]}
    write_csv(redundancy_table(crossed(sets)), run / "redundancy.csv")
    facts = [{"ipc": 20}, {"student": "ResNetAP-10-w16"}, {"protocol": "soft_steps"}]
    others = [students({"dit": {0: [60.0 + i, 62.0 + i]}}, **x) for i, x in enumerate(facts)]
    write_csv(pd.concat([students(SETS), *others]), run / "students.csv")
    record.main(str(run))

    def dit(words: str) -> str:
        (row,) = (x for x in record.table_of(words).splitlines() if x.startswith("| `dit`"))
        return row

    assert (
        dit("fashionmnist 20 ConvNet-3-w32 hard redundancy") == "| `dit` | 61.0 (1.4) | 1, 2 |  |"
    )
    assert dit("fashionmnist 50 ResNetAP-10-w16 hard") == "| `dit` | 62.0 (1.4) | 1, 2 |  |"
    assert dit("fashionmnist 50 ConvNet-3-w32 soft_steps") == "| `dit` | 63.0 (1.4) | 1, 2 |  |"
    own = "80.1 ± 1.0 (0.1) | 3, 6 |  |"
    assert dit("fashionmnist 50 ConvNet-3-w32 hard redundancy") == f"| `dit` | {own} 45.0 |"
    both = dit("fashionmnist 50 ConvNet-3-w32 hard soft_steps")
    assert both == f"| `dit` | {own} 63.0 (1.4) | 1, 2 |  |"


def test_redundancy_has_its_recipe_so_it_needs_students(run: Path):
    sets = {"igd": [[[90, 40], [40, 90]]], "ot": [[[90]]]}
    write_csv(redundancy_table(crossed(sets)), run / "redundancy.csv")
    with pytest.raises(UserError, match=r"redundancy\.csv: method: found igd, ot, expected"):
        record.main(str(run))
    assert not Path("docs/records").exists(), "nothing of the run is kept"
    write_csv(students({"igd": {0: [80.0]}, "ot": {0: [81.0]}}, recipe="old"), run / "students.csv")
    record.main(str(run))
    kept = pd.read_csv("docs/records/fashionmnist_redundancy.csv")
    assert kept[["method", "recipe"]].to_numpy().tolist() == [["igd", "old"]], (
        "not of a single increment"
    )


def test_a_folder_without_students_is_named(run: Path):
    (run / "students.csv").unlink()
    with pytest.raises(UserError, match=r"neutral/students\.csv: No such file"):
        record.main(str(run))


def test_students_are_listed_with_their_recipe_and_machine():
    artifact = {"method": "lgd", "seed": "0", "run": "1", "top1": 83.0, "hardware": "a processor"}
    table = students_table([artifact | {"versions": {"torch": "2.15.0"}}], 50, {"lgd": "abc"})
    (row,) = table.to_dict("records")
    assert (row["ipc"], row["recipe"], row["torch"]) == (50, "abc", "2.15.0")
    assert list(table.columns) == list(STUDENT_COLUMNS)


def recipe_of(method: str, **overrides: object) -> str:
    recipes = Recipes(ROOT / "config", {"overrides": {"methods": overrides}})
    return recipe_fingerprint(recipes.origins("fashionmnist", method))


def test_a_description_is_no_part_of_a_recipe_and_a_number_is():
    assert recipe_of("lgd", lgd={"description": "another"}) == recipe_of("lgd")
    assert recipe_of("lgd", lgd={"candidates": 4}) != recipe_of("lgd")


def test_a_recipe_has_that_of_its_seed_and_of_its_prior():
    recipe = recipe_of("minimax_lgd")
    assert recipe_of("minimax_lgd", minimax={"finetune": {"steps": 7}}) != recipe
    assert recipe_of("minimax_lgd", minimax_igd={"influence": {"strength": 7.0}}) != recipe
    assert recipe_of("minimax_lgd", minimax={"description": "another"}) == recipe
    assert recipe_of("minimax_lgd", mgd3={"modes": {"strength": 7.0}}) == recipe


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_shipped_records_are_of_the_recipes_that_ship(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    dataset = path.stem.removesuffix("_redundancy")
    assert list(record.outdated(dataset, pd.read_csv(path))) == []


def test_a_record_of_another_recipe_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    recipe = recipe_of("dit")
    table = pd.concat([students({"dit": SETS["dit"]}, recipe=recipe), students(SETS)])
    assert list(record.outdated("fashionmnist", table)) == ["dit", "lgd"]
    assert list(record.outdated("fashionmnist", table[table["recipe"] == recipe])) == []


def test_tables_of_the_page_are_those_of_the_records(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    page = Path(written.PAGE).read_text(encoding="utf-8")
    assert written.with_tables(page, "table", record.table_of) == page
    assert "<!-- table: fashionmnist 20,50 ConvNet-3-w32 hard redundancy -->" in page


# What README's short table calls methods.
CALLED = {
    "random real images": "random",
    "images of the diffusion model without guidance": "dit",
    "learnability-guided images": "lgd",
    "the same, from noised real images": "lgd_noised",
    "real images that are typical (herding)": "herding",
    "real images chosen by learnability": "lgd_real",
}


def test_the_readme_has_the_numbers_of_the_records(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    lines = Path("README.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    shown = {row[0]: row[1:] for row in rows}
    found = pd.read_csv("docs/records/fashionmnist.csv").query("ipc == 50 and protocol == 'hard'")
    found = found[found["student"] == "ConvNet-3-w32"]
    redundancy = pd.read_csv("docs/records/fashionmnist_redundancy.csv").query("ipc == 50")
    redundancy = redundancy.set_index("method")
    for words, method in CALLED.items():
        sets = found[found["method"] == method].groupby("seed")["top1"].mean()
        assert len(sets) == 3
        accuracy = f"{sets.mean():.1f} ± {sets.std():.1f}"
        repeated = redundancy.loc[method]
        assert repeated["n_sets"] == 3
        repeated = f"{repeated['redundancy']:.1f} ± {repeated['redundancy_std']:.1f}"
        assert shown[words] == [accuracy, repeated], method
