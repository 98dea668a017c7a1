"""Inputs and settings of tables, figures and pages."""

from lgd_core.config.classes import class_label
from lgd_core.config.methods import images_per_increment, is_guided
from lgd_core.config.sources import compares_with_paper


def paper_tables(wildcards, names):
    """Return tables of the paper; none where its numbers do not compare with the data set's."""
    if not compares_with_paper(source_of(wildcards)):
        return []
    return [f"config/paper/{name}.csv" for name in names]


def family_of(wildcards):
    return checked(RECIPES.sweep, wildcards.dataset, wildcards.family)


def family_sizes(wildcards):
    """Return the images per class of an increment, by method of a family."""
    return {
        method: checked(RECIPES.method, wildcards.dataset, method).ipc_per_increment
        for _, method in family_of(wildcards).variants
    }


def family_inputs(wildcards):
    """Return what is known of every variant, at every amount of images per class."""
    family, inputs = family_of(wildcards), {}
    made = {
        method: [ipc // size - 1 for ipc in family.ipc]
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

    inputs["runs"] = files(
        "evaluate/{protocol}/{student}/r{run}.json",
        protocol=protocols_of(wildcards),
        student=family.students,
        run=range(config["runs"]),
    )
    if family.learner:
        inputs["learners"] = files("learner.json")
    if family.redundancy:
        # The matrix of fewer increments is the corner of that of more.
        inputs["matrices"] = files("cross_increment.json", last_only=True)
    inputs["paper"] = paper_tables(wildcards, family.paper)
    return inputs


def trace_inputs(wildcards):
    """Return what candidates are drawn from, and what a trace measures them by in any case."""
    return candidate_inputs(wildcards) | {
        "memory": increments_before(wildcards, int(wildcards.k)),
        "learner": previous_learner(wildcards),
        "reference": f"results/{wildcards.dataset}/reference/model.safetensors",
    }


def is_traced(wildcards, method):
    """Whether a method draws from the prior with guidance, so that there is something to trace."""
    recipe = checked(RECIPES.method, wildcards.dataset, method)
    return recipe.source == "prior" and is_guided(recipe)


def over_increments(pattern, first=0, traced_only=False):
    """Return an input function: the pattern for every method, seed and increment of a target."""

    def inputs(wildcards):
        return [
            path
            for method in methods_of(wildcards)
            if not traced_only or is_traced(wildcards, method)
            for path in expand(
                pattern,
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=range(first, last_increment(wildcards, method) + 1),
            )
        ]

    return inputs


def real_difficulties(wildcards):
    """Return the real set's measurements, of as many images per class, for every seed."""
    return expand(
        "results/{{dataset}}/reference/s{seed}/difficulty_ipc{{ipc}}.safetensors",
        seed=config["seeds"],
    )


def increment_images(wildcards):
    """Return the images that networks see of one increment of every method: all classes together."""
    classes = len(names_of(wildcards))
    return {
        method: classes
        * images_per_increment(checked(RECIPES.method, wildcards.dataset, method))
        for method in methods_of(wildcards)
    }


def reported(path, label, caption, category="{dataset}", subcategory="IPC {ipc}{name}"):
    """Return an output that stands in the report, under a label and with a caption of report/."""
    return report(
        path,
        caption=f"../report/{caption}.rst",
        category=category,
        subcategory=subcategory,
        labels={"artifact": label},
    )


def figure_settings(rule_name, version, wildcards, **keys):
    """Return what every figure's script reads: the comparison, the resolution, and its own keys."""
    return stage(
        rule_name,
        version,
        compared=compared(wildcards),
        dpi=config["plots"]["dpi"],
        **keys,
    )


def names_of(wildcards):
    return dataset_of(wildcards).class_names


def class_of(wildcards):
    """Return the class whose images lie in a folder of a distilled set."""
    names = names_of(wildcards)
    return names[checked(class_label, wildcards.class_folder, names)]


def zone_facts():
    """Return where the zones of difficulty part."""
    keys = ("easy_mean", "informative_variance")
    return {key: config["analyses"][key] for key in keys}


def gallery_inputs(wildcards):
    """Return all increments of a target, and the learners that came before them."""
    inputs = {"increments": [], "learners": []}
    for method in methods_of(wildcards):
        last = last_increment(wildcards, method)
        for artifact, count in (("increment", last + 1), ("learner", last)):
            inputs[f"{artifact}s"] += expand(
                "results/{dataset}/{method}/s{seed}/k{k}/{artifact}.safetensors",
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=range(count),
                artifact=artifact,
            )
    return inputs
