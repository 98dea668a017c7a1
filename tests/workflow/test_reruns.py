"""An edited key reruns its stage and what depends on it, and nothing else."""

import shutil

import pytest
from conftest import TARGETS

TABLE = TARGETS[0]
LGD_FROM_1 = {
    ("sample_candidates", "lgd", "1"),
    ("select_increment", "lgd", "1"),
    ("merge_increment", "lgd", "1"),
}


def rules(planned) -> set:
    return set(planned) - {("all", "", "")}


def test_nothing_to_do_after_a_finished_run(finished):
    assert "Nothing to be done" in finished.make("-n", "--", *TARGETS)


def test_guidance_strength_reruns_sampling_of_lgd_alone(copied):
    copied.replace("config/datasets/digits.yaml", "strength: 0.1,", "strength: 0.2,")
    assert rules(copied.planned("--", TABLE)) == LGD_FROM_1 | {
        ("evaluate", "lgd", "1"),
        ("table", "", ""),
    }
    assert rules(copied.planned("--", *TARGETS)) == LGD_FROM_1 | {
        ("train_learner", "lgd", "1"),
        ("evaluate", "lgd", "1"),
        ("cross_increment", "lgd", "1"),
        ("table", "", ""),
        ("redundancy_heatmap", "", ""),
        ("curve", "", ""),
        ("samples", "", ""),
    }
    copied.replace("config/datasets/digits.yaml", "strength: 0.2,", "strength: 0.1,")
    assert "Nothing to be done" in copied.make("-n", "--", *TARGETS)


def test_evaluation_epochs_rerun_evaluation_and_table(copied):
    copied.replace("tiny.yaml", "{10: 20, 50: 20}", "{10: 20, 50: 30}")
    evaluations = {("evaluate", method, "1") for method in ("random", "dit", "lgd")}
    assert rules(copied.planned("--", *TARGETS)) == evaluations | {("table", "", "")}


@pytest.mark.parametrize(
    ("plot", "redrawn"),
    [
        ("colormap: magma", {"redundancy_heatmap"}),
        ("samples_per_cell: 2", {"samples"}),
        ("dpi: 80", {"redundancy_heatmap", "curve", "samples"}),
    ],
)
def test_a_plot_option_redraws_its_plot(copied, plot, redrawn):
    with open(copied.folder / "tiny.yaml", "a") as stream:
        stream.write(f"plots: {{{plot}}}\n")
    assert rules(copied.planned("--", *TARGETS)) == {(rule, "", "") for rule in redrawn}


def test_learner_recipe_leaves_dit_and_seed_alone(copied):
    with open(copied.folder / "config/methods/lgd.yaml", "a") as stream:
        stream.write("learner: {patience: 4}\n")
    copied.replace("tiny.yaml", "      recipes:\n", "      recipes:\n        lgd: {}\n")
    planned = rules(copied.planned("--", TABLE))
    # The data set's own patience is laid over dit, from which lgd inherits it, before lgd's file.
    assert ("train_learner", "lgd", "0") in planned
    assert all(method in ("lgd", "") for _, method, _ in planned)
    assert not any(
        rule in ("seed_increment", "train_prior", "train_reference") for rule, *_ in planned
    )


def test_checkpoints_of_the_surrogate_rerun_igd_and_what_starts_from_it(copied):
    copied.replace("config/datasets/digits.yaml", "max_checkpoints: 2", "max_checkpoints: 3")
    planned = rules(copied.planned("--", TABLE))
    assert {("train_surrogate", "", ""), ("influence_gradients", "", "")} <= planned
    assert {("seed_increment", "igd", ""), ("seed_increment", "lgd", "")} <= planned
    assert planned >= LGD_FROM_1
    assert all(method in ("igd", "lgd", "") for _, method, _ in planned)
    assert not any(rule in ("train_prior", "train_reference") for rule, *_ in planned)


def test_later_increments_of_igd_are_drawn_one_after_the_other(finished):
    target = "results/digits/igd/s0/k2/increment.safetensors"
    assert rules(finished.planned("--", target)) == {
        (rule, "igd", k) for rule in ("sample_candidates", "select_increment") for k in "12"
    }


def test_what_decides_no_result_reruns_nothing(copied):
    """All at once: whatever of it counted would be in the plan."""
    with open(copied.folder / "tiny.yaml", "a") as stream:
        stream.write("max_batch: 7\nshards: 2\n")
    digits = "config/datasets/digits.yaml"
    copied.replace(digits, "flip: 0.0", "flip: 0")
    copied.replace(digits, "image: {size: 8, channels: 1}", "image: {channels: 1, size: 8}")
    copied.replace(digits, "strength: 0.1,", "strength: 0.1, strength_by_increment: [0.1, 0.3],")
    with open(copied.folder / "config/methods/lgd.yaml", "a") as stream:
        stream.write("influence: {strength: 0.0, norm: rms}\nthrough_autoencoder: false\n")
    assert "Nothing to be done" in copied.make("-n", "--", *TARGETS)


def test_more_runs_train_the_new_students_alone(copied):
    copied.replace("tiny.yaml", "runs: 2", "runs: 3")
    planned = copied.planned("--", *TARGETS)
    students = {("evaluate", method, "1"): 1 for method in ("random", "dit", "lgd")}
    assert planned == students | {("table", "", ""): 1}


def test_a_named_run_has_tables_of_its_own(copied):
    named = TABLE.replace("/table", "/mine/table")
    assert copied.planned("--config", "name=mine", "--", named) == {("table", "", ""): 1}
    for words in (["--", named], ["--config", "name=mine", "--", TABLE]):
        done = copied.run("-n", *words)
        assert done.returncode != 0
        assert "by its key 'name'" in done.stderr


def test_more_images_per_class_reuse_the_fewer(copied):
    target = "results/digits_ipc30/table.csv"
    planned = rules(copied.planned("--", target))
    assert ("sample_candidates", "lgd", "2") in planned
    assert not any(k == "0" or (rule.startswith(("sample", "select")) and k == "1")
                   for rule, _, k in planned)  # fmt: skip
    assert ("train_learner", "lgd", "1") not in planned
    copied.make("--", target)
    before = (copied.folder / "results/digits_ipc20/table.csv").stat().st_mtime
    assert "Nothing to be done" in copied.make("-n", "--", target, *TARGETS)
    assert (copied.folder / "results/digits_ipc20/table.csv").stat().st_mtime == before


def test_shards_draw_what_one_job_draws(finished, copied):
    import torch

    from lgd_core.base.tensors import load_tensors

    path = "results/digits/lgd/s0/k1/increment.safetensors"
    shutil.rmtree(copied.folder / "results/digits/lgd/s0/k1")
    copied.make("--config", "shards=3", "--", path)
    assert len(list((copied.folder / path).parent.glob("candidates/*of3.safetensors"))) == 3
    one, three = (load_tensors(project.folder / path)[0] for project in (finished, copied))
    for name, tensor in one.items():
        assert torch.equal(tensor, three[name]), f"{name}: bit for bit"
