"""Families: which methods follow from them, which of those are others, and what is refused."""

import shutil
from pathlib import Path

import pytest
import yaml
from conftest import changed

from lgd_core.base.errors import UserError
from lgd_core.config.recipes import Recipes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the shipped configuration, in a working directory of its own."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "priors", tmp_path / "priors")
    monkeypatch.chdir(tmp_path)
    return Path("config")


def add(folder: Path, name: str, **keys) -> None:
    """Write a family that sweeps kappa, with some keys changed; None takes one away."""
    family = {"title": "Mine", "base": "lgd", "key": "candidates", "symbol": "mine"}
    family = {
        k: v for k, v in (family | {"values": [2], "ipc": [20]} | keys).items() if v is not None
    }
    (folder / "ablations" / f"{name}.yaml").write_text(yaml.safe_dump(family))


def complaint(function, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    text = str(caught.value)
    assert "\n" not in text, "one line, no more"
    return text


def variants(dataset: str, name: str, config: dict | None = None) -> list[tuple]:
    return Recipes("config", config or {}).sweep(dataset, name).variants


def test_a_variant_is_a_method_like_one_with_a_file(folder):
    recipes = Recipes(folder, {"methods": ["lgd_kappa10", "lgd_omega0.25"]})
    assert {"lgd_kappa10", "lgd_omega0.25", "lgd_learner_ResNet-18"} <= set(recipes.names("method"))
    lgd, ten = (recipes.method("fashionmnist", name) for name in ("lgd", "lgd_kappa10"))
    assert ten.candidates == 10
    assert changed(ten, candidates=lgd.candidates, description=lgd.description) == lgd
    assert "kappa" not in ten.description
    assert "candidates 10" in ten.description
    assert recipes.method("digits", "lgd_omega0.25").learnability.reference_weight == 0.25


def test_values_of_the_base_and_of_methods_with_files_are_these_methods(folder):
    assert variants("imagenette", "kappa") == [
        (1, "lgd_no_ranking"),
        (3, "lgd"),
        (10, "lgd_kappa10"),
    ]
    assert dict(variants("imagenette", "omega"))[0.0] == "lgd_no_reference"
    assert dict(variants("imagenette", "gamma"))[0.0] == "lgd_no_deviation"
    seeds = {"igd": "lgd", "dit": "lgd_seed_dit", "random": "lgd_seed_random"}
    assert dict(variants("imagenette", "seed_source")) == seeds
    assert [method for _, method in variants("imagenette", "lambda")] == [
        "lgd_lambda5",
        "lgd_lambda10",
        "lgd",
        "lgd_lambda20",
        "lgd_lambda30",
    ]


def test_which_method_a_value_is_follows_the_run(folder):
    config = {"overrides": {"methods": {"lgd": {"candidates": 10}}}}
    assert variants("fashionmnist", "kappa", config) == [
        (1, "lgd_no_ranking"),
        (3, "lgd_kappa3"),
        (10, "lgd"),
    ]


def test_a_data_set_has_its_own_values_and_loses_its_schedule(folder):
    recipes = Recipes(folder, {})
    found = recipes.sweep("fashionmnist", "lambda")
    assert found.variants[0] == (0.03, "lgd_lambda0.03")
    assert found.variants[-1] == (None, "lgd"), "the schedule, which is none of the values"
    assert found.ipc == [20, 50]
    weak = recipes.method("fashionmnist", "lgd_lambda0.03").learnability
    assert (weak.strength, weak.strength_by_increment) == (0.03, [])
    assert weak.norm == "relative", "inherited from the data set's lgd"


def test_a_data_set_has_further_keys_of_its_own(folder):
    keys = {"learner.patience": 9, "sampler.steps": 40}
    add(folder, "mine", **{"with": keys, "datasets": {"digits": {"with": {"sampler.steps": 20}}}})
    recipes = Recipes(folder, {})
    found = [recipes.method(name, "lgd_mine2") for name in ("digits", "fashionmnist")]
    assert [method.sampler.steps for method in found] == [20, 40]
    assert [method.learner.patience for method in found] == [9, 9]
    assert recipes.method("digits", "lgd").sampler.steps == 10


@pytest.mark.parametrize("own", ["extends", "description"])
@pytest.mark.parametrize(
    ("changes", "where"),
    [
        (lambda own: {"key": own, "values": ["dit"]}, "key"),
        (lambda own: {"with": {own: "dit"}}, "with"),
        (lambda own: {"datasets": {"digits": {"with": {own: "dit"}}}}, "datasets.digits.with"),
    ],
)
def test_what_every_variant_has_of_its_own_is_no_key_of_a_sweep(folder, changes, where, own):
    add(folder, "mine", **changes(own))
    with pytest.raises(UserError, match=rf"mine.yaml: {where}: found {own}, expected another key"):
        Recipes(folder, {})


def test_a_data_set_gets_what_sweeps_have_for_the_one_it_extends(folder):
    (folder / "datasets" / "mine.yaml").write_text("extends: digits\n")
    digits = {"values": [3, 4], "ipc": [20], "with": {"sampler.steps": 20, "learner.patience": 9}}
    add(folder, "mine", datasets={"digits": digits})
    recipes = Recipes(folder, {})
    assert recipes.sweep("mine", "mine") == recipes.sweep("digits", "mine")
    own = {"ipc": [50], "with": {"sampler.steps": 30}}
    add(folder, "mine", datasets={"digits": digits, "mine": own})
    recipes = Recipes(folder, {})
    found = recipes.sweep("mine", "mine")
    assert found.ipc == [50], "its own"
    assert [value for value, _ in found.variants] == [3, 4, None], "those of digits"
    method = recipes.method("mine", "lgd_mine3")
    assert (method.sampler.steps, method.learner.patience) == (30, 9)
    assert recipes.sweep("digits", "mine").ipc == [20]


def test_the_middle_steps_are_the_data_set_s_own(folder):
    recipes = Recipes(folder, {})
    for dataset, window in (("imagenette", [8, 28]), ("glyphs", [4, 14]), ("digits", [2, 5])):
        for base in ("dit_cfg4", "lgd_cfg4"):
            method = recipes.method(dataset, f"{base}_middle_scale4")
            assert (method.sampler.cfg_window, method.sampler.cfg_scale) == (window, 4.0)
            assert recipes.method(dataset, base).sampler.cfg_window is None


def test_few_steps_are_compared_with_the_data_set_s_own(folder):
    recipes = Recipes(folder, {})
    found = recipes.sweep("fashionmnist", "scheduler_few_steps").variants
    assert [value for value, _ in found] == ["ddpm", "ddim", "dpm-solver++", None]
    samplers = [recipes.method("fashionmnist", method).sampler for _, method in found]
    assert [sampler.steps for sampler in samplers] == [10, 10, 10, 25]
    assert dict(recipes.sweep("fashionmnist", "scheduler").variants)["ddpm"] == "dit"
    assert dict(recipes.sweep("imagewoof", "guidance_every").variants)[1] == "lgd"


def test_null_is_a_value_like_others(folder):
    values = {"key": "modes.clusters", "base": "mgd3", "values": [None, 20]}
    add(folder, "mine", **values, datasets={"digits": {"values": [20, None]}})
    assert variants("imagenette", "mine") == [(None, "mgd3"), (20, "mgd3_mine20")]
    assert variants("digits", "mine") == [(20, "mgd3_mine20"), (None, "mgd3")]
    run = {"overrides": {"methods": {"mgd3": {"modes": {"clusters": 20}}}}}
    assert variants("imagenette", "mine", run) == [(None, "mgd3_minenone"), (20, "mgd3")]
    recipe = Recipes(folder, run).method("imagenette", "mgd3_minenone")
    assert recipe.modes.clusters is None
    assert recipe.description == "mgd3, modes.clusters none"


def test_another_s_double_is_refused_by_name(folder):
    text = complaint(Recipes(folder, {}).method, "fashionmnist", "lgd_kappa3")
    assert "'lgd_kappa3' on data set 'fashionmnist' is 'lgd'" in text
    assert "lgd_no_ranking" in complaint(Recipes, folder, {"methods": ["lgd_kappa1"]})


def test_components_are_the_paper_s_rows(folder):
    recipes = Recipes(folder, {})
    methods = [method for _, method in recipes.sweep("imagenette", "components").variants]
    facts = [recipes.method("imagenette", method) for method in methods]
    assert [f.learnability.strength for f in facts] == [0, 15, 15, 15]
    assert [f.deviation.strength for f in facts] == [0, 0, 50, 50]
    assert [f.candidates for f in facts] == [1, 1, 1, 3]


@pytest.mark.parametrize("dataset", ["digits", "fashionmnist", "imagenette", "imagewoof"])
def test_every_shipped_family_is_whole_on_every_data_set_that_ships(folder, dataset):
    recipes = Recipes(folder, {})
    for name in recipes.names("ablation"):
        found = recipes.sweep(dataset, name)
        methods = [method for _, method in found.variants]
        assert found.base in methods
        assert len(set(methods)) == len(methods) >= 2, name


def test_overrides_reach_families(folder):
    config = {"overrides": {"ablations": {"kappa": {"values": [3, 7], "ipc": [10]}}}}
    recipes = Recipes(folder, config)
    assert "lgd_kappa7" in recipes.names("method")
    assert "lgd_kappa10" not in recipes.names("method")
    for dataset in ("digits", "fashionmnist"):
        assert recipes.sweep(dataset, "kappa").ipc == [10], "the run has the last word"
    assert recipes.sweep("digits", "gamma").variants[1] == (0.03, "lgd")


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"base": "lgdd"}, ["unknown method 'lgdd'", "lgd"]),
        ({"base": None}, ["base", "missing"]),
        ({"key": "candidate"}, ["candidate", "did you mean 'candidates'"]),
        ({"key": "learnability.strenght"}, ["strenght", "strength"]),
        ({"values": [0]}, ["candidates", "0", "at least 1"]),
        ({"values": ["a/b"]}, ["lgd_minea/b", "letters"]),
        ({"values": []}, ["values", "methods"]),
        ({"symbol": None}, ["symbol", "methods"]),
        ({"methods": ["lgd"]}, ["methods"]),
        ({"key": None, "symbol": None, "values": None, "methods": ["dit"]}, ["base 'lgd'"]),
        (
            {"key": None, "symbol": None, "values": None, "methods": ["lgd", "dti"]},
            ["unknown method 'dti'", "dit"],
        ),
        ({"symbol": "kappa", "values": [10], "with": {"window": [1, 2]}}, ["lgd_kappa10", "too"]),
        (
            {"symbol": "no_", "values": ["ranking"], "key": "seed.source"},
            ["lgd_no_ranking", "file"],
        ),
        ({"datasets": {"fashion": {"ipc": [10]}}}, ["unknown dataset 'fashion'", "fashionmnist"]),
        ({"datasets": {"digits": {"value": [1]}}}, ["datasets.digits.value", "values"]),
        (
            {"datasets": {"digits": {"with": {"sampler.step": 1}}}},
            ["datasets.digits.with", "sampler.step", "did you mean 'steps'"],
        ),
        (
            {"symbol": "kappa", "values": [10], "datasets": {"digits": {"with": {"window": [1]}}}},
            ["lgd_kappa10", "too"],
        ),
        (
            {"key": None, "symbol": None, "values": None, "methods": ["lgd", "dit"]}
            | {"datasets": {"digits": {"with": {"window": [1, 2]}}}},
            ["methods alone"],
        ),
        ({"paper": ["table_8"]}, ["unknown table", "table_8"]),
        ({"ipc": []}, ["ipc", "at least 1 items"]),
        ({"titel": "x"}, ["titel", "title"]),
    ],
)
def test_bad_family(folder, keys, parts):
    add(folder, "mine", **keys)
    text = complaint(Recipes, folder, {})
    for part in ["mine", *parts]:
        assert part in text, text


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"ipc": [25]}, ["ipc", "25", "multiple of 10"]),
        ({"students": ["ConvNet-6"]}, ["mine.yaml: students", "ConvNet-6", "64 pixels"]),
        ({"key": "learner.architecture", "values": ["ConvNet-6"]}, ["lgd_mineConvNet-6", "64"]),
        ({"key": "seed.source", "values": ["nowhere"]}, ["nowhere"]),
        ({"values": None, "datasets": {"digits": {"values": [2]}}}, ["no values", "fashionmnist"]),
    ],
)
def test_bad_family_on_a_data_set(folder, keys, parts):
    add(folder, "mine", **keys)
    text = complaint(Recipes(folder, {}).sweep, "fashionmnist", "mine")
    for part in parts:
        assert part in text, text


def test_overrides_of_families_are_checked(folder):
    bad = {"overrides": {"ablations": {"kapa": {}}}}
    assert "overrides.ablations.kapa" in complaint(Recipes, folder, bad)
    bad = {"overrides": {"ablations": {"kappa": {"ipcs": [10]}}}}
    assert "ipcs" in complaint(Recipes, folder, bad)
