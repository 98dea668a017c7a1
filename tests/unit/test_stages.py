"""What stages read of the recipes: what acts, and nothing else."""

import pytest
from conftest import changed

from lgd_core.base.errors import UserError
from lgd_core.config.recipes import Recipes
from lgd_core.config.settings import DrawSettings, SeedSettings
from lgd_core.config.stages import (
    canonical,
    draw_settings,
    drawn_images,
    phase_settings,
    seed_settings,
    trace_settings,
    trained_images,
)


@pytest.fixture(scope="module")
def recipes() -> Recipes:
    return Recipes("config", {})


def test_settings_are_compared_by_content() -> None:
    one = {"b": [{"y": 1, "x": 2}], "a": {"d": (1, 2), "c": None}}
    other = {"a": {"c": None, "d": [1, 2]}, "b": [{"x": 2, "y": 1}]}
    assert repr(canonical(one)) == repr(canonical(other))
    assert repr(canonical(one)) != repr(canonical(one | {"b": []}))


def test_only_the_strength_of_an_increment_decides_it(recipes: Recipes) -> None:
    lgd = recipes.method("fashionmnist", "lgd")
    schedule = lgd.learnability.strength_by_increment
    longer = changed(lgd, learnability={"strength_by_increment": [*schedule, 0.5]})
    for k in range(1, len(schedule) + 1):
        settings = draw_settings(lgd, k)
        assert settings.keys.guidance["learnability"].strength == schedule[k - 1]
        assert settings == draw_settings(longer, k)
    beyond = len(schedule) + 1
    assert draw_settings(lgd, beyond) != draw_settings(longer, beyond)


def test_keys_of_what_does_not_act_decide_nothing(recipes: Recipes) -> None:
    dit = recipes.method("fashionmnist", "dit")
    other = changed(
        dit,
        influence={"norm": "relative"},
        modes={"clusters": 7},
        learnability={"reference_weight": 0.1, "gradient": "full"},
        condensation={"steps": 3},
        window=[0, 1],
        through_autoencoder=True,
    )
    assert draw_settings(dit, 1) == draw_settings(other, 1)
    ranking = {"candidates": 2, "seed": {"source": "real"}}
    ranked = changed(dit, **ranking)
    assert draw_settings(ranked, 1) != draw_settings(changed(other, **ranking), 1)
    random = recipes.method("fashionmnist", "random")
    sampler = changed(random, sampler={"steps": 3}, candidates=5, window=[0, 1])
    assert draw_settings(random, 1) == draw_settings(sampler, 1)
    assert draw_settings(random, 1) != draw_settings(changed(random, through_autoencoder=True), 1)


def test_keys_at_their_defaults_leave_settings_as_they_were_before_there_were_such_keys(
    recipes: Recipes,
) -> None:
    lgd = recipes.method("fashionmnist", "lgd")
    sampler = {"cfg_channels", "cfg_scale", "classes_per_batch", "steps"}
    keys = canonical(draw_settings(lgd, 1))["keys"]
    assert keys.keys() == {"candidates", "gradient", "guidance", "sampler", "window"}
    assert keys["sampler"].keys() == sampler
    assert canonical(lgd.sampler).keys() == sampler, "what assess_prior reads"
    assert "guidance" not in canonical(lgd), "what tables of costs read"
    other = changed(lgd, sampler={"scheduler": "ddim", "cfg_window": [1, 2]}, guidance={"every": 2})
    keys = canonical(draw_settings(other, 1))["keys"]
    assert (keys["sampler"]["scheduler"], keys["sampler"]["cfg_window"]) == ("ddim", [1, 2])
    assert keys["guiding"] == {"decoder": "full", "every": 2}
    read = DrawSettings.model_validate(canonical(draw_settings(other, 1)))
    assert read == draw_settings(other, 1), "as a job reads them"


def test_guided_steps_decide_guided_methods_alone(recipes: Recipes) -> None:
    dit, lgd = (recipes.method("fashionmnist", name) for name in ("dit", "lgd"))
    every = {"guidance": {"every": 2}}
    assert draw_settings(changed(dit, **every), 1) == draw_settings(dit, 1)
    assert seed_settings(changed(dit, **every)) == seed_settings(dit)
    assert draw_settings(changed(lgd, **every), 1) != draw_settings(lgd, 1)
    assert trace_settings(changed(lgd, **every), 1) != trace_settings(lgd, 1)
    late = changed(lgd, learnability={"strength_by_increment": [0.0, 1.0]})
    late = changed(late, deviation={"strength": 0.0})
    assert draw_settings(changed(late, **every), 1) == draw_settings(late, 1), "not guided yet"


def test_augmentation_decides_what_is_trained_alone(recipes: Recipes) -> None:
    plain = recipes.dataset("fashionmnist")
    mirrored = changed(plain, augment={"flip": 0.25})
    assert trained_images(plain) != trained_images(mirrored)
    for name in ("random", "dit", "lgd"):
        method = recipes.method("fashionmnist", name)
        assert drawn_images(plain, method) == drawn_images(mirrored, method)
    condensed = recipes.method("fashionmnist", "dm")
    assert drawn_images(plain, condensed) != drawn_images(mirrored, condensed)


def test_a_seed_depends_on_how_it_is_made(recipes: Recipes) -> None:
    shared, igd = (recipes.method("fashionmnist", name) for name in ("lgd_seed_dit", "igd"))
    assert seed_settings(shared) == SeedSettings(source="dit", ipc_per_increment=10)
    own = seed_settings(igd)
    assert (own.source, own.draw) == ("own", draw_settings(igd, 0))
    assert own.draw.keys.guidance
    assert own.draw.keys.window == igd.window
    assert own.draw.keys.sampler == igd.sampler


def test_a_trace_is_of_one_candidate_and_always_scored(recipes: Recipes) -> None:
    igd = recipes.method("fashionmnist", "igd")
    assert draw_settings(igd, 1).reference_weight is None
    trace = trace_settings(igd, 1)
    assert trace.keys.candidates == 1
    assert trace.reference_weight == igd.learnability.reference_weight


def test_a_phase_hangs_on_its_classes_and_not_on_their_names_or_the_others(
    recipes: Recipes,
) -> None:
    nette = recipes.dataset("imagenette")
    recipe = recipes.finetune("imagenette", "minimax")
    second = phase_settings(nette, recipe, 1, 2)
    assert second["labels"] == [5, 6, 7, 8, 9]
    assert second["prior_labels"] == nette.prior.labels[5:]
    renamed = [known.model_copy(update={"name": f"a {known.name}"}) for known in nette.classes]
    other = nette.model_copy(update={"classes": renamed})
    assert other.class_names != nette.class_names
    fewer = changed(recipe, classes_per_phase=5)
    assert phase_settings(other, fewer, 1, 2) == second
    longer = changed(recipe, steps=recipe.steps + 1)
    assert phase_settings(nette, longer, 1, 2) != second


@pytest.mark.parametrize(("phase", "phases"), [(2, 2), (0, 11)])
def test_a_phase_that_does_not_exist_is_one_line(recipes: Recipes, phase: int, phases: int) -> None:
    recipe = recipes.finetune("digits", "minimax")
    with pytest.raises(UserError, match=f"found phase {phase} of {phases}, expected one of 0 to"):
        phase_settings(recipes.dataset("digits"), recipe, phase, phases)
