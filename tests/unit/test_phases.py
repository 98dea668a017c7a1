"""Phases of a tuned prior: their files, what they refuse, and draws with each class's own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lgd_core.analysis.traces import trace_guidance
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.tensors import load_tensors, save_tensors
from lgd_core.config.divisions import class_runs, phase_count, phases_with
from lgd_core.config.models.method import FinetuneConfig
from lgd_core.config.stages import images_tuned_on
from lgd_core.diffusion.phases import applied, changed_rows, load_phase, trained_values
from lgd_core.diffusion.priors import Prior, load_prior
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.drawing import draw
from lgd_core.distill.guidances.deviation import DeviationConfig
from lgd_core.distill.spec import IncrementSpec

CPU = torch.device("cpu")
NOWHERE = Checkpoint(None)
TRAINED = ["*.bias", "*class_embedder*"]
BASE = {"contents": "abc", "frequency_shift": 0}
TABLE = "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight"
BIAS = "proj_out_2.bias"
MEMORY = torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def metadata(labels: list[int], **changes: object) -> dict:
    recipe = {"labels": labels, "finetune": {"trained": TRAINED}}
    return {"recipe": recipe, "prior": BASE} | changes


@pytest.fixture
def prior(fixed_folder: Path) -> Prior:
    return load_prior(str(fixed_folder), CPU)


@pytest.fixture
def write(prior: Prior, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a phase: biases raised, and rows of labels of its classes."""

    def write(labels: list[int], raised: float = 0.5) -> Path:
        before = trained_values(prior.transformer, TRAINED)
        after = {name: tensor.clone() for name, tensor in before.items()}
        for name, tensor in after.items():
            tensor[labels if "class_embedder" in name else slice(None)] += raised
        path = tmp_path / f"{labels[0]}.safetensors"
        save_tensors(path, changed_rows(before, after), metadata(labels))
        return path

    return write


def state(prior: Prior) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in prior.transformer.state_dict().items()}


@pytest.mark.parametrize(
    ("classes", "most", "expected"),
    [(10, 20, 1), (20, 20, 1), (21, 20, 2), (1000, 20, 50), (1000, None, 1), (3, 1, 3)],
)
def test_phases_are_as_few_as_hold_the_classes(
    classes: int, most: int | None, expected: int
) -> None:
    assert phase_count(classes, most) == expected
    recipe = FinetuneConfig(classes_per_phase=most, steps=7, batch=3)
    assert images_tuned_on(recipe, classes) == expected * 7 * 3


def test_phases_of_a_shard_are_those_of_its_classes() -> None:
    assert class_runs(7, 3) == [[0, 1, 2], [3, 4], [5, 6]]
    assert phases_with([2, 3], 7, 3) == [0, 1]
    assert phases_with([3, 4], 7, 3) == [1]
    assert phases_with(list(range(7)), 7, 3) == [0, 1, 2]


def test_a_file_has_the_rows_that_tuning_has_changed(write: Callable, prior: Prior) -> None:
    tensors, _ = load_tensors(write([1]))
    assert tensors[f"rows.{TABLE}"].tolist() == [1]
    own = prior.transformer.get_parameter(TABLE)
    torch.testing.assert_close(tensors[f"values.{TABLE}"], own[[1]] + 0.5)
    assert tensors[f"rows.{BIAS}"].tolist() == list(range(len(tensors[f"values.{BIAS}"])))
    assert not any("pos_embed.proj.weight" in name for name in tensors)


def test_parameters_of_a_phase_act_until_its_end(write: Callable, prior: Prior) -> None:
    before = state(prior)
    phase, _ = load_phase(write([1]), prior.transformer, BASE)
    with applied(prior.transformer, phase):
        inside = state(prior)
    with pytest.raises(KeyboardInterrupt), applied(prior.transformer, phase):
        raise KeyboardInterrupt
    assert torch.equal(inside[TABLE][1], before[TABLE][1] + 0.5)
    assert torch.equal(inside[TABLE][[0, 2, 3]], before[TABLE][[0, 2, 3]])
    assert torch.equal(inside[BIAS], before[BIAS] + 0.5)
    assert all(torch.equal(tensor, state(prior)[name]) for name, tensor in before.items())


def test_a_phase_that_changes_nothing_is_read(prior: Prior, tmp_path: Path) -> None:
    before, path = trained_values(prior.transformer, TRAINED), tmp_path / "0.safetensors"
    save_tensors(path, changed_rows(before, before), metadata([0]))
    phase, _ = load_phase(path, prior.transformer, BASE)
    assert {len(rows) for rows in phase.rows.values()} == {0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"values.{BIAS}": torch.zeros(3)}, rf"values.{BIAS}: found float32 \(3,\), expected"),
        ({f"values.{BIAS}": None}, f"values.{BIAS}: missing"),
        ({f"rows.{TABLE}": torch.tensor([4])}, f"rows.{TABLE}: found rows 4 to 4, expected 0 to 3"),
        ({f"rows.{TABLE}": torch.tensor([1.0])}, f"rows.{TABLE}: found float32"),
        ({f"values.{TABLE}": torch.full((1, 16), torch.inf)}, "not finite"),
        ({"values.other.bias": torch.zeros(1)}, "found values.other.bias, expected parameters"),
    ],
)
def test_parameters_that_do_not_fit_are_one_line(
    write: Callable, prior: Prior, change: dict, message: str
) -> None:
    path = write([1])
    tensors, told = load_tensors(path)
    tensors = {name: t for name, t in (tensors | change).items() if t is not None}
    save_tensors(path, tensors, told)
    with pytest.raises(UserError, match=message) as refused:
        load_phase(path, prior.transformer, BASE)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"prior": BASE | {"contents": "abd"}}, "from the prior abd, expected abc"),
        ({"prior": BASE | {"frequency_shift": None}}, "from the prior abc, expected abc"),
        ({"recipe": {"labels": [1]}}, "found a file without 'finetune'"),
    ],
)
def test_a_phase_of_another_prior_is_one_line(
    write: Callable, prior: Prior, told: dict, message: str
) -> None:
    path = write([1])
    save_tensors(path, load_tensors(path)[0], metadata([1]) | told)
    with pytest.raises(UserError, match=message):
        load_phase(path, prior.transformer, BASE)


@pytest.fixture
def tuned(write: Callable, prior: Prior) -> Prior:
    """Return the prior in two phases: of classes 0 and 1, and, raised more, of class 2."""
    paths = (write([0, 1]), write([2], raised=1.0))
    phases = tuple(load_phase(path, prior.transformer, BASE)[0] for path in paths)
    return replace(prior, phases=phases)


def spec(classes: list[int], **changes: object) -> IncrementSpec:
    deviation = DeviationConfig(strength=0.5, norm="relative")
    plain = IncrementSpec(
        classes=classes,
        prior_labels=[0, 1, 2],
        positions=3,
        candidates=2,
        sampling=Sampling(steps=4, cfg_scale=1.5, cfg_channels=None, window=(1, 2)),
        key=(0, 1),
        guidance={"deviation": deviation},
    )
    return replace(plain, **changes)


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare what was drawn in batches of other classes: the last bits of sums may differ.

    A rounded pixel may then differ by one.
    """
    tolerance = {"atol": 1.0} if found.dtype == torch.uint8 else {"atol": 1e-3}
    torch.testing.assert_close(found.float(), expected.float(), rtol=1e-3, **tolerance)


def test_every_class_is_drawn_with_its_own_phase(tuned: Prior, scorer: Scorer) -> None:
    artifacts = Artifacts(scorer, MEMORY)
    found, ratios = draw(tuned, artifacts, spec([0, 1, 2]), NOWHERE)
    for phase in tuned.phases:
        with applied(tuned.transformer, phase):
            alone = replace(tuned, phases=())
            expected, _ = draw(alone, artifacts, spec([0, 1, 2]), NOWHERE)
        for name, tensor in expected.items():
            assert_same(found[name][phase.labels], tensor[phase.labels])
    plain, _ = draw(replace(tuned, phases=()), artifacts, spec([0, 1, 2]), NOWHERE)
    assert not torch.isclose(plain["latents"], found["latents"]).flatten(1).all(1).any()
    assert sorted(ratios["deviation"]) == [1, 2]


@pytest.mark.parametrize("shards", [2, 3])
def test_phases_draw_the_same_bit_for_bit_for_any_shards(
    tuned: Prior, scorer: Scorer, shards: int
) -> None:
    expected, _ = draw(tuned, Artifacts(scorer, MEMORY), spec([0, 1, 2]), NOWHERE)
    for labels in class_runs(3, shards):
        needed = tuple(p for p in tuned.phases if not set(p.labels).isdisjoint(labels))
        artifacts = Artifacts(scorer, MEMORY[labels])
        found, _ = draw(replace(tuned, phases=needed), artifacts, spec(labels), NOWHERE)
        for name, tensor in found.items():
            assert torch.equal(tensor, expected[name][labels]), name


@pytest.mark.parametrize("saves", [2, 4])
def test_a_draw_interrupted_in_any_phase_ends_as_an_undisturbed_one(
    tuned: Prior, scorer: Scorer, tmp_path: Path, interrupt_after: Callable, saves: int
) -> None:
    artifacts = Artifacts(scorer, MEMORY)
    expected = draw(tuned, artifacts, spec([0, 1, 2]), NOWHERE)
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        draw(tuned, artifacts, spec([0, 1, 2]), Checkpoint(tmp_path, 0))
    tensors, ratios = draw(tuned, artifacts, spec([0, 1, 2]), Checkpoint(tmp_path, 0))
    assert ratios == expected[1]
    assert all(torch.equal(tensors[name], expected[0][name]) for name in tensors)


def test_a_trace_follows_the_phases(tuned: Prior, scorer: Scorer) -> None:
    artifacts = Artifacts(scorer, MEMORY)
    whole = trace_guidance(tuned, artifacts, spec([0, 1, 2]), 2, NOWHERE)
    assert whole["guided.score"].shape == (4, 3 * 2)
    for phase in tuned.phases:
        with applied(tuned.transformer, phase):
            alone = replace(tuned, phases=())
            expected = trace_guidance(alone, artifacts, spec([0, 1, 2]), 2, NOWHERE)
        assert whole.keys() == expected.keys()
        for name, values in whole.items():
            if name.endswith("alpha_bar"):
                assert torch.equal(values, expected[name])
            else:
                own = [
                    part.unflatten(1, (3, 2))[:, phase.labels] for part in (values, expected[name])
                ]
                assert_same(*own)


def test_a_class_without_a_phase_is_one_line(tuned: Prior) -> None:
    lacking = replace(tuned, phases=tuned.phases[:1])
    with pytest.raises(UserError, match=r"classes \[0, 1\], expected \[0, 1, 2\]"):
        draw(lacking, Artifacts(memory=MEMORY), spec([0, 1, 2]), NOWHERE)
