"""The stages of a comparison, with the files that record their costs."""

from lgd_core.config.stages import images_trained_on, images_tuned_on
from lgd_core.analysis.cost_stages import (
    Comparison,
    Drawer,
    comparison_stages,
    seed_owner,
)

# Names of benchmarks by stage; for other stages the name is that of the data set.
BENCHMARKS = {
    "cluster_modes": "{dataset}_{method}_s{seed}_k{k}",
    "seed_increment": "{dataset}_{method}_s{seed}",
    "train_learner": "{dataset}_{method}_s{seed}_k{k}",
    "evaluate": "{dataset}_{method}_s{seed}_k{k}_{protocol}_{student}_r{run}",
}


def cost_inputs(wildcards):
    """Return the benchmarks of a comparison, and files for counting images and passes."""
    stages, paths = cost_stages(wildcards), {}
    paths["benchmarks"] = [path for stage in stages for path in stage["benchmarks"]]
    paths["curves"] = [path for stage in stages for path in stage.get("curves", [])]
    paths["prepared"] = PREPARED.format(**wildcards)
    if any(stage["stage"] == "train_surrogate" for stage in stages):
        paths["checkpoints"] = f"results/{wildcards.dataset}/influence/checkpoints.json"
    return paths


def cost_stages(wildcards):
    """Return the stages of a comparison in the form for costs.cost_table."""
    stages = []
    for paid in comparison_stages(comparison_of(wildcards)):
        paths = {"benchmarks": benchmarks_of(wildcards, paid)}
        if paid.name == "train_learner" and paid.images is None:
            curve = "results/{dataset}/{method}/s{seed}/k{k}/learner.json"
            paths["curves"] = expand(curve, **job_values(wildcards, paid))
        stages.append(paid.facts(**paths))
    return stages


def benchmarks_of(wildcards, paid):
    """Return the benchmarks of all jobs of a stage."""
    folder = f"results/benchmarks/{paid.name}"
    if paid.name == "sample_candidates":
        counts = shards_by_job(wildcards.dataset, paid.method, paid.increments)
        return [
            f"{folder}/{wildcards.dataset}_{paid.method}_s{seed}_k{k}_{shard}of{count}.tsv"
            for (seed, k), count in counts.items()
            for shard in range(count)
        ]
    if paid.name == "finetune_prior":
        phases = phases_of(wildcards.dataset, paid.method)
        return [
            f"{folder}/{wildcards.dataset}_{paid.method}_{phase}of{phases}.tsv"
            for phase in range(phases)
        ]
    name = BENCHMARKS.get(paid.name, "{dataset}")
    return expand(f"{folder}/{name}.tsv", **job_values(wildcards, paid))


def job_values(wildcards, paid):
    """Return the wildcards of a stage's jobs."""
    return {
        "dataset": wildcards.dataset,
        "method": paid.method,
        "seed": config["seeds"],
        "k": paid.increments,
        "protocol": protocols_of(wildcards),
        "student": students_of(wildcards),
        "run": range(config["runs"]),
    }


def shards_by_job(dataset, method, increments):
    """Return the number of shards by seed and increment."""
    return {
        (seed, k): shards_of(dataset, method, seed, k)
        for seed in config["seeds"]
        for k in increments
    }


def comparison_of(wildcards):
    """Return the facts from which the stages of a target's methods follow."""
    owners = {
        method: seed_owner(recipes_of(wildcards), method)
        for method in methods_of(wildcards)
    }
    drawers = {
        name: drawer_of(wildcards, name)
        for name in dict.fromkeys([*owners.values(), *owners])
    }
    artifacts = artifacts_before(wildcards, drawers)
    return Comparison(
        drawers=drawers,
        owners=owners,
        behind={
            method: jobs_behind(wildcards, method, owner, artifacts)
            for method, owner in owners.items()
        },
        classes=len(names_of(wildcards)),
        seeds=len(config["seeds"]),
        seen=lambda ipc: images_seen(wildcards, ipc),
        learnt=lambda method, k: images_learnt(wildcards, method, k),
        tuned_on=lambda tuner: images_tuned_on(
            checked(RECIPES.finetune, wildcards.dataset, tuner),
            len(names_of(wildcards)),
        ),
        trains_prior=dataset_of(wildcards).prior.source == "train",
    )


def images_seen(wildcards, ipc):
    """Return the images that all students of a set of so many images per class train on."""
    size = ipc * len(names_of(wildcards))
    lessons = [
        checked(RECIPES.lesson, wildcards.dataset, protocol, student, ipc)
        for protocol in protocols_of(wildcards)
        for student in students_of(wildcards)
    ]
    return config["runs"] * sum(images_trained_on(lesson, size) for lesson in lessons)


def images_learnt(wildcards, method, k):
    """Return the images that a learner trains on after increment k; None without a protocol."""
    lesson = checked(RECIPES.learner_lesson, wildcards.dataset, method, k)
    if lesson is None:
        return None
    ipc = (k + 1) * images_per_increment(recipes_of(wildcards)(method))
    return images_trained_on(lesson, ipc * len(names_of(wildcards)))


def recipes_of(wildcards):
    """Return a function from a method to its recipe on a target's data set."""
    return lambda method: checked(RECIPES.method, wildcards.dataset, method)


def drawer_of(wildcards, method):
    last = last_increment(wildcards, method)
    shards = shards_by_job(wildcards.dataset, method, range(1, last + 1)).values()
    mean = sum(shards) / len(shards) if shards else 1
    return Drawer(recipes_of(wildcards)(method), last + 1, mean)


def artifacts_before(wildcards, drawers):
    """Return the artifacts of the stages before drawing, for the first seed: paths by job."""
    first = {"dataset": wildcards.dataset, "seed": config["seeds"][0]}
    artifacts = {
        ("train_reference",): REFERENCE.format(**first),
        ("influence_gradients",): INFLUENCE.format(**first),
        ("watch_training",): DYNAMICS.format(**first),
    }
    if dataset_of(wildcards).prior.small_decoder.source == "train":
        artifacts["train_small_decoder",] = SMALL_DECODER.format(**first)
    for method, drawer in drawers.items():
        if tuner := prior_owner(drawer.recipe, method):
            phases = phases_of(wildcards.dataset, tuner)
            # Increment 0 is drawn with all phases.
            artifacts["finetune_prior", tuner] = PHASE.format(
                method=tuner, phase=0, phases=phases, **first
            )
        for k in range(drawer.increments):
            artifacts["cluster_modes", method, k] = MODES.format(
                method=method, k=k, **first
            )
    return artifacts


def jobs_behind(wildcards, method, owner, artifacts):
    """Return those of the artifacts' jobs that a method's increments depend on."""
    paths = paths_behind(wildcards, method, owner)
    return {job for job, path in artifacts.items() if path in paths}


def paths_behind(wildcards, method, owner):
    """Return the input files of a method's increments, with increment 0, for the first seed."""
    drawn = [(method, k) for k in range(1, last_increment(wildcards, method) + 1)]
    paths = set()
    for drawer, k in [(owner, 0), *drawn]:
        known = {"dataset": wildcards.dataset, "seed": config["seeds"][0]}
        # Wildcards as Snakemake gives them to the input functions of the job that draws it.
        job = type(wildcards)(fromdict=known | {"method": drawer, "k": k})
        labels = all_labels(job)
        inputs = increment_inputs(job, labels) if k else seed_inputs(job)
        if "learner" in inputs:
            inputs |= learner_teacher(job)
        for path in inputs.values():
            paths.update([path] if isinstance(path, str) else path)
    return paths
