def seed_inputs(wildcards):
    """Return what increment 0 is made from: another method's, real images, or the prior."""
    source = method_of(wildcards)["seed"]["source"]
    if source not in ("prior", "real", "folder"):
        path = "results/{dataset}/{source}/s{seed}/k0/increment.safetensors"
        return {"shared": path.format(source=source, **wildcards)}
    real = [path.format(**wildcards) for path in arrays("train")] if source == "real" else []
    return {"prior": prior_files(wildcards), "real": real}


def candidate_inputs(wildcards):
    """Return what candidates are drawn from: the set so far, and the learner where one is used."""
    method = method_of(wildcards)
    if method["source"] == "real":
        real = [path.format(**wildcards) for path in arrays("train")]
        return {"prior": prior_files(wildcards), "real": real}
    inputs = {"prior": prior_files(wildcards)}
    if method["deviation"]["strength"]:
        inputs["memory"] = increments_before(wildcards)
    if needs_learner(method):
        inputs["learner"] = learner_before(wildcards)
        inputs["reference"] = f"results/{wildcards.dataset}/reference/model.safetensors"
    return inputs


def learner_before(wildcards):
    """Return the learner of increment k - 1; none at k = 0, where learning starts."""
    previous = int(wildcards.k) - 1
    path = "results/{dataset}/{method}/s{seed}/k{previous}/learner.safetensors"
    values = {"dataset": wildcards.dataset, "method": wildcards.method, "seed": wildcards.seed}
    return path.format(previous=previous, **values) if previous >= 0 else []


def sampling_facts(wildcards):
    """Return the keys of a method that decide what its candidates look like."""
    method = method_of(wildcards)
    keys = ["source", "through_autoencoder", "ipc_per_increment"]
    if method["source"] == "prior":
        keys += ["sampler", "window", "candidates", "learnability", "deviation"]
    return {key: method[key] for key in keys}


def seed_facts(wildcards):
    """Return the keys of a method that decide what its increment 0 looks like."""
    method = method_of(wildcards)
    keys = ["seed", "ipc_per_increment"]
    if method["seed"]["source"] == "prior":
        keys += ["sampler"]
    if method["seed"]["source"] in ("real", "folder"):
        keys += ["through_autoencoder"]
    return {key: method[key] for key in keys}


rule seed_increment:
    """Make increment 0: drawn from the prior, real images, a folder, or another method's seed."""
    input:
        unpack(seed_inputs),
    output:
        increment="results/{dataset}/{method}/s{seed}/k0/increment.safetensors",
    log:
        "results/logs/seed_increment/{dataset}_{method}_s{seed}.log",
    benchmark:
        "results/benchmarks/seed_increment/{dataset}_{method}_s{seed}.tsv"
    threads: ALL_CORES
    resources:
        gpu=GPU,
    params:
        hp=lambda wildcards: stage(
            "seed_increment",
            method=seed_facts(wildcards),
            prior=prior_facts(dataset_of(wildcards), wildcards.dataset),
            network=network_facts(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/seed_increment.py"


rule sample_candidates:
    """Draw all candidates of increment k >= 1 for one shard of the classes."""
    input:
        unpack(candidate_inputs),
    output:
        candidates="results/{dataset}/{method}/s{seed}/k{k}/candidates/{shard}of{shards}.safetensors",
    wildcard_constraints:
        k="[1-9][0-9]*",
    log:
        "results/logs/sample_candidates/{dataset}_{method}_s{seed}_k{k}_{shard}of{shards}.log",
    benchmark:
        "results/benchmarks/sample_candidates/{dataset}_{method}_s{seed}_k{k}_{shard}of{shards}.tsv"
    threads: ALL_CORES
    resources:
        gpu=GPU,
    params:
        hp=lambda wildcards: stage(
            "sample_candidates",
            method=sampling_facts(wildcards),
            prior=prior_facts(dataset_of(wildcards), wildcards.dataset),
            network=network_facts(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/sample_candidates.py"


rule select_increment:
    """Keep the candidate of highest learnability at every position, over all shards."""
    input:
        lambda wildcards: expand(
            "results/{{dataset}}/{{method}}/s{{seed}}/k{{k}}/candidates/{shard}of{shards}.safetensors",
            shard=range(min(config["shards"], len(dataset_of(wildcards)["classes"]))),
            shards=min(config["shards"], len(dataset_of(wildcards)["classes"])),
        ),
    output:
        increment="results/{dataset}/{method}/s{seed}/k{k}/increment.safetensors",
    wildcard_constraints:
        k="[1-9][0-9]*",
    log:
        "results/logs/select_increment/{dataset}_{method}_s{seed}_k{k}.log",
    params:
        hp=stage("select_increment"),
    script:
        "../workflow_scripts/select_increment.py"


rule merge_increment:
    """Write increments 0 to k as class folders of PNG with a manifest."""
    input:
        increments_until,
    output:
        folder=directory("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    log:
        "results/logs/merge_increment/{dataset}_{method}_s{seed}_k{k}.log",
    params:
        hp=lambda wildcards: stage("merge_increment", classes=dataset_of(wildcards)["classes"]),
    script:
        "../workflow_scripts/merge_increment.py"


rule train_learner:
    """Train the learner on the set so far: from scratch at k = 0, continued afterwards."""
    input:
        arrays("validation", "test"),
        distilled="results/{dataset}/{method}/s{seed}/k{k}/distilled",
        previous=learner_before,
    output:
        learner="results/{dataset}/{method}/s{seed}/k{k}/learner.safetensors",
        curve="results/{dataset}/{method}/s{seed}/k{k}/learner.json",
    log:
        "results/logs/train_learner/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/train_learner/{dataset}_{method}_s{seed}_k{k}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    params:
        hp=lambda wildcards: stage(
            "train_learner",
            learner=method_of(wildcards)["learner"],
            network=network_facts(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/train_learner.py"
