"""Inputs and parameters of what compares methods: families and cost."""

from lgd_core.passes import mean_passes


def family_of(wildcards):
    return checked(RECIPES.families.on, wildcards.dataset, wildcards.family)


def family_sizes(wildcards):
    """Return the images per class of an increment, by method of a family."""
    return {
        method: checked(RECIPES.method, wildcards.dataset, method)["ipc_per_increment"]
        for _, method in family_of(wildcards)["variants"]
    }


def family_inputs(wildcards):
    """Return what is known of every variant, at every amount of images per class."""
    family, inputs = family_of(wildcards), {}
    made = {
        method: [ipc // size - 1 for ipc in family["ipc"]]
        for method, size in family_sizes(wildcards).items()
    }

    def files(name, last_only=False, **values):
        return [
            path
            for method, ks in made.items()
            for path in expand(
                f"results/{{dataset}}/{{method}}/s{{seed}}/k{{k}}/{name}",
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=[max(ks)] if last_only else ks,
                **values,
            )
        ]

    inputs["runs"] = files("evaluate/{student}.json", student=family["students"])
    if family["learner"]:
        inputs["learners"] = files("learner.json")
    if family["redundancy"]:
        # The matrix of fewer increments is the corner of that of more.
        inputs["matrices"] = files("cross_increment.json", last_only=True)
    inputs["paper"] = [f"config/paper/{table}.csv" for table in family["paper"]]
    return inputs


def seed_owner(wildcards, method):
    """Return the method that makes a method's increment 0: itself unless it is shared."""
    source = checked(RECIPES.method, wildcards.dataset, method)["seed"]["source"]
    return method if source in SEED_SOURCES else seed_owner(wildcards, source)


def cost_stages(wildcards):
    """Return the stages of a comparison, see costs.cost_table; what is shared stands there once."""
    methods = config["methods"]
    learning = [
        m
        for m in methods
        if needs_learner(checked(RECIPES.method, wildcards.dataset, m))
    ]
    trained = dataset_of(wildcards)["prior"]["source"] == "train"
    owners = {method: seed_owner(wildcards, method) for method in methods}
    stages = [
        shared_cost("train_prior", wildcards, methods if trained else []),
        shared_cost("train_reference", wildcards, methods if trained else learning),
    ]
    for owner in dict.fromkeys(owners.values()):
        users = [method for method in methods if owners[method] == owner]
        stages.append(seed_cost(wildcards, owner, users))
    for method in methods:
        last = last_increment(wildcards, method)
        if last:
            stages.append(sampling_cost(wildcards, method, last))
        if last and method in learning:
            stages.append(learner_cost(wildcards, method, last))
        stages.append(evaluation_cost(wildcards, method, last))
    return [stage for stage in stages if stage["used_by"]]


def shared_cost(name, wildcards, users):
    """Return a stage that belongs to the data set."""
    return {
        "stage": name,
        "method": "shared",
        "used_by": users,
        "benchmarks": [f"results/benchmarks/{name}/{wildcards.dataset}.tsv"],
    }


def seed_cost(wildcards, owner, users):
    recipe = checked(RECIPES.method, wildcards.dataset, owner)
    return {
        "stage": "seed_increment",
        "method": owner,
        "used_by": users,
        "images": images_of(wildcards, owner, 1),
        "passes": mean_passes(recipe, [0]),
        "benchmarks": expand(
            "results/benchmarks/seed_increment/{dataset}_{method}_s{seed}.tsv",
            dataset=wildcards.dataset,
            method=owner,
            seed=config["seeds"],
        ),
    }


def sampling_cost(wildcards, method, last):
    recipe = checked(RECIPES.method, wildcards.dataset, method)
    return {
        "stage": "sample_candidates",
        "method": method,
        "used_by": [method],
        "images": images_of(wildcards, method, last),
        "passes": mean_passes(recipe, range(1, last + 1)),
        "benchmarks": expand(
            "results/benchmarks/sample_candidates/{dataset}_{method}_s{seed}_k{k}_{shard}of{shards}.tsv",
            dataset=wildcards.dataset,
            method=method,
            seed=config["seeds"],
            k=range(1, last + 1),
            shard=range(checked(RECIPES.shards, wildcards.dataset)),
            shards=config["shards"],
        ),
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
    recipe, students = dataset_of(wildcards)["evaluation"], students_of(wildcards)
    networks = len(students) * config["runs"]
    epochs = epochs_at(recipe["epochs"], int(wildcards.ipc))
    return {
        "stage": "evaluate",
        "method": method,
        "used_by": [method],
        "images": images_of(wildcards, method, last + 1) * epochs * networks,
        "benchmarks": expand(
            "results/benchmarks/evaluate/{dataset}_{method}_s{seed}_k{k}_{student}.tsv",
            dataset=wildcards.dataset,
            method=method,
            seed=config["seeds"],
            k=last,
            student=students,
        ),
    }


def images_of(wildcards, method, increments):
    """Return the images of some increments of a method, over all classes and seeds."""
    recipe = checked(RECIPES.method, wildcards.dataset, method)
    classes = len(dataset_of(wildcards)["classes"])
    return classes * recipe["ipc_per_increment"] * increments * len(config["seeds"])
