"""Which stages a comparison pays for, who uses them, and how much of each there is."""

import dataclasses

import pytest

from lgd_core.analysis.cost_stages import (
    Comparison,
    Drawer,
    Stage,
    comparison_stages,
    seed_owner,
)
from lgd_core.config.complete import CompleteMethod
from lgd_core.config.models.method import MethodConfig


def recipe(**keys: object) -> MethodConfig:
    return CompleteMethod.model_validate({"ipc_per_increment": 10} | keys)


RECIPES = {
    "random": recipe(source="real"),
    "dit": recipe(),
    "lgd": recipe(seed={"source": "dit"}, candidates=3),
    "lgd_kappa10": recipe(seed={"source": "lgd"}, candidates=10),
    "tuned": recipe(prior="minimax"),
    "idc1": recipe(source="condensed", condensation={"factor": 2}),
}
REFERENCE, INFLUENCE = ("train_reference",), ("influence_gradients",)
TUNED = ("finetune_prior", "minimax")


def comparison(*methods: str, increments: int = 3, **changes: object) -> Comparison:
    """Return a comparison of some methods: 5 classes, 2 seeds, 3 students, 8 or 4 epochs."""
    owners = {method: seed_owner(RECIPES.__getitem__, method) for method in methods}
    drawers = {name: Drawer(RECIPES[name], increments) for name in (*owners.values(), *methods)}
    known = {"behind": {method: set() for method in methods}, "classes": 5, "seeds": 2}
    known |= {"seen": lambda ipc: 5 * ipc * 3 * (8 if ipc <= 10 else 4), "trains_prior": False}
    known |= {"learnt": lambda method, k: None}
    known |= {"tuned_on": {"minimax": 160}.__getitem__}
    return Comparison(drawers, owners, **known | changes)


def found(*arguments: str, **changes: object) -> dict[tuple[str, str], Stage]:
    stages = comparison_stages(comparison(*arguments, **changes))
    return {(stage.name, stage.method): stage for stage in stages}


def test_an_increment_0_belongs_to_who_makes_it() -> None:
    owners = {name: seed_owner(RECIPES.__getitem__, name) for name in RECIPES}
    assert owners == dict.fromkeys(RECIPES) | {
        "random": "random", "dit": "dit", "lgd": "dit", "lgd_kappa10": "dit", "tuned": "tuned",
        "idc1": "idc1",
    }  # fmt: skip


def test_a_shared_increment_0_is_paid_for_once() -> None:
    stages = found("lgd", "dit", "lgd_kappa10")
    seeds = {owner: s.used_by for (name, owner), s in stages.items() if name == "seed_increment"}
    assert seeds == {"dit": ["lgd", "dit", "lgd_kappa10"]}
    alone = found("lgd")
    assert alone["seed_increment", "dit"].used_by == ["lgd"]
    assert ("evaluate", "dit") not in alone, "dit itself is not compared"


def test_stages_of_a_method_stand_together_in_the_run_s_order() -> None:
    stages = list(found("random", "lgd", behind={"random": set(), "lgd": {REFERENCE}}))
    assert stages == [
        ("train_reference", "shared"),
        ("seed_increment", "random"),
        ("sample_candidates", "random"),
        ("evaluate", "random"),
        ("sample_candidates", "lgd"),
        ("train_learner", "lgd"),
        ("evaluate", "lgd"),
        ("seed_increment", "dit"),
    ]


def test_a_single_increment_takes_no_sampling_and_no_learner() -> None:
    assert list(found("lgd", increments=1)) == [("evaluate", "lgd"), ("seed_increment", "dit")]


@pytest.mark.parametrize(
    ("job", "stages"),
    [
        (REFERENCE, [("train_reference", "shared")]),
        (("watch_training",), [("watch_training", "shared")]),
        (("train_small_decoder",), [("train_small_decoder", "shared")]),
        (INFLUENCE, [("train_surrogate", "shared"), ("influence_gradients", "shared")]),
        (("cluster_modes", "dit", 1), [("encode_dataset", "shared"), ("cluster_modes", "dit")]),
    ],
)
def test_what_is_shared_is_paid_for_by_who_needs_it(job: tuple, stages: list) -> None:
    needing = found("random", "dit", behind={"random": set(), "dit": {job}})
    before = needing.keys() - found("random", "dit").keys()
    assert before == set(stages)
    assert all(needing[stage].used_by == ["dit"] for stage in stages)


def test_a_prior_that_another_method_has_tuned_is_paid_for() -> None:
    stages = found("dit", "tuned", behind={"dit": set(), "tuned": {TUNED}})
    assert stages["finetune_prior", "minimax"].used_by == ["tuned"]
    assert stages["finetune_prior", "minimax"].images == 160
    assert list(stages)[-1] == ("finetune_prior", "minimax"), "of none that is compared"


def test_a_prior_of_the_data_set_s_own_is_everybody_s_and_so_is_its_reference() -> None:
    stages = found("random", "dit", trains_prior=True)
    for name in ("train_prior", "train_reference"):
        assert stages[name, "shared"].used_by == ["random", "dit"]


def test_clusters_count_as_far_as_increments_are_drawn_with_them() -> None:
    behind = {"dit": {("cluster_modes", "dit", k) for k in (0, 2)}}
    assert found("dit", behind=behind)["cluster_modes", "dit"].increments == [0, 2]


def test_images_and_passes_of_a_method() -> None:
    stages = found("lgd")
    assert stages["seed_increment", "dit"].images == 5 * 10 * 2
    assert stages["sample_candidates", "lgd"].images == 5 * 10 * 2 * 2
    assert stages["train_learner", "lgd"].images is None, "read from the learners"
    assert list(stages["train_learner", "lgd"].increments) == [0, 1], "not the last"
    assert stages["evaluate", "lgd"].images == 5 * 30 * 4 * 3 * 2
    drawn = stages["sample_candidates", "lgd"].drawn
    assert (drawn["increments"], drawn["classes"]) == ([1, 2], 5)
    assert CompleteMethod.model_validate(drawn["recipe"]) == RECIPES["lgd"]
    # The last three, as they are at their defaults.
    left_out = {"description", "extends", "learner", "guidance", "select", "weights"}
    assert drawn["recipe"].keys() == CompleteMethod.model_fields.keys() - left_out


def test_images_of_learners_are_counted_where_a_protocol_says_how_many() -> None:
    stages = found("lgd", learnt=lambda method, k: {"lgd": 100 * (k + 1)}[method])
    assert stages["train_learner", "lgd"].images == (100 + 200) * 2, "of two seeds"
    assert stages["train_learner", "lgd"].facts()["images"] == 600


def test_students_see_all_that_a_stored_image_holds() -> None:
    stages = found("idc1", increments=1)
    assert stages["seed_increment", "idc1"].images == 5 * 10 * 2
    assert stages["evaluate", "idc1"].images == 5 * 40 * 4 * 3 * 2


def test_a_job_of_a_shard_draws_its_part_of_the_classes() -> None:
    drawers = {name: Drawer(RECIPES[name], 3, shards=2.5) for name in ("dit", "lgd")}
    sharded = dataclasses.replace(comparison("lgd"), drawers=drawers)
    drawn = {stage.name: stage.drawn for stage in comparison_stages(sharded)}
    assert drawn["sample_candidates"]["classes"] == 2
    assert drawn["seed_increment"]["classes"] == 5, "never shared out"


def test_facts_leave_out_what_is_not_known() -> None:
    stage = Stage("train_learner", "lgd", ["lgd"], range(2))
    assert stage.facts(benchmarks=["a"], curves=["b"]) == {
        "stage": "train_learner",
        "method": "lgd",
        "used_by": ["lgd"],
        "benchmarks": ["a"],
        "curves": ["b"],
    }
    assert Stage("evaluate", "lgd", ["lgd"], [2], 7).facts(benchmarks=[])["images"] == 7
