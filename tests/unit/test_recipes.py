"""What bad configuration gets: one line with file or key, what was found and expected."""

import json
import math
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import changed

from lgd_core.base.errors import UserError
from lgd_core.base.folders import check_writable
from lgd_core.config.catalogue import MODELS
from lgd_core.config.complete import CompleteMethod
from lgd_core.config.methods import epochs_for_ipc, factor, is_guided, needs, prior_owner
from lgd_core.config.recipes import Recipes
from lgd_core.config.schema import schema_of
from lgd_core.distill.guidances.modes import mode_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the shipped configuration, in a working directory of its own."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "priors", tmp_path / "priors")
    monkeypatch.chdir(tmp_path)
    return Path("config")


def edit(path: Path, **changes) -> None:
    """Set dotted keys of a YAML file."""
    value = yaml.safe_load(path.read_text())
    for dotted, new in changes.items():
        *parents, last = dotted.split("__")
        target = value
        for key in parents:
            target = target.setdefault(key, {})
        target[last] = new
    path.write_text(yaml.safe_dump(value))


def run_of(*methods: str, dataset: str = "digits") -> dict:
    """Return a run of some methods on a data set on which they keep the keys of their files."""
    return {"datasets": [dataset], "methods": list(methods)}


def complaint(folder: Path, config: dict | None = None) -> str:
    with pytest.raises(UserError) as caught:
        Recipes(folder, config or {})
    text = str(caught.value)
    assert "\n" not in text, "one line, no more"
    return text


def test_more_shards_than_classes(folder):
    """Only those count that a target draws: a run of a small data set may name a large one's."""
    recipes = Recipes(folder, {"shards": 11})
    with pytest.raises(UserError, match=r"shards: found 11, expected at most 10.*fashionmnist"):
        recipes.shards("fashionmnist")
    assert recipes.shards("imagenet1k") == 11
    assert Recipes(folder, {"shards": 10}).shards("fashionmnist") == 10


def test_shipped_configuration_is_accepted(folder):
    recipes = Recipes(folder, yaml.safe_load((folder / "config.yaml").read_text()))
    lgd = recipes.method("fashionmnist", "lgd")
    assert lgd.sampler.steps == 25, "the data set's keys reach methods that extend dit"
    assert lgd.learnability.norm == "relative"
    assert lgd.candidates == 3
    assert lgd.extends is None


def test_the_comparison_covers_every_shipped_method(folder):
    run = yaml.safe_load((folder / "config.yaml").read_text())
    comparison = yaml.safe_load((folder / "comparison.yaml").read_text())
    recipes = Recipes(folder, run | comparison)
    assert sorted([*recipes.run.methods, "sre2l"]) == recipes.catalogue.files("method")
    assert recipes.config["methods"] == recipes.run.methods
    for method in recipes.run.methods:
        for ipc in comparison["ipc"]:
            assert recipes.increments("fashionmnist", method, ipc) == ipc // 10


def test_methods_are_a_list_or_all(folder):
    assert "methods: found 'al', expected" in complaint(folder, {"methods": "al"})
    for methods in (["dit"], "all"):
        recipes = Recipes(folder, {"methods": methods})
        files = recipes.catalogue.files("method")
        # The reference of Fashion-MNIST has no batch normalisation to invert.
        fitting = [name for name in files if name != "sre2l"]
        assert "sre2l" in files
        expected = fitting if methods == "all" else methods
        assert recipes.run.methods == recipes.config["methods"] == expected


def test_every_key_has_type_description_and_default_or_is_required():
    def walk(schema, path, required):
        for key, rule in schema.get("properties", {}).items():
            where = f"{path}.{key}"
            assert "type" in rule, where
            assert rule.get("description"), where
            optional_by_design = where.endswith(".extends")
            assert "default" in rule or key in required or optional_by_design, where
            if rule["type"] in ("integer", "number") and "enum" not in rule:
                bounds = {"minimum", "exclusiveMinimum"} & rule.keys()
                assert bounds, f"{where} has no lower bound"
            if "properties" in rule:
                assert rule["additionalProperties"] is False, where
                walk(rule, where, rule.get("required", ()))

    for name, model in MODELS.items():
        schema = schema_of(model)
        assert schema["additionalProperties"] is False
        walk(schema, name, schema.get("required", ()))


def test_a_recipe_file_adds_a_method(folder):
    (folder / "methods" / "gentle.yaml").write_text(
        "extends: lgd\nlearnability: {strength: 0.01}\n"
    )
    recipe = Recipes(folder, {"methods": ["gentle"]}).method("fashionmnist", "gentle")
    assert recipe.learnability.strength == 0.01
    assert recipe.learnability.norm == "relative", "inherited from the data set's lgd"
    assert recipe.seed.source == "prior", "so is its seed"


def test_overrides_reach_methods_that_extend(folder):
    config = {"overrides": {"methods": {"lgd": {"candidates": 7}}}}
    recipes = Recipes(folder, config)
    assert recipes.method("digits", "lgd_no_reference").candidates == 7
    assert recipes.method("digits", "lgd_no_ranking").candidates == 1, "its own key wins"
    assert recipes.method("digits", "dit").candidates == 1


def test_command_line_values_inside_mappings_get_their_types_back(folder):
    words = {"ipc": ["20"], "overrides": {"methods": {"lgd": {"candidates": "5"}}}}
    recipes = Recipes(folder, {}, words)
    assert recipes.run.ipc == recipes.config["ipc"] == [20]
    assert recipes.method("digits", "lgd").candidates == 5


def test_text_of_files_stays_text(folder):
    Path("run #2").mkdir()
    prior = {"source": "owner/prior", "revision": "0123456", "vae": "no/1e3", "vae_revision": "no"}
    labels = {"labels": list(range(10))}
    config = {
        "external": {"mine": {"folder": "run #2"}},
        "overrides": {"datasets": {"fashionmnist": {"prior": prior | labels}}},
    }
    recipes = Recipes(folder, config)
    assert recipes.external_set("mine").folder == "run #2"
    assert recipes.dataset("fashionmnist").prior.model_dump().items() >= prior.items()


def test_keys_and_values_of_the_command_line_are_read_at_every_depth(folder):
    evaluation = {"epochs": {"10": "30"}, "batch": "16"}
    lgd = {"learner": {"cutmix": "false", "lr": "1e-2"}, "deviation": {"memory": "null"}}
    words = {
        "gradient_checkpointing": "true",
        "overrides": {
            "datasets": {"digits": {"evaluation": evaluation, "recipes": {"lgd": lgd}}},
            "ablations": {"kappa": {"values": ["2", "5"], "title": "7"}},
        },
    }
    recipes = Recipes(folder, {}, words)
    assert recipes.run.gradient_checkpointing is True
    assert recipes.config["gradient_checkpointing"] is True
    assert recipes.dataset("digits").evaluation.epochs == {10: 30, 50: 60}
    assert recipes.dataset("digits").evaluation.batch == 16
    method = recipes.method("digits", "lgd")
    assert (method.learner.cutmix, method.learner.lr) == (False, 0.01)
    assert method.deviation.memory is None
    family = recipes.sweep("digits", "kappa")
    assert family.title == "7"
    assert [value for value, _ in family.variants][:2] == [2, 5]


def test_the_command_line_is_laid_over_the_files(folder):
    epochs = {"datasets": {"digits": {"evaluation": {"epochs": {20: 40}}}}}
    words = {"datasets": {"digits": {"evaluation": {"epochs": {"20": "50"}}}}}
    recipes = Recipes(folder, {"overrides": epochs}, {"overrides": words})
    assert recipes.dataset("digits").evaluation.epochs == {10: 60, 20: 50, 50: 60}


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"runs": 3.0}, "runs: found 3.0"),
        ({"ipc": [20.0]}, "ipc.0: found 20.0"),
        ({"overrides": {"methods": {"lgd": {"candidates": 3.0}}}}, "candidates: found 3.0"),
        ({"overrides": {"datasets": {"fashionmnist": {"image": {"size": 28.0}}}}}, "image.size"),
        (
            {"overrides": {"datasets": {"fashionmnist": {"evaluation": {"epochs": {10.0: 5}}}}}},
            "evaluation.epochs: found 10.0",
        ),
    ],
)
def test_a_number_with_a_point_is_no_whole_number(folder, config, key):
    text = complaint(folder, config)
    assert key in text, text
    assert "expected integer" in text


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"source__stream": True}, "source.stream: found true, expected false for digits"),
        ({"source__test_resize": 4}, "source.test_resize: found 4, expected at least"),
    ],
)
def test_what_a_data_set_cannot_do_with_its_files(folder, changes, found):
    edit(folder / "datasets" / "digits.yaml", **changes)
    assert found in complaint(folder, run_of("dit"))


def test_a_prior_is_not_trained_on_streams(folder):
    changes = {"source__stream": True, "prior__source": "train"}
    edit(folder / "datasets" / "imagenette.yaml", **changes)
    words = complaint(folder, run_of("dit", dataset="imagenette"))
    assert "prior.source: found train, expected a pretrained prior with source.stream" in words


@pytest.mark.parametrize(
    ("train", "parts"),
    [
        ({"transformer": {"patch_size": 3}}, ["transformer.patch_size: found 3", "divisor of 4"]),
        ({"transformer": {"patch_size": 8}}, ["transformer.patch_size: found 8", "divisor of 4"]),
        ({"transformer": {"heads": 3, "head_dim": 5}}, ["3 heads of head_dim 5", "multiple of 4"]),
        ({"autoencoder": {"widths": [4] * 5}}, ["autoencoder.widths: found 5 widths", "8 pixels"]),
        ({"autoencoder": {"widths": [16, 30]}}, ["autoencoder.widths: found 30", "norm_groups"]),
        ({"autoencoder": {"norm_groups": 5}}, ["autoencoder.widths: found 16", "multiples of 5"]),
    ],
)
def test_a_prior_that_cannot_be_built_is_refused_before_it_is_trained(folder, train, parts):
    override = {"datasets": {"digits": {"prior": {"train": train}}}}
    text = complaint(folder, run_of("dit") | {"overrides": override})
    for part in ["digits.yaml: prior.train", *parts]:
        assert part in text, text
    override["datasets"]["digits"]["prior"]["source"] = "owner/name"
    override["datasets"]["digits"]["prior"]["labels"] = list(range(10))
    Recipes(folder, run_of("dit") | {"overrides": override})


@pytest.mark.parametrize("key", ["crop_scale", "crop_ratio"])
def test_crops_have_their_least_share_first(folder, key):
    override = {"datasets": {"digits": {"augment": {key: [1.0, 0.5]}}}}
    text = complaint(folder, run_of("dit") | {"overrides": override})
    assert f"digits.yaml: augment.{key}: found [1.0, 0.5]" in text


@pytest.mark.parametrize("name", ["a{b}", "a b", ".hidden", "a,b", "schön", "-n", "a$"])
@pytest.mark.parametrize("kind", ["datasets", "methods", "ablations"])
def test_file_names_that_cannot_be_names_of_results(folder, kind, name):
    (folder / kind / f"{name}.yaml").write_text("extends: dit\n")
    text = complaint(folder)
    assert f"{kind}/{name}.yaml" in text
    assert "letters, digits and _ . + -" in text


@pytest.mark.parametrize("name", ["logs", "benchmarks"])
def test_reserved_dataset_name(folder, name):
    shutil.copy(folder / "datasets/digits.yaml", folder / f"datasets/{name}.yaml")
    text = complaint(folder)
    assert f"{name}.yaml" in text
    assert "reserved" in text


def test_home_folders_and_variables_stand_in_every_path(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    monkeypatch.setenv("LGD_TEST_PRIORS", str(Path("priors").absolute()))
    Path("home/seed").mkdir(parents=True)
    shutil.copytree("priors/fashionmnist/vae", "home/vae")
    config = {
        "overrides": {
            "datasets": {
                "fashionmnist": {
                    "prior": {"source": "$LGD_TEST_PRIORS/fashionmnist", "vae": "~/vae"},
                    "source": {"folder": "${LGD_TEST_PRIORS}"},
                }
            },
            "methods": {"dit": {"seed": {"source": "folder", "folder": "~/seed"}}},
        }
    }
    recipes = Recipes(folder, {"methods": ["dit"]} | config)
    dataset = recipes.dataset("fashionmnist")
    assert dataset.prior.source == str(Path("priors/fashionmnist").absolute())
    assert dataset.prior.vae == str(Path("home/vae").absolute())
    assert dataset.source.folder == str(Path("priors").absolute())
    seed = recipes.method("fashionmnist", "dit").seed
    assert seed.folder == str(Path("home/seed").absolute())


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ({"datasets": {"fashionmnist": {"prior": {"source": "$LGD_TEST_NO/x"}}}}, "prior.source"),
        ({"datasets": {"fashionmnist": {"prior": {"vae": "$LGD_TEST_NO/x"}}}}, "prior.vae"),
        ({"datasets": {"fashionmnist": {"source": {"folder": "$LGD_TEST_NO"}}}}, "source.folder"),
        ({"methods": {"dit": {"seed": {"folder": "$LGD_TEST_NO"}}}}, "seed.folder"),
    ],
)
def test_a_variable_that_is_not_set_is_named_with_its_key(folder, monkeypatch, overrides, key):
    monkeypatch.delenv("LGD_TEST_NO", raising=False)
    text = complaint(folder, {"methods": ["dit"], "overrides": overrides})
    assert f"{key}: found '$LGD_TEST_NO" in text
    assert "the variable LGD_TEST_NO" in text


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ({"students": ["ConvNet-99"]}, ["config: students: found 'ConvNet-99'"]),
        (
            {"overrides": {"datasets": {"fashionmnist": {"evaluation": {"students": ["CNN"]}}}}},
            ["fashionmnist.yaml: evaluation.students: found 'CNN'"],
        ),
        (
            {
                "methods": ["dit"],
                "overrides": {"methods": {"dit": {"learner": {"architecture": "CNN"}}}},
            },
            ["method 'dit' on data set 'fashionmnist': learner.architecture: found 'CNN'"],
        ),
        ({"methods": "lgd"}, ["config: methods: found 'lgd'", "all or a list such as [lgd]"]),
        ({"datasets": "digits"}, ["config: datasets: found 'digits'", "write [digits]"]),
        ({"device": "gpu"}, ["config: device: found 'gpu'", "auto, cpu, cuda"]),
        ({"runs": "3"}, ["quoted", "write 3)"]),
        ({"runs": "1e3"}, ["YAML takes it for text; write 1000)"]),
        ({"checkpoint_seconds": "1e3"}, ["write 1.0e+3)"]),
        ({"checkpoint_seconds": "2.5E3"}, ["write 2.5e+3)"]),
        ({"external": {"a b": "x"}}, ["external: found 'a b'", "a name of letters, digits"]),
        ({"runs": 10**5000}, ["runs: found a number of thousands of digits", "finite"]),
        ({"device": "x" * 5000}, ["config: device: found 'xxx", "expected one of auto, cpu, cuda"]),
    ],
)
def test_refusals_name_the_key_and_what_would_do(folder, config, parts):
    text = complaint(folder, config)
    assert len(text) <= 400
    for part in parts:
        assert part in text, text


@pytest.mark.parametrize("text", ["1e3", "1e-4", "-2E5", "2.5e3", ".5e-2", "1_0e2", "0.5", "7"])
def test_the_advice_on_a_number_is_a_number_to_yaml(folder, text):
    advice = complaint(folder, {"checkpoint_seconds": text})
    written = re.search(r"write (\S+)\)", advice)[1]
    assert yaml.safe_load(written) == float(text)


def test_keys_of_methods_outside_the_run_need_not_agree(folder):
    steps = {"overrides": {"methods": {"dit": {"sampler": {"steps": 4}}}}}
    recipes = Recipes(folder, run_of("dit") | steps)
    assert recipes.method("digits", "dit").sampler.steps == 4
    with pytest.raises(UserError, match=r"method 'mgd3' .* window: found \[6, 9\].* < 4"):
        recipes.method("digits", "mgd3")
    with pytest.raises(UserError, match="window"):
        recipes.sweep("digits", "mode_strength")
    assert "method 'mgd3'" in complaint(folder, run_of("dit", "mgd3") | steps)
    assert "window" in complaint(folder, run_of("lgd") | steps), "its own window"


def test_data_sets_outside_the_run_need_not_be_whole(folder):
    edit(folder / "datasets" / "glyphs.yaml", normalise__mean=[0.1, 0.2, 0.3])
    recipes = Recipes(folder, run_of("dit"))
    with pytest.raises(UserError, match=r"glyphs\.yaml: normalise.mean: found 3"):
        recipes.dataset("glyphs")
    edit(folder / "datasets" / "glyphs.yaml", normalize__mean=[0.1])
    assert "unknown key" in complaint(folder, run_of("dit")), "keys of all files are checked"


def fitting_methods(recipes, dataset):
    """Return the shipped methods, but inversion only where the reference has what it needs."""
    inverts = recipes.dataset(dataset).reference.architecture.endswith("-bn")
    return [name for name in recipes.catalogue.files("method") if inverts or name != "sre2l"]


def test_every_shipped_method_is_valid_on_every_shipped_data_set_that_it_fits(folder):
    recipes = Recipes(folder, {})
    for dataset in recipes.catalogue.files("dataset"):
        for method in fitting_methods(recipes, dataset):
            assert recipes.method(dataset, method).ipc_per_increment == 10


def test_every_pattern_says_what_it_wants():
    def patterns(node):
        if isinstance(node, dict):
            if isinstance(node.get("pattern"), str):
                yield node
            for child in node.values():
                yield from patterns(child)

    found = [node for model in MODELS.values() for node in patterns(schema_of(model))]
    assert len(found) == 9
    assert all(node["expected"] for node in found)


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ({"metods": ["lgd"]}, ["config", "metods", "did you mean 'methods'"]),
        ({"runs": "three"}, ["runs", "'three'", "integer"]),
        ({"runs": 0}, ["runs", "0", "at least 1"]),
        ({"device": "gpu"}, ["device", "'gpu'"]),
        ({"datasets": ["fashion"]}, ["unknown dataset 'fashion'", "fashionmnist"]),
        ({"methods": ["ldg"]}, ["unknown method 'ldg'", "lgd"]),
        ({"students": ["ConvNet3"]}, ["'ConvNet3'", "ConvNet-3-w32"]),
        ({"students": ["ConvNet-6"]}, ["students", "ConvNet-6", "64 pixels", "28"]),
        ({"ipc": [25]}, ["ipc", "25", "multiple of 10"]),
        ({"ipc": [5]}, ["ipc", "5", "multiple of 10"]),
        ({"ipc": [20, 20]}, ["ipc", "twice"]),
        ({"overrides": {"methods": {"lgdd": {}}}}, ["overrides.methods.lgdd", "lgd"]),
        ({"overrides": {"ablations": {"kappa": True}}}, ["overrides.ablations.kappa", "True"]),
        ({"overrides": {"datasets": {"digits": [1]}}}, ["overrides.datasets.digits", "[1]"]),
        (
            {"overrides": {"methods": {"lgd": {"sampler": {"step": 5}}}}},
            ["overrides.methods.lgd", "sampler.step", "did you mean 'steps'"],
        ),
    ],
)
def test_bad_run(folder, config, parts):
    text = complaint(folder, config)
    for part in parts:
        assert part in text, text


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"learnability__strength": -1.0}, ["learnability.strength", "-1.0", "at least 0"]),
        ({"learnability__strength": math.nan}, ["learnability.strength", "nan", "finite"]),
        ({"learnability__strength": "1e-4"}, ["learnability.strength", "'1e-4'", "1.0e-4"]),
        ({"learnability__strength": "0.5"}, ["learnability.strength", "quoted", "0.5"]),
        ({"learnability__strenght": 1.0}, ["strenght", "did you mean 'strength'"]),
        ({"learnability__norm": "l2"}, ["learnability.norm", "'l2'", "rms, relative"]),
        ({"deviation__strength": -0.1}, ["deviation.strength", "-0.1"]),
        ({"influence__strength": -5.0}, ["influence.strength", "-5.0", "at least 0"]),
        ({"candidates": 0}, ["candidates", "0", "at least 1"]),
        ({"candidates": 2.5}, ["candidates", "2.5", "integer"]),
        ({"window": [10]}, ["window", "at least 2 items"]),
        ({"learner__architecture": "ResNet-50"}, ["'ResNet-50'", "ResNet-18"]),
        ({"extends": "dti"}, ["lgd.yaml", "extends", "unknown method 'dti'", "dit"]),
        ({"seed__source": "nowhere"}, ["nowhere"]),
        ({"seed__source": "lgd"}, ["seed.source", "cycle", "lgd -> lgd"]),
        ({"seed": {"source": "folder", "folder": None}}, ["seed.folder", "None"]),
    ],
)
def test_bad_method(folder, changes, parts):
    edit(folder / "methods" / "lgd.yaml", **changes)
    text = complaint(folder, run_of("lgd"))
    for part in parts:
        assert part in text, text


@pytest.mark.parametrize(
    ("name", "changes", "parts"),
    [
        ("idc1", {"condensation__factor": 3}, ["condensation.factor", "3", "divisor of 8"]),
        ("idc1", {"seed__source": "random"}, ["seed.source", "1 x 1", "2 x 2"]),
        ("idc1", {"seed__source": "prior"}, ["seed.source", "1 x 1", "2 x 2"]),
        ("lgd", {"seed__source": "idc1"}, ["seed.source", "2 x 2", "1 x 1"]),
        ("dm", {"condensation__network": {"life": 0}}, ["network.life", "0", "at least 1"]),
        ("herding", {"source": "hearding"}, ["source", "'hearding'", "herding"]),
    ],
)
def test_bad_source(folder, name, changes, parts):
    edit(folder / "methods" / f"{name}.yaml", **changes)
    text = complaint(folder, run_of(name))
    for part in parts:
        assert part in text, text


def test_condensing_networks_must_take_the_images(folder):
    network = {"architecture": "ConvNet-6"}
    override = {"idc1": {"condensation": {"network": network}}}
    overrides = {"datasets": {"digits": {"recipes": override}}}
    text = complaint(folder, run_of("idc1") | {"overrides": overrides})
    assert "condensation.network.architecture: 'ConvNet-6' takes images of at least 64" in text


def test_only_condensed_images_hold_others(folder):
    recipes = Recipes(folder, {})
    held = {
        name: factor(recipes.method("digits", name)) for name in fitting_methods(recipes, "digits")
    }
    assert {name for name, held_by_one in held.items() if held_by_one > 1} == {"idc1"}
    override = {"methods": {"idc1": {"source": "real", "condensation": {"factor": 2}}}}
    assert factor(Recipes(folder, {"overrides": override}).method("digits", "idc1")) == 1


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (
            "mgd3",
            {"sampler": {"scheduler": "ddim"}},
            "sampler.scheduler: found ddim, expected ddpm, since guidance by modes moves the mean "
            "of its step",
        ),
        (
            "lgd",
            {"sampler": {"scheduler": "dpm-solver++"}, "modes": {"strength": 0.1}},
            "sampler.scheduler: found dpm-solver++, expected ddpm, since guidance by modes moves "
            "the mean of its step",
        ),
        (
            "dit",
            {"sampler": {"cfg_window": [3, 10]}},
            "sampler.cfg_window: found [3, 10], expected first <= last < 10, the number of "
            "sampling steps",
        ),
        (
            "lgd",
            {"sampler": {"cfg_window": [5, 3]}},
            "sampler.cfg_window: found [5, 3], expected first <= last < 10, the number of "
            "sampling steps",
        ),
    ],
)
def test_cheaper_sampling_that_does_not_suit_a_method_is_refused(folder, name, changes, expected):
    config = run_of(name) | {"overrides": {"methods": {name: changes}}}
    assert complaint(folder, config) == f"method '{name}' on data set 'digits': {expected}"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"guidance": {"every": 0}}, ["guidance.every", "0", "at least 1"]),
        ({"guidance": {"evry": 2}}, ["guidance.evry", "did you mean 'every'"]),
        ({"sampler": {"scheduler": "ddm"}}, ["scheduler", "'ddm'", "ddpm, ddim, dpm-solver++"]),
        ({"sampler": {"cfg_window": [3]}}, ["sampler.cfg_window", "at least 2 items"]),
        ({"sampler": {"cfg_window": [-1, 3]}}, ["sampler.cfg_window", "-1", "at least 0"]),
    ],
)
def test_bad_keys_of_cheaper_sampling(folder, changes, parts):
    text = complaint(folder, run_of("lgd") | {"overrides": {"methods": {"lgd": changes}}})
    for part in parts:
        assert part in text, text


def test_modes_that_do_not_act_leave_the_scheduler_free(folder):
    config = run_of("lgd") | {"overrides": {"methods": {"lgd": {"sampler": {"scheduler": "ddim"}}}}}
    assert Recipes(folder, config).method("digits", "lgd").sampler.scheduler == "ddim"


@pytest.mark.parametrize("method", ["lgd", "igd"])
@pytest.mark.parametrize("window", [[22, 5], [5, 25], [0, 60]])
def test_window_outside_the_steps_or_reversed(folder, window, method):
    recipes = {method: {"window": window, "deviation": {"strength": 0.0}}}
    config = {"overrides": {"datasets": {"fashionmnist": {"recipes": recipes}}}}
    text = complaint(folder, run_of(method, dataset="fashionmnist") | config)
    assert "window" in text
    assert str(window) in text
    assert "25" in text


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"classes": ["a", "b"]}, ["priors/fashionmnist", "10 classes", "2"]),
        ({"image": {"size": 28}}, ["image.channels", "missing"]),
        ({"image__channels": 3}, ["normalise.mean", "found 1", "expected 3"]),
        ({"reference__architecture": "ConvNet-6"}, ["reference.architecture", "64 pixels"]),
        ({"reference__lr": 0}, ["reference.lr", "0", "more than 0"]),
        ({"influence__surrogate": {}}, ["influence.surrogate.architecture", "64 pixels", "28"]),
        ({"influence__threshold": 1.5}, ["influence.threshold", "1.5", "at most 1"]),
        ({"influence__gradient_images": 0}, ["influence.gradient_images", "0", "at least 1"]),
        ({"evaluation__epochs": {"ten": 5}}, ["evaluation.epochs", "ten"]),
        ({"evaluation__epochs": {10: 0}}, ["evaluation.epochs.10", "found 0", "at least 1"]),
        ({"prior__labels": [0, 1]}, ["prior.labels", "found 2", "expected 10"]),
        ({"prior__labels": list(range(1, 11))}, ["priors/fashionmnist", "10 classes"]),
        ({"recipes": {"lgdd": {}}}, ["recipes.lgdd", "unknown method"]),
        ({"recipes": {"lgd": {"kandidates": 1}}}, ["kandidates", "candidates"]),
    ],
)
def test_bad_dataset(folder, changes, parts):
    edit(folder / "datasets" / "fashionmnist.yaml", **changes)
    text = complaint(folder)
    for part in parts:
        assert part in text, text


WOOF = [193, 182, 258, 162, 155, 167, 159, 273, 207, 229]
NETTE = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]


@pytest.mark.parametrize(("name", "labels"), [("imagenette", NETTE), ("imagewoof", WOOF)])
def test_shipped_imagenet_subsets_are_the_field_s(folder, name, labels):
    recipes = Recipes(folder, {"datasets": [name], "ipc": [50, 100]})
    recipe = recipes.dataset(name)
    assert recipe.prior.labels == labels
    assert len(set(recipe.class_names)) == len(set(recipe.wnids)) == 10
    assert all(isinstance(class_name, str) for class_name in recipe.class_names)
    assert recipes.method(name, "lgd").learnability.strength == 15.0
    assert recipes.students(name) == ["ConvNet-6", "ResNetAP-10", "ResNet-18"]
    assert recipes.dataset("digits").wnids == []


def imagewoof(folder, item, **changes):
    """Change keys of the third class, which is Samoyed, in ImageWoof's recipe."""
    path = folder / "datasets" / "imagewoof.yaml"
    value = yaml.safe_load(path.read_text())
    value["classes"][2] = value["classes"][2] | item if isinstance(item, dict) else item
    path.write_text(yaml.safe_dump(value))
    edit(path, **changes)


@pytest.mark.parametrize(
    ("item", "changes", "parts"),
    [
        ({"wnid": "n02111890"}, {}, ["classes.2.wnid", "n02111890", "1000"]),
        ({"wnid": "Samoyed"}, {}, ["classes.2.wnid", "'Samoyed'"]),
        ({"index": 2}, {}, ["classes.2.index", "found 2", "expected 258"]),
        ({"label": 258}, {}, ["classes.2.label", "unknown key"]),
        ("Samoyed", {}, ["classes", "names and mappings"]),
        ({}, {"prior__labels": WOOF}, ["prior.labels", "beside wnids"]),
        ({}, {"source__kind": "fastai", "source__archive": None}, ["source.archive", "imagewoof2"]),
        ({}, {"source__archive": "imagewang"}, ["source.archive", "'imagewang'", "imagewoof2"]),
        (
            {},
            {"recipes": {"lgd": {"learner": {"monitor": "validation"}}}},
            ["learner.monitor", "validation_fraction is 0"],
        ),
        (
            {},
            {
                "recipes": {"lgd": {"guidance": {"decoder": "small"}}},
                "prior__small_decoder": {"source": None},
            },
            ["guidance.decoder: found small", "prior.small_decoder.source is null"],
        ),
    ],
)
def test_bad_imagenet_subset(folder, item, changes, parts):
    imagewoof(folder, item, **changes)
    text = complaint(folder, {"datasets": ["imagewoof"]})
    for part in ["imagewoof", *parts]:
        assert part in text, text


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"source__packages": []}, ["source.packages: found none", "source.folder"]),
        ({"source__characters": list("ABC")}, ["source.characters: found 3, expected 10"]),
        ({"source__characters": ["AB"]}, ["source.characters", "AB"]),
        ({"source__packages": ["Fonts Lato"]}, ["source.packages", "Fonts Lato"]),
    ],
)
def test_bad_fonts(folder, changes, parts):
    edit(folder / "datasets" / "glyphs.yaml", **changes)
    text = complaint(folder, {"datasets": ["glyphs"]})
    for part in ("glyphs.yaml", *parts):
        assert part in text, text


@pytest.mark.parametrize("kind", ["imagenet", "fastai"])
def test_plain_names_cannot_be_imagenet_s(folder, kind):
    edit(folder / "datasets" / "fashionmnist.yaml", source__kind=kind)
    assert "expected wnids" in complaint(folder)


def test_the_data_of_a_run_are_looked_for_before_it(folder, monkeypatch):
    monkeypatch.delenv("LGD_DATA", raising=False)
    recipes = Recipes(folder, {})
    with pytest.raises(UserError, match=r"imagenette\.yaml: source.folder: .* LGD_DATA unset"):
        recipes.list_source("imagenette")
    monkeypatch.setenv("LGD_DATA", "nowhere")
    with pytest.raises(UserError, match="LGD_DATA: no folder nowhere/train"):
        recipes.list_source("imagenette")
    monkeypatch.setenv("LGD_DATA", "somewhere")
    assert recipes.source_of("imagenette").folder == "somewhere"
    assert recipes.source_of("digits").folder is None
    assert recipes.list_source("digits") is None


def test_extends_cycle(folder):
    edit(folder / "methods" / "dit.yaml", extends="lgd")
    assert re.search(r"extends: cycle .*-> ", complaint(folder))


@pytest.mark.parametrize(
    ("run", "where"),
    [
        ({"overrides": {"methods": {"lgd": {"extends": "igd"}}}}, "config: overrides.methods.lgd"),
        ({"overrides": {"datasets": {"digits": {"extends": "glyphs"}}}}, "config: overrides.data"),
        ({"datasets": ["mine"]}, "config/datasets/mine.yaml: recipes.lgd.extends: found 'igd'"),
    ],
)
def test_only_a_file_says_what_it_extends(folder, run, where):
    add_dataset(folder, "mine", extends="digits", recipes={"lgd": {"extends": "igd"}})
    text = complaint(folder, run)
    assert text.startswith(where)
    assert ".extends: found '" in text
    assert "expected it in the file alone, config/" in text


def add_dataset(folder: Path, name: str, **keys) -> None:
    (folder / "datasets" / f"{name}.yaml").write_text(yaml.safe_dump(keys))


def test_a_data_set_starts_from_the_one_it_extends(folder):
    add_dataset(folder, "mine", extends="digits", evaluation={"lr": 0.01}, recipes={"lgd": {}})
    run = {"overrides": {"datasets": {"digits": {"evaluation": {"batch": 7}}}}}
    recipes = Recipes(folder, run)
    mine, digits = recipes.dataset("mine"), recipes.dataset("digits")
    assert (mine.evaluation.lr, mine.evaluation.batch) == (0.01, 64), "digits.yaml, not the run's"
    assert digits.evaluation.batch == 7
    assert mine.classes == digits.classes
    assert mine.recipes == digits.recipes
    assert recipes.method("mine", "lgd") == recipes.method("digits", "lgd")
    assert (mine.description, mine.licence) == ("", None), "what is said of its images alone"
    assert mine.extends is None


def test_the_documented_data_set_that_extends_another(folder):
    text = (ROOT / "config/README.md").read_text()
    recipe = re.search(r"`datasets/letters.yaml` with\n\n```yaml\n(.*?)```", text, re.DOTALL)[1]
    (folder / "datasets/letters.yaml").write_text(recipe)
    for name in ("a", "b", "c"):
        (folder.parent / "PATH/train" / name).mkdir(parents=True)
    recipes = Recipes(folder, {"datasets": ["letters"], "methods": ["random", "lgd"]})
    data = recipes.dataset("letters")
    assert (data.image.size, data.image.channels, len(data.classes)) == (28, 1, 3)
    assert recipes.method("letters", "lgd") == recipes.method("fashionmnist", "lgd")


def test_ten_other_classes_of_imagenet(folder):
    wnids = ["n01443537", "n01484850"]
    names = dict(zip(wnids, ("goldfish", "great white shark"), strict=True))
    classes = [{"wnid": wnid, "name": names[wnid]} for wnid in wnids]
    add_dataset(folder, "mine", extends="imagenette", classes=classes)
    assert Recipes(folder, {}).dataset("mine").prior.labels == [1, 2]


def test_source_and_prior_of_a_data_set_are_not_mixed(folder):
    own = {"source": {"kind": "folder", "folder": "here"}, "prior": {"source": "train"}}
    add_dataset(folder, "mine", extends="fashionmnist", **own)
    recipes = Recipes(folder, {})
    mine, base = recipes.dataset("mine"), recipes.dataset("fashionmnist")
    assert base.source.validation_fraction != mine.source.validation_fraction
    assert base.prior.small_decoder.source == "priors/fashionmnist/tiny"
    assert mine.prior.small_decoder.source is None, "that of another prior does not fit"
    add_dataset(folder, "again", extends="mine", prior={"source": "priors/fashionmnist"})
    assert Recipes(folder, {}).dataset("again").source == mine.source


@pytest.mark.parametrize(
    ("extends", "parts"),
    [
        ("digit", ["mine.yaml: extends: unknown dataset 'digit'", "did you mean 'digits'?"]),
        ("mine", ["mine.yaml: extends: cycle mine -> mine"]),
        ("other", ["other.yaml: extends: cycle mine -> other -> mine"]),
    ],
)
def test_a_data_set_extends_another_one(folder, extends, parts):
    add_dataset(folder, "mine", extends=extends)
    add_dataset(folder, "other", extends="mine")
    text = complaint(folder, {"datasets": ["mine"]})
    for part in parts:
        assert part in text, text


def test_a_data_set_without_what_the_other_lacks_too(folder):
    add_dataset(folder, "bare", classes=["a", "b"])
    add_dataset(folder, "mine", extends="bare")
    assert complaint(folder, {"datasets": ["mine"]}) == (
        "config/datasets/mine.yaml: image: missing, expected a value"
    )


def test_seed_shared_with_other_increment_size(folder):
    edit(folder / "methods" / "lgd_seed_dit.yaml", ipc_per_increment=5)
    text = complaint(folder, {"methods": ["lgd_seed_dit"]})
    assert "seed.source" in text
    assert "10" in text


def test_recipe_file_missing(folder):
    (folder / "methods" / "dit.yaml").unlink()
    assert "dit.yaml" in complaint(folder)


@pytest.mark.parametrize("content", ["a: [1", "just words", "- 1\n- 2", "\tkey: 1"])
def test_recipe_file_not_yaml(folder, content):
    (folder / "methods" / "lgd.yaml").write_text(content)
    assert "lgd.yaml" in complaint(folder)


@pytest.mark.parametrize(
    "part", ["model_index.json", "transformer", "vae", "scheduler", "transformer/config.json"]
)
def test_prior_folder_without_a_component(folder, part):
    path = Path("priors/fashionmnist") / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = complaint(folder)
    assert "priors/fashionmnist" in text
    assert part in text


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_prior_folder_without_weights(folder, part):
    next(Path("priors/fashionmnist", part).glob("*.safetensors")).unlink()
    assert f"no {part}/diffusion_pytorch_model" in complaint(folder)


@pytest.mark.parametrize("content", ["{", "{}"])
def test_prior_folder_with_a_broken_transformer_config(folder, content):
    Path("priors/fashionmnist/transformer/config.json").write_text(content)
    assert "priors/fashionmnist/transformer/config.json: " in complaint(folder)


def test_prior_with_fewer_classes_than_the_labels_asked_for(folder):
    imagewoof(folder, {}, prior__source="priors/fashionmnist")
    text = complaint(folder, {"datasets": ["imagewoof"]})
    assert "found 10 classes, but label 273 is asked for (dingo)" in text


def test_misspelt_prior_folder_is_not_taken_for_a_hub_name(folder):
    edit(folder / "datasets" / "fashionmnist.yaml", prior__source="priors/fashionmnst")
    assert "priors/fashionmnst" in complaint(folder)
    edit(folder / "datasets" / "fashionmnist.yaml", prior__source="facebook/DiT-XL-2-256")
    Recipes(folder, {})


def test_reserved_method_name(folder):
    (folder / "methods" / "prior.yaml").write_text("extends: dit\n")
    assert "reserved" in complaint(folder)


def test_prior_classes_may_be_more_than_the_data_sets_if_labelled(folder):
    config = Path("priors/fashionmnist/transformer/config.json")
    value = json.loads(config.read_text()) | {"num_embeds_ada_norm": 1000}
    config.write_text(json.dumps(value))
    assert "1000 classes" in complaint(folder)
    edit(folder / "datasets" / "fashionmnist.yaml", prior__labels=list(range(900, 910)))
    Recipes(folder, {})


def test_needs_learner_and_strengths():
    assert "learner" not in needs(CompleteMethod(), 1)
    assert "learner" in needs(CompleteMethod(candidates=2), 1)
    scheduled = CompleteMethod(learnability={"strength_by_increment": [0.1, 0.2]})
    assert "learner" in needs(scheduled, 1)
    assert [scheduled.learnability.strength_at(k) for k in (1, 2, 3)] == [0.1, 0.2, 0.2]


def test_needs_influence(folder):
    recipes = Recipes(folder, {})
    found = {
        name
        for name in fitting_methods(recipes, "digits")
        if "influence" in needs(recipes.method("digits", name), 1)
    }
    assert found == {"igd", "minimax_igd"}
    real = changed(recipes.method("digits", "igd"), source="real")
    assert "influence" not in needs(real, 1)


def test_the_seeds_of_lgd_and_its_ablations(folder):
    recipes = Recipes(folder, {})
    methods = ("lgd", "lgd_no_reference", "lgd_seed_dit", "lgd_seed_random", "lgd_cfg4")
    seeds = [recipes.method("imagenette", method).seed.source for method in methods]
    assert seeds == ["igd", "igd", "dit", "random", "dit_cfg4"]


def test_igd_has_its_paper_s_values(folder):
    recipe = Recipes(folder, {}).method("imagenette", "igd")
    assert recipe.influence.model_dump() == {"strength": 5.0, "norm": "rms"}
    assert recipe.window == [30, 45]
    assert recipe.deviation.model_dump() == {"strength": 120.0, "norm": "raw", "memory": 64}
    assert (recipe.seed.source, recipe.candidates) == ("own", 1)
    assert not any("learner" in needs(recipe, k) for k in range(3))


def test_modes_are_an_increment_s_own_or_shared():
    method = CompleteMethod(modes={"strength": 0.1, "clusters": None}, ipc_per_increment=10)
    assert mode_settings(method, 3).model_dump() == {"clusters": 10, "increment": 3}
    method = changed(method, modes={"clusters": 50})
    assert mode_settings(method, 3).model_dump() == {"clusters": 50, "increment": 0}
    others = (method.learnability, method.deviation, method.influence)
    assert not any(guidance.acts for guidance in others)
    assert is_guided(method)


def test_a_tuned_prior_is_the_method_s_own_or_another_s(folder):
    methods = [CompleteMethod(prior=prior) for prior in (None, "own", "b")]
    assert [prior_owner(method, "a") for method in methods] == [None, "a", "b"]
    recipes = Recipes(folder, {})
    assert recipes.method("digits", "minimax_lgd").prior == "minimax"
    assert recipes.method("digits", "minimax_lgd").finetune is None
    tuned = recipes.finetune("digits", "minimax")
    assert tuned.steps == 100, "the data set's"
    assert tuned.lr == 1e-3, "the published value"
    assert recipes.finetune("imagenette", "minimax").steps == 12000
    with pytest.raises(UserError, match="method 'dit' has no finetune on data set 'digits'"):
        recipes.finetune("digits", "dit")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"prior": "dit"}, ["prior: method 'dit' has no finetune", "minimax_lgd"]),
        ({"prior": "minmax"}, ["prior: unknown method 'minmax'", "did you mean 'minimax'"]),
        ({"prior": "own"}, ["prior: method 'minimax_lgd' has no finetune"]),
        ({"finetune": {"momentum": 0.9}}, ["finetune.momentum", "unknown key"]),
        ({"finetune": {"classes_per_phase": 0}}, ["classes_per_phase", "0", "at least 1"]),
        ({"finetune": {"trained": []}}, ["finetune.trained", "at least 1 item"]),
        ({"modes": {"strength": 0.1, "clusters": 0}}, ["modes.clusters", "at least 1"]),
    ],
)
def test_bad_modes_and_priors(folder, changes, parts):
    edit(folder / "methods" / "minimax_lgd.yaml", **changes)
    text = complaint(folder, run_of("minimax_lgd"))
    for part in parts:
        assert part in text, text


def test_epochs_follow_the_next_amount_listed():
    epochs = {10: 2000, 50: 1500, 100: 1000}
    found = [epochs_for_ipc(epochs, ipc) for ipc in (10, 20, 30, 40, 50, 70, 100, 200)]
    assert found == [2000, 1500, 1500, 1500, 1500, 1000, 1000, 1000]


def test_results_folder_must_be_writable(tmp_path, monkeypatch):
    check_writable(tmp_path / "new" / "results")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: found a file, expected a folder"):
        check_writable(tmp_path / "file")
    # Root may write anywhere, so permission is taken away where it is asked for.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match="without write permission"):
        check_writable(tmp_path)


def test_a_set_from_elsewhere_stands_among_methods(folder):
    entry = {"folder": "anywhere", "increment": 5, "factor": 2}
    run = run_of("random", "external:mine") | {"external": {"mine": entry}, "ipc": [10]}
    method = Recipes(folder, run).method("digits", "external:mine")
    assert (method.source, method.ipc_per_increment, factor(method)) == ("external", 5, 2)
    assert method.seed.source == "own"
    assert needs(method, 0) == needs(method, 1) == {"external"}
    random = Recipes(folder, run).method("digits", "random")
    assert method.learner == random.learner, "the data set's keys for random"


@pytest.mark.parametrize(
    ("run", "part"),
    [
        ({"methods": ["external:mine"]}, "unknown method 'external:mine'"),
        (
            {
                "methods": ["external:mine"],
                "external": {"mine": {"folder": "x", "dataset": "glyphs"}},
            },
            "found a set of data set 'glyphs', expected one of 'digits'",
        ),
        (
            {"methods": ["external:mine"], "external": {"mine": "x"}, "ipc": [15]},
            "ipc: found 15, expected a multiple of 10",
        ),
        (
            {"overrides": {"methods": {"random": {"source": "external"}}}},
            "config: external: unknown name ''",
        ),
    ],
)
def test_what_is_wrong_with_a_set_among_methods(folder, run, part):
    assert part in complaint(folder, run_of("random") | run)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("soft", "unknown protocol 'soft'"),
        ("hard", "labels.source class"),
        ("lgd_regions", "labels.regions 2, expected stored and 1"),
    ],
)
def test_labels_that_cannot_leave(folder, name, part):
    recipes = Recipes(folder, run_of("random") | {"export": {"labels": name}})
    with pytest.raises(UserError, match=re.escape(part)):
        recipes.exported_labels("digits")
    good = run_of("random") | {"export": {"labels": "soft_steps"}}
    assert Recipes(folder, good).exported_labels("digits").source == "stored"


@pytest.mark.parametrize(
    ("method", "drawn"), [("random", False), ("herding", False), ("dit", True), ("lgd", True)]
)
def test_which_methods_draw_from_the_prior(folder, method, drawn):
    assert Recipes(folder, run_of(method)).draws_from_prior("digits", method) == drawn
