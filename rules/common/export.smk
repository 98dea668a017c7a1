"""Inputs and settings of sets that leave for other programs."""

from lgd_core.exchange.form import forms


wildcard_constraints:
    form="|".join(map(re.escape, forms())),


def exported_increments(wildcards):
    """Return the folder of a method's last increment for a target, of the run's first seed."""
    k = last_increment(wildcards, wildcards.method)
    return f"results/{wildcards.dataset}/{wildcards.method}/s{config['seeds'][0]}/k{k}"


def export_inputs(wildcards):
    """Return the merged set, the record of its data, accuracies and labels that leave with it."""
    check_name(wildcards)
    folder = exported_increments(wildcards)
    inputs = {
        "distilled": f"{folder}/distilled",
        "record": PREPARED.format(**wildcards),
    }
    if config["export"]["accuracies"]:
        inputs["runs"] = expand(
            f"{folder}/evaluate/{{protocol}}/{{student}}/r{{run}}.json",
            protocol=protocols_of(wildcards),
            student=students_of(wildcards),
            run=range(config["runs"]),
        )
    if protocol := config["export"]["labels"]:
        checked(RECIPES.exported_labels, wildcards.dataset)
        inputs["labels"] = f"{folder}/labels/{protocol}.safetensors"
    return inputs


def export_settings(wildcards):
    """Return what a set that leaves says of itself, beside what its inputs say."""
    dataset, method = dataset_of(wildcards), method_of(wildcards)
    drawn = checked(RECIPES.draws_from_prior, wildcards.dataset, wildcards.method)
    labels = checked(RECIPES.exported_labels, wildcards.dataset)
    return stage(
        "export_set",
        1,
        names=class_names(dataset),
        normalise=dataset.normalise,
        seed=config["seeds"][0],
        method_description=method.description,
        data_description=dataset.description,
        prior=dataset.prior.source if drawn else None,
        licences={
            "data": dataset.licence,
            "prior": dataset.prior.licence if drawn else None,
        },
        logits=labels and {"protocol": config["export"]["labels"], "labels": labels},
    )
