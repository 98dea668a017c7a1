"""Inputs and parameters of what compares methods: families, and the paper's tables."""

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
    inputs["paper"] = paper_tables(wildcards, family["paper"])
    return inputs
