"""Settings and inputs of the scores of sets."""

from lgd_core.base.digests import fingerprint
from lgd_core.config.arms import arms_of, has_class_labels, protocol_of_arm
from lgd_core.config.checks import check_held_out
from lgd_core.config.methods import images_per_increment
from lgd_core.config.stages import student_settings

SCORED = (
    "results/{dataset}/{method}/s{seeds}/k{k}/scores/{protocol}/{arm}/{student}.json"
)
FULL = "results/{dataset}/reference/full/{student}.json"


def scored_by(wildcards):
    """Return the protocol and the student of a data set's scores, by their wildcards."""
    protocol, student = checked(RECIPES.scored_by, wildcards.dataset)
    return {"protocol": protocol, "student": student}


def scored_protocol(wildcards):
    """Return the protocol of a data set's scores, with all its keys."""
    names = scored_by(wildcards)
    return checked(
        RECIPES.protocol, wildcards.dataset, names["protocol"], names["student"]
    )


def seeds_between(seeds):
    """Return the seeds that a wildcard names: one such as 3, or several such as 0to4."""
    first, _, last = seeds.partition("to")
    return range(int(first), int(last or first) + 1)


def arm_protocol(wildcards):
    """Return how students of an arm learn."""
    protocol = protocol_of(wildcards, wildcards.dataset)
    return protocol_of_arm(protocol, wildcards.arm, config["scores"]["rates"])


def arm_lesson(wildcards):
    """Return how students of an arm learn a set, by the images per class of its increments."""
    ipc = (int(wildcards.k) + 1) * images_per_increment(method_of(wildcards))
    where = f"protocol '{wildcards.protocol}' on data set '{wildcards.dataset}'"
    return checked(student_settings, arm_protocol(wildcards), ipc, where)


def arm_inputs(wildcards):
    """Return the increments of all sets of an arm, set by set, and what labels them."""
    dataset, method, k = wildcards.dataset, wildcards.method, int(wildcards.k)
    where = f"config/datasets/{dataset}.yaml"
    checked(check_held_out, dataset_of(wildcards), where, "scores.csv")
    folders = [
        f"results/{dataset}/{method}/s{seed}" for seed in seeds_between(wildcards.seeds)
    ]
    increments = [
        f"{folder}/k{j}/increment.safetensors"
        for folder in folders
        for j in range(k + 1)
    ]
    source = arm_protocol(wildcards).labels.source
    labels = [
        label_inputs(source, dataset, f"{folder}/k{k}", wildcards.protocol)
        for folder in folders
    ]
    # Stored labels are those of a set, a teacher is that of all sets.
    distinct = {
        name: list(dict.fromkeys(each[name] for each in labels)) for name in labels[0]
    }
    return {"increments": increments} | distinct


def arms_of_sets(wildcards):
    """Return the measured arms of every set of a target."""
    patterns = expand(
        SCORED.replace("{seeds}", "{seed}"),
        arm=arms_of(scored_protocol(wildcards)),
        **scored_by(wildcards),
        allow_missing=True,
    )
    return [path for pattern in patterns for path in over_methods(pattern)(wildcards)]


def arms_of_random(wildcards):
    """Return the measured arms of random real images, another subset in every round."""
    return expand(
        SCORED,
        dataset=wildcards.dataset,
        method="random",
        seeds=f"0to{config['scores']['rounds'] - 1}",
        k=last_increment(wildcards, "random"),
        arm=["own", "unaugmented"],
        **scored_by(wildcards),
    )


def is_reference(wildcards):
    """Whether the student of the scores has the architecture of the reference."""
    student = scored_by(wildcards)["student"]
    return dataset_of(wildcards).reference.architecture == student


def full_accuracy(wildcards):
    """Return where the accuracy of the student's architecture on all real images is."""
    if is_reference(wildcards):
        return f"results/{wildcards.dataset}/reference/metrics.json"
    return FULL.format(dataset=wildcards.dataset, **scored_by(wildcards))


def score_facts(wildcards):
    """Return what a table of scores says of how they were measured."""
    rates = config["scores"]["rates"]
    protocol = protocol_of_arm(scored_protocol(wildcards), "own", rates)
    digested = canonical({"protocol": protocol, "rates": rates})
    return scored_by(wildcards) | {
        "protocol_digest": fingerprint(digested),
        "labels": "hard" if has_class_labels(protocol) else "soft",
        "real_from": "reference" if is_reference(wildcards) else "trained",
    }
