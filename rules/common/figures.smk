"""Inputs and settings of tables, figures and pages."""

from lgd_core.config.classes import class_label, sample_of
from lgd_core.config.methods import images_per_increment, is_guided
from lgd_core.config.sources import compares_with_paper


def paper_tables(wildcards, names):
    """Return tables of the paper; none if its numbers are not comparable with the data set's."""
    if not compares_with_paper(source_of(wildcards)):
        return []
    return [local(str(RECIPES.catalogue.table(name))) for name in names]


def family_of(wildcards):
    return checked(RECIPES.sweep, wildcards.dataset, wildcards.family)


def family_sizes(wildcards):
    """Return the images per class of an increment, for each method of a family."""
    return {
        method: checked(RECIPES.method, wildcards.dataset, method).ipc_per_increment
        for _, method in family_of(wildcards).variants
    }


def family_inputs(wildcards):
    """Return the results of every variant for every number of images per class."""
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
        # The matrix for fewer increments is a corner of this one.
        inputs["matrices"] = files("cross_increment.json", last_only=True)
    inputs["paper"] = paper_tables(wildcards, family.paper)
    return inputs


def trace_inputs(wildcards):
    """Return the inputs of candidates, and the inputs that every trace needs for measuring."""
    return increment_inputs(wildcards, all_labels(wildcards)) | {
        "memory": increments_before(wildcards, int(wildcards.k)),
        "learner": previous_learner(wildcards),
        "reference": f"results/{wildcards.dataset}/reference/model.safetensors",
    }


def is_traced(wildcards, method):
    """Whether a method draws from the prior with guidance and from noise, as a trace does."""
    recipe = checked(RECIPES.method, wildcards.dataset, method)
    from_noise = recipe.source == "prior" and recipe.start_step is None
    return from_noise and is_guided(recipe)


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
    """Return the measurements of real images, as many per class as in the sets, for every seed."""
    return expand(
        "results/{{dataset}}/reference/s{seed}/difficulty_ipc{{ipc}}.safetensors",
        seed=config["seeds"],
    )


def increment_images(wildcards):
    """Return the number of images that networks see in an increment of all classes, by method."""
    classes = len(names_of(wildcards))
    return {
        method: classes
        * images_per_increment(checked(RECIPES.method, wildcards.dataset, method))
        for method in methods_of(wildcards)
    }


def reported(path, label, caption, category="{dataset}", subcategory="IPC {ipc}{name}"):
    """Return an output that is shown in the report, with a label and a caption of report/."""
    return report(
        path,
        caption=f"../report/{caption}.rst",
        category=category,
        subcategory=subcategory,
        labels={"artifact": label},
    )


def figure_settings(rule_name, version, wildcards, **keys):
    """Return the settings of a figure: the comparison, the resolution, the figure's own keys."""
    return stage(
        rule_name,
        version,
        compared=compared(wildcards),
        dpi=config["plots"]["dpi"],
        **keys,
    )


def names_of(wildcards):
    return dataset_of(wildcards).class_names


def shown_classes(wildcards):
    """Return the settings of a figure that cannot show all classes; none if it can."""
    names, limit = names_of(wildcards), config["plots"]["classes"]
    return {} if len(names) <= limit else {"shown": sample_of(names, limit)}


def classes_per_group(wildcards):
    """Return the settings of a page that shows classes in groups; none if it shows all at once."""
    limit = config["plots"]["classes"]
    return {} if len(names_of(wildcards)) <= limit else {"classes_per_group": limit}


def class_of(wildcards):
    """Return the class of a class folder in a distilled set."""
    names = names_of(wildcards)
    return names[checked(class_label, wildcards.class_folder, names)]


def zone_facts():
    """Return the limits of the zones of difficulty."""
    keys = ("easy_mean", "informative_variance")
    return {key: config["analyses"][key] for key in keys}


def descriptions_of(wildcards):
    """Return a line about every method that the run compares."""
    return {
        method: checked(RECIPES.method, wildcards.dataset, method).description
        for method in methods_of(wildcards)
    }


def gallery_inputs(wildcards):
    """Return all increments of a target, and all learners but the last."""
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
