"""Stages of a comparison, for the table of what it costs."""

from lgd_core.config.methods import epochs_for_ipc


def seed_owner(wildcards, method):
    """Return the method that makes a method's increment 0: itself unless it is shared."""
    source = checked(RECIPES.method, wildcards.dataset, method).seed.source
    return method if source in SEED_SOURCES else seed_owner(wildcards, source)


def cost_inputs(wildcards):
    """Return the benchmarks of a comparison, and what tells the passes beside the recipes."""
    stages, paths = cost_stages(wildcards), {}
    paths["benchmarks"] = [path for stage in stages for path in stage["benchmarks"]]
    paths["curves"] = [path for stage in stages for path in stage.get("curves", [])]
    paths["prepared"] = f"results/{wildcards.dataset}/data/prepared.json"
    if any(stage["stage"] == "train_surrogate" for stage in stages):
        paths["checkpoints"] = f"results/{wildcards.dataset}/influence/checkpoints.json"
    return paths


def cost_stages(wildcards):
    """Return the stages of a comparison, see costs.cost_table; what is shared stands there once."""
    methods = methods_of(wildcards)
    owners = {method: seed_owner(wildcards, method) for method in methods}
    stages = shared_costs(wildcards, owners)
    for owner in dict.fromkeys(owners.values()):
        users = [method for method in methods if owners[method] == owner]
        stages.append(seed_cost(wildcards, owner, users))
    for method in methods:
        last = last_increment(wildcards, method)
        if last:
            stages.append(sampling_cost(wildcards, method, last))
        if last and checked(RECIPES.method, wildcards.dataset, method).needs_learner():
            stages.append(learner_cost(wildcards, method, last))
        stages.append(evaluation_cost(wildcards, method, last))
    order = ["shared", *dict.fromkeys([*methods, *owners.values()])]
    places = {method: place for place, method in enumerate(order)}
    # What belongs to one method stands together, methods in the run's order.
    stages.sort(key=lambda stage: places.get(stage["method"], len(order)))
    return [stage for stage in stages if stage["used_by"]]


def shared_costs(wildcards, owners):
    """Return the stages before any increment, each with the methods whose increments need it."""
    needs = {
        method: paths_behind(wildcards, method, owner)
        for method, owner in owners.items()
    }
    known = {"dataset": wildcards.dataset}
    trained = list(owners) if dataset_of(wildcards).prior.source == "train" else []
    reference = users_of(needs, [REFERENCE.format(**known)])
    influence = users_of(needs, [INFLUENCE.format(**known)])
    clustered, tuned = [], {}
    for drawer in dict.fromkeys([*owners.values(), *owners]):
        clustered.append(modes_cost(wildcards, drawer, needs))
        recipe = checked(RECIPES.method, wildcards.dataset, drawer)
        if tuner := prior_owner(recipe, drawer):
            users = users_of(needs, [TUNED_PRIOR.format(method=tuner, **known)])
            tuned[tuner] = tuning_cost(wildcards, tuner, users)
    encoded = {user for stage in clustered for user in stage["used_by"]}
    return [
        shared_cost("train_prior", wildcards, trained),
        shared_cost("train_reference", wildcards, trained or reference),
        shared_cost("train_surrogate", wildcards, influence),
        shared_cost("influence_gradients", wildcards, influence),
        shared_cost("encode_dataset", wildcards, [m for m in owners if m in encoded]),
        *clustered,
        *tuned.values(),
    ]


def paths_behind(wildcards, method, owner):
    """Return what a method's increments are made from, its seed's included, for the first seed."""
    drawn = [(method, k) for k in range(1, last_increment(wildcards, method) + 1)]
    paths = set()
    for drawer, k in [(owner, 0), *drawn]:
        known = {"dataset": wildcards.dataset, "seed": config["seeds"][0]}
        # What Snakemake would hand to the input functions of the job that draws it.
        job = type(wildcards)(fromdict=known | {"method": drawer, "k": k})
        for path in (candidate_inputs(job) if k else seed_inputs(job)).values():
            paths.update([path] if isinstance(path, str) else path)
    return paths


def users_of(needs, paths):
    """Return the methods that need any of some paths."""
    return [method for method, needed in needs.items() if not needed.isdisjoint(paths)]


def shared_cost(name, wildcards, users):
    """Return a stage that belongs to the data set."""
    return {
        "stage": name,
        "method": "shared",
        "used_by": users,
        "benchmarks": [f"results/benchmarks/{name}/{wildcards.dataset}.tsv"],
    }


def tuning_cost(wildcards, method, users):
    """Return the tuning of a prior, which other methods may draw from as well."""
    return {
        "stage": "finetune_prior",
        "method": method,
        "used_by": users,
        "benchmarks": [
            f"results/benchmarks/finetune_prior/{wildcards.dataset}_{method}.tsv"
        ],
    }


def modes_cost(wildcards, method, needs):
    """Return the clustering behind a method's increments, as far as any are drawn."""
    first = {"dataset": wildcards.dataset, "method": method, "seed": config["seeds"][0]}
    paths = {
        k: MODES.format(k=k, **first)
        for k in range(last_increment(wildcards, method) + 1)
    }
    made = [k for k, path in paths.items() if users_of(needs, [path])]
    return {
        "stage": "cluster_modes",
        "method": method,
        "used_by": users_of(needs, paths.values()),
        "benchmarks": expand(
            "results/benchmarks/cluster_modes/{dataset}_{method}_s{seed}_k{k}.tsv",
            **first | {"seed": config["seeds"], "k": made},
        ),
    }


def drawn_facts(wildcards, method, increments, jobs):
    """Return what the passes of some increments follow from, each made by a number of jobs."""
    recipe = checked(RECIPES.method, wildcards.dataset, method)
    return {
        "recipe": recipe.model_dump(exclude={"description", "extends"}),
        "increments": increments,
        "classes": len(dataset_of(wildcards).class_names) / jobs,
    }


def seed_cost(wildcards, owner, users):
    return {
        "stage": "seed_increment",
        "method": owner,
        "used_by": users,
        "images": images_of(wildcards, owner, 1),
        "drawn": drawn_facts(wildcards, owner, [0], 1),
        "benchmarks": expand(
            "results/benchmarks/seed_increment/{dataset}_{method}_s{seed}.tsv",
            dataset=wildcards.dataset,
            method=owner,
            seed=config["seeds"],
        ),
    }


def sampling_cost(wildcards, method, last):
    increments, dataset = list(range(1, last + 1)), wildcards.dataset
    shards = {
        (seed, k): shards_of(dataset, method, seed, k)
        for seed in config["seeds"]
        for k in increments
    }
    jobs = sum(shards.values()) / len(shards)
    return {
        "stage": "sample_candidates",
        "method": method,
        "used_by": [method],
        "images": images_of(wildcards, method, last),
        "drawn": drawn_facts(wildcards, method, increments, jobs),
        "benchmarks": [
            f"results/benchmarks/sample_candidates/{dataset}_{method}_s{seed}_k{k}_{shard}of{count}.tsv"
            for (seed, k), count in shards.items()
            for shard in range(count)
        ],
    }


def learner_cost(wildcards, method, last):
    """Return the learners that drawing needs; the last increment's is for the curve alone."""
    values = {
        "dataset": wildcards.dataset,
        "method": method,
        "seed": config["seeds"],
        "k": range(last),
    }
    return {
        "stage": "train_learner",
        "method": method,
        "used_by": [method],
        "curves": expand(
            "results/{dataset}/{method}/s{seed}/k{k}/learner.json", **values
        ),
        "benchmarks": expand(
            "results/benchmarks/train_learner/{dataset}_{method}_s{seed}_k{k}.tsv",
            **values,
        ),
    }


def evaluation_cost(wildcards, method, last):
    dataset, students = dataset_of(wildcards), students_of(wildcards)
    recipe = checked(RECIPES.method, wildcards.dataset, method)
    ipc = (last + 1) * images_per_increment(recipe)
    networks = len(students) * config["runs"] * len(config["seeds"])
    epochs = epochs_for_ipc(dataset.evaluation.epochs, ipc)
    return {
        "stage": "evaluate",
        "method": method,
        "used_by": [method],
        "images": len(dataset.classes) * ipc * epochs * networks,
        "benchmarks": expand(
            "results/benchmarks/evaluate/{dataset}_{method}_s{seed}_k{k}_{protocol}_{student}_r{run}.tsv",
            dataset=wildcards.dataset,
            method=method,
            seed=config["seeds"],
            k=last,
            protocol=protocol_of(wildcards),
            student=students,
            run=range(config["runs"]),
        ),
    }


def images_of(wildcards, method, increments):
    """Return the stored images of some increments of a method, over all classes and seeds."""
    recipe = checked(RECIPES.method, wildcards.dataset, method)
    classes = len(dataset_of(wildcards).class_names)
    return classes * recipe.ipc_per_increment * increments * len(config["seeds"])
