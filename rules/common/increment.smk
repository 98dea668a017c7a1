"""Inputs and settings of the stages that make increments."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

from lgd_core.base.listings import Made
from lgd_core.config.external import list_seed
from lgd_core.config.models.external import ElsewhereConfig
from lgd_core.config.methods import SEED_SOURCES, needs, prior_owner
from lgd_core.distill.guidances.modes import mode_settings

DYNAMICS = "results/{dataset}/dynamics.safetensors"
INFLUENCE = "results/{dataset}/influence/gradients.safetensors"
SEED = "results/{dataset}/{method}/s{seed}/k0/increment.safetensors"
SEED_RECORD = "results/{dataset}/{method}/s{seed}/k0/seed_listing.json"
MODES = "results/{dataset}/{method}/s{seed}/k{k}/modes.safetensors"


# Paths of the artifacts that an increment of a method may need; see config.methods.needs.
ARTIFACTS = {
    "originals": lambda wildcards, k: arrays_of(wildcards, "originals"),
    "train": lambda wildcards, k: arrays_of(wildcards, "train"),
    "reference": lambda wildcards, k: REFERENCE.format(**wildcards),
    "influence": lambda wildcards, k: INFLUENCE.format(**wildcards),
    "modes": lambda wildcards, k: modes_of(wildcards, k),
    "memory": lambda wildcards, k: increments_before(wildcards, k),
    "learner": lambda wildcards, k: previous_learner(wildcards),
    "dynamics": lambda wildcards, k: DYNAMICS.format(**wildcards),
    "external": lambda wildcards, k: set_files(method_of(wildcards)),
    "small_decoder": lambda wildcards, k: SMALL_DECODER.format(**wildcards),
}


def artifacts_of(wildcards, names, k):
    """Return the paths of a method's artifacts by name."""
    paths = {name: ARTIFACTS[name](wildcards, k) for name in sorted(names)}
    decoder = stored_decoder(wildcards) if "small_decoder" in names else []
    return paths | ({"stored_decoder": decoder} if decoder else {})


def set_files(method):
    """Return the arrays of a method's set from elsewhere, and their record."""
    name = method.section(ElsewhereConfig).set
    return [
        f"results/external/{name}/{file}"
        for file in ("set_images.npy", "set_labels.npy", "set.json")
    ]


def arrays_of(wildcards, split):
    return [path.format(**wildcards) for path in arrays(split)]


def modes_of(wildcards, k):
    """Return the modes that an increment uses: its own, or those shared by all increments."""
    values = dict(wildcards.items()) | {
        "k": mode_settings(method_of(wildcards), k).increment
    }
    return MODES.format(**values)


def increments_before(wildcards, k):
    """Return increments 0 to k - 1."""
    path = "results/{dataset}/{method}/s{seed}/k{j}/increment.safetensors"
    values = {name: wildcards[name] for name in ("dataset", "method", "seed")}
    return [path.format(j=j, **values) for j in range(k)]


def increments_up_to(wildcards):
    """Return increments 0 to k."""
    return expand(
        "results/{{dataset}}/{{method}}/s{{seed}}/k{j}/increment.safetensors",
        j=range(int(wildcards.k) + 1),
    )


def seed_inputs(wildcards):
    """Return the inputs of increment 0: another method's increment 0, or those of its source."""
    method = method_of(wildcards)
    source = method.seed.source
    if source not in SEED_SOURCES:
        path = "results/{dataset}/{source}/s{seed}/k0/increment.safetensors"
        return {"shared": path.format(source=source, **wildcards)}
    needed = {"own": needs(method, 0), "real": {"originals"}}.get(source, set())
    # No memory, since there is no set yet.
    return prior_for(wildcards, all_labels(wildcards)) | artifacts_of(
        wildcards, needed - {"memory"}, 0
    )


def all_labels(wildcards):
    return list(range(len(dataset_of(wildcards).classes)))


def prior_for(wildcards, labels):
    """Return the record of the data set's prior, and the phases tuned for classes, if any."""
    inputs = {"prior": PRIOR.format(**wildcards), "stored": stored_prior(wildcards)}
    owner = prior_owner(method_of(wildcards), wildcards.method)
    if owner is None:
        return inputs
    dataset, classes = wildcards.dataset, len(all_labels(wildcards))
    phases = phases_of(dataset, owner)
    known = {"dataset": dataset, "method": owner, "phases": phases}
    wanted = phases_with(labels, classes, phases)
    return inputs | {"tuned": expand(PHASE, phase=wanted, **known)}


def candidate_inputs(wildcards):
    """Return the inputs of an increment's candidates for one shard of the classes."""
    classes = len(all_labels(wildcards))
    labels = class_runs(classes, int(wildcards.shards))[int(wildcards.shard)]
    return increment_inputs(wildcards, labels)


def increment_inputs(wildcards, labels):
    """Return the inputs of an increment's candidates for some classes."""
    k = int(wildcards.k)
    return prior_for(wildcards, labels) | artifacts_of(
        wildcards, needs(method_of(wildcards), k), k
    )


def shards_of(dataset, method, seed, k):
    """Return the number of shards of an increment: that of the run, or of existing candidates.

    Images do not depend on the number of shards, so an existing complete set of candidates is used
    as it is.
    """
    folder = Path(f"results/{dataset}/{method}/s{seed}/k{k}/candidates")
    wanted = checked(RECIPES.shards, dataset)
    # One listing: asking for every shard of every increment is slow where files are remote.
    files = {path.name for path in folder.glob("*of*.safetensors")}
    found = {
        int(name.split("of")[1].split(".")[0]) for name in files if name[:3] == "0of"
    }
    for shards in (wanted, *sorted(found)):
        if files >= {f"{shard}of{shards}.safetensors" for shard in range(shards)}:
            return shards
    return wanted


def candidate_shards(wildcards):
    """Return the candidates of all classes of an increment."""
    shards = shards_of(**wildcards)
    return expand(
        "results/{{dataset}}/{{method}}/s{{seed}}/k{{k}}/candidates/{shard}of{shards}.safetensors",
        shard=range(shards),
        shards=shards,
    )


def choice_of(wildcards):
    """Return what chooses among candidates by its name; nothing where learnability does."""
    choice = choice_settings(method_of(wildcards))
    return {} if choice is None else {"choice": choice}


def previous_learner(wildcards):
    """Return the learner of increment k - 1; none for k = 0."""
    previous = int(wildcards.k) - 1
    path = "results/{dataset}/{method}/s{seed}/k{previous}/learner.safetensors"
    values = {
        "dataset": wildcards.dataset,
        "method": wildcards.method,
        "seed": wildcards.seed,
    }
    return path.format(previous=previous, **values) if previous >= 0 else []


def learner_teacher(wildcards):
    """Return the network whose labels a method's learner learns; none for labels of classes."""
    protocol = checked(RECIPES.learner_protocol, wildcards.dataset, wildcards.method)
    if protocol is None or protocol.labels.source == "class":
        return {}
    return {"teacher": REFERENCE.format(dataset=wildcards.dataset)}


def learner_stage(wildcards):
    """Return what decides the learner of increment k beside its inputs."""
    words = (wildcards.dataset, wildcards.method)
    protocol = checked(RECIPES.learner_protocol, *words)
    lesson = checked(RECIPES.learner_lesson, *words, int(wildcards.k))
    dataset = dataset_of(wildcards)
    return stage(
        "train_learner",
        1,
        learner=learner_settings(method_of(wildcards).learner, lesson),
        network=(
            student_images(dataset, protocol) if protocol else trained_images(dataset)
        ),
    )


def seed_stage(wildcards):
    """Return the settings of increment 0, without its inputs and the images of a folder."""
    return stage(
        "seed_increment",
        2,
        method=seed_settings(method_of(wildcards)),
        prior_labels=dataset_of(wildcards).prior.labels,
        network=drawn_images(dataset_of(wildcards), method_of(wildcards)),
        names=class_names(dataset_of(wildcards)) if seed_folder(wildcards) else None,
    )


def seed_folder(wildcards):
    """Return the folder of a method's increment 0, which may be missing; None without one."""
    seed = method_of(wildcards).seed
    return seed.folder if seed.source == "folder" else None


@cache
def seed_images(dataset, method, seed):
    """Return the identity of the images in the folder of increment 0; None without a folder."""
    values = {"dataset": dataset, "method": method, "seed": seed}
    wildcards = SimpleNamespace(**values)
    folder = seed_folder(wildcards)
    if folder is None:
        return None
    made = Made(
        record=SEED_RECORD.format(**values),
        outputs=[SEED.format(**values)],
        recipe=seed_stage(wildcards),
    )
    count = method_of(wildcards).ipc_per_increment
    arguments = (
        folder,
        class_names(dataset_of(wildcards)),
        count,
        f"method '{method}'",
    )
    return checked(made.identity, lambda: list_seed(*arguments))
