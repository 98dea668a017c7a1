"""The workflow as a module of another one, and what workflows share."""

from conftest import TARGETS, Project, new_project

TABLE = TARGETS[0]


def test_another_workflow_makes_the_same_bytes(importing, finished):
    importing.make("--", "results/best.txt")
    found, expected = importing.digests(), finished.digests()
    assert found.pop("results/best.txt")
    assert TABLE in found
    assert found == {name: expected.get(name) for name in found}
    assert "Nothing to be done" in importing.make("-n", "--", "results/best.txt")


def test_the_whole_comparison_is_the_target_where_no_rule_comes_before(importing):
    assert ("lgd_all", "", "") in importing.planned()
    importing.replace("Snakefile", "module lgd:", 'rule mine:\n    shell: "true"\n\n\nmodule lgd:')
    assert set(importing.planned()) == {("mine", "", "")}


def test_recipes_of_its_own_come_before_those_of_the_product(importing):
    """What it has not, such as the paper's tables and the shipped priors, is the product's."""
    recipes = importing.folder / "config/methods"
    recipes.mkdir(parents=True)
    (recipes / "mine.yaml").write_text("extends: random\n")
    assert ("lgd_seed_increment", "mine", "") in importing.planned(
        "--", "results/digits/mine/s0/k0/increment.safetensors"
    )
    prior = importing.make("-n", "--", "results/fashionmnist/prior_source.json")
    assert "input: ../project/priors/fashionmnist/model_index.json" in prior
    (recipes / "random.yaml").write_text("source: raal\n")
    done = importing.run("-n")
    assert "error: config/methods/random.yaml: source: found 'raal'" in done.stderr


def test_keys_of_another_workflow_are_refused_in_one_line(importing):
    importing.replace("Snakefile", 'config["distilling"]', "config")
    done = importing.run("-n")
    assert done.returncode != 0
    assert "error: config: distilling: unknown key" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_prefix_is_refused(importing):
    importing.replace("Snakefile", "    config:", '    prefix: "theirs"\n    config:')
    assert "error: module: found prefix" in importing.run("-n").stderr


def test_the_project_may_lie_elsewhere(tmp_path):
    """Without another workflow too, as by `--snakefile` in an empty folder."""
    new_project(tmp_path / "project")
    empty = Project(tmp_path, ("--cores", "1", "--snakefile", "project/Snakefile"))
    assert ("fetch_prior", "", "") in empty.planned(
        "--configfile", "project/tiny.yaml", "--", "results/glyphs/prior_source.json"
    )


def test_words_of_the_command_line_have_types_in_a_module(importing):
    """Snakemake has laid them over the file before the module sees them, as text."""
    output = importing.make("-n", "--config", "distilling={ipc: [10], seeds: [3]}")
    assert "seed=3" in output
    assert "results/digits_ipc10/table.csv" in output


def test_data_are_prepared_once_for_two_workflows(tmp_path):
    cache, prepared = tmp_path / "cache", "results/digits/data/prepared.json"
    cache.mkdir()
    one, other = (new_project(tmp_path / name) for name in ("one", "other"))
    env = {"SNAKEMAKE_OUTPUT_CACHE": str(cache)}
    for project in (one, other):
        done = project.run("--cache", "--", prepared, env=env)
        assert done.returncode == 0, done.stderr
    names = ("source.json", "prepared.json", "train_images.npy", "test_labels.npy")
    for name in (f"results/digits/data/{name}" for name in names):
        assert one.digests()[name] == other.digests()[name]
    log = "results/logs/prepare_dataset/digits.log"
    assert (one.folder / log).read_text().endswith("done\n")
    assert not (other.folder / log).read_text(), "no job has run there"
    kept = (other.folder / "results/digits/data/train_images.npy").resolve()
    assert kept.parent == cache.resolve()
    assert "Nothing to be done" in other.make("-n", "--", prepared)


def test_another_data_set_with_the_same_recipe_is_not_the_same(tmp_path):
    """The data set's name decides which images are held out."""
    project = new_project(tmp_path / "project")
    recipes = project.folder / "config/datasets"
    (recipes / "twin.yaml").write_text((recipes / "digits.yaml").read_text())
    (tmp_path / "cache").mkdir()
    env = {"SNAKEMAKE_OUTPUT_CACHE": str(tmp_path / "cache")}
    files = [f"results/{name}/data/prepared.json" for name in ("digits", "twin")]
    held = "overrides={datasets: {digits: {source: {validation_fraction: 0.2}}, "
    held += "twin: {source: {validation_fraction: 0.2}}}}"
    done = project.run(
        "--cache", "--config", "datasets=[digits, twin]", held, "--", *files, env=env
    )
    assert done.returncode == 0, done.stderr
    one, other = ((project.folder / file).read_bytes() for file in files)
    assert one != other
