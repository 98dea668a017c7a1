"""What is on disk is read as it was written, or refused in one line that names the file."""

import hashlib
import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import changed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lgd_core.analysis.difficulty import load_measured
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.csv_files import read_csv, write_csv
from lgd_core.base.digests import digest
from lgd_core.base.errors import UserError
from lgd_core.base.files import read_json, write_json
from lgd_core.base.tensors import load_tensors, save_tensors
from lgd_core.config.models.images import StoredImageConfig
from lgd_core.config.settings import NetworkInput, NetworkSpec, StoredImages
from lgd_core.data.distilled import load_increment, read_class, read_grid, write_folder
from lgd_core.data.real_images import load_split
from lgd_core.diffusion.phases import changed_rows, load_phase, trained_values
from lgd_core.distill.influence import load_influence, save_influence
from lgd_core.distill.modes import load_latents, load_modes
from lgd_core.distill.selection import (
    best_of_positions,
    build_increment,
    load_memory,
    select_shards,
)
from lgd_core.networks.classifiers import Preprocess, build_network, load_network, save_network

CPU = torch.device("cpu")
CLASSES = ["ant", "bee"]
STORED = StoredImages(classes=len(CLASSES), image=StoredImageConfig(channels=1, size=8))
SPEC = NetworkSpec(name="ConvNet-2-w8", channels=1, size=8, classes=2)
PREPROCESS = Preprocess([0.5], [0.5], 8)
PER_CLASS = 3


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def candidates(labels: list[int]) -> dict[str, Tensor]:
    drawn = (len(labels), PER_CLASS, 2)
    return {
        "images": (255 * numbers(*drawn, 1, 8, 8).sigmoid()).to(torch.uint8),
        "latents": numbers(*drawn, 4, 2, 2),
        "scores": numbers(*drawn),
    }


def an_increment() -> dict[str, Tensor]:
    drawn = candidates([0, 1])
    return build_increment(drawn, [0, 1], best_of_positions(drawn["scores"]))


def write_candidates(folder: Path) -> None:
    for label in (0, 1):
        path = folder / f"{label}of2.safetensors"
        save_tensors(path, candidates([label]), {"labels": [label], "seed": "0"})


def write_influence(folder: Path) -> None:
    network = build_network(SPEC, "surrogate")
    parameters = {name: torch.stack([p, p + 1]) for name, p in network.named_parameters()}
    values = sum(p.numel() for p in network.parameters())
    save_influence(folder / "i.safetensors", parameters, numbers(2, 2, values), SPEC, {})


def influence_in(folder: Path) -> list:
    found = load_influence(folder / "i.safetensors", PREPROCESS, CPU, SPEC, [0, 1])
    return [found.gradients, found.parameters]


BASE = {"contents": "abc", "frequency_shift": None}


def tuned_network() -> nn.Linear:
    return nn.Linear(4, 3)


def write_phase(folder: Path) -> None:
    before = trained_values(tuned_network(), ["*"])
    after = {name: values + 1 for name, values in before.items()}
    recipe = {"labels": [0, 1], "finetune": {"trained": ["*"]}}
    stamp = {"recipe": recipe, "prior": BASE}
    save_tensors(folder / "0of1.safetensors", changed_rows(before, after), stamp)


def phase_in(folder: Path) -> list:
    phase, metadata = load_phase(folder / "0of1.safetensors", tuned_network(), BASE)
    return [phase.labels, phase.rows, phase.values, metadata]


def measured() -> dict[str, Tensor]:
    count = 2 * PER_CLASS
    places = {name: torch.zeros(count, dtype=torch.int64) for name in ("predicted", "increments")}
    return places | {
        "labels": torch.arange(2).repeat_interleave(PER_CLASS),
        "positions": torch.arange(PER_CLASS).repeat(2),
        "probabilities": numbers(count, 4),
        "confidence": numbers(count),
    }


def write_latents(folder: Path) -> None:
    np.save(folder / "latents.npy", numbers(6, 4, 2, 2).numpy())
    write_json(folder / "latents.json", {"files": sums([folder / "latents.npy"])})


def write_arrays(folder: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(folder / "train_images.npy", rng.integers(0, 256, (6, 1, 8, 8), np.uint8))
    np.save(folder / "train_labels.npy", np.repeat(np.arange(2), 3))
    write_json(folder / "prepared.json", {"files": sums(folder.glob("*.npy"))})


def sums(files: object) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_table(folder: Path) -> None:
    write_csv(pd.DataFrame({"class": CLASSES, "top1": [12.34, 5.6]}), folder / "table.csv")
    write_json(folder / "table.json", {"files": sums([folder / "table.csv"])})


def table_in(folder: Path) -> str:
    return read_csv(folder / "table.csv", read_json(folder / "table.json")).to_csv()


def all_of_folder(folder: Path) -> list:
    rows, images = read_class(folder / "set", CLASSES[1], 9)
    grid = read_grid(folder / "set", CLASSES, 9)
    return [grid, rows, images, read_json(folder / "set" / "provenance.json")]


STATE = {
    "model": {"x": numbers(20, 5), "n": torch.arange(3)},
    "by step": {1: [0.5, float("nan")], 2: (True, None, "text")},
    "step": 4,
}


@dataclass(frozen=True)
class Kind:
    """A kind of artifact: how one is written into an empty folder, and how jobs read it."""

    write: Callable[[Path], object]
    read: Callable[[Path], object]


def tensors(make: Callable[[], dict[str, Tensor]], read: Callable[[Path], object]) -> Kind:
    """Return a kind that is one file of tensors."""
    name = "x.safetensors"
    stamp = {"seed": "0", "recipe": {"steps": 50, "lr": 1e-4, "name": "é"}}
    return Kind(lambda folder: save_tensors(folder / name, make(), stamp), lambda f: read(f / name))


KINDS = {
    "increment": tensors(an_increment, lambda path: load_increment(path, STORED, PER_CLASS)),
    "memory": tensors(an_increment, lambda path: load_memory([path], STORED, PER_CLASS, [1])),
    "candidates": Kind(
        write_candidates, lambda folder: select_shards(sorted(folder.iterdir()), STORED)
    ),
    "network": Kind(
        lambda folder: save_network(
            folder / "n.safetensors", build_network(SPEC, "key"), SPEC, {"top1": 90.5}
        ),
        lambda folder: load_network(folder / "n.safetensors", CPU, SPEC).state_dict(),
    ),
    "influence": Kind(write_influence, influence_in),
    "latents": Kind(
        write_latents,
        lambda folder: load_latents(folder / "latents.npy", folder / "latents.json", 6),
    ),
    "modes": tensors(
        lambda: {"centres": numbers(2, 3, 4, 2, 2), "sizes": torch.ones(2, 3, dtype=torch.int64)},
        lambda path: load_modes(path, 2),
    ),
    "phase": Kind(write_phase, phase_in),
    "trace": tensors(lambda: {"guided.score": numbers(5, 4)}, load_tensors),
    "difficulty": tensors(measured, lambda path: load_measured(path, 2)),
    "json": Kind(
        lambda folder: write_json(folder / "x.json", {"runs": [{"top1": 12.5}], "é": [1, None]}),
        lambda folder: read_json(folder / "x.json"),
    ),
    "arrays": Kind(write_arrays, lambda folder: load_split(folder, "train")),
    "table": Kind(write_table, table_in),
    "distilled": Kind(
        lambda folder: write_folder(
            folder / "set", [an_increment(), an_increment()], CLASSES, {"seed": "0", "formation": 1}
        ),
        all_of_folder,
    ),
    "checkpoint": Kind(
        lambda folder: Checkpoint(folder).save("a", STATE),
        lambda folder: Checkpoint(folder).load("a"),
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def pristine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """Return an artifact of every kind in turn: its name, its folder, and what is read of it."""
    folder = tmp_path_factory.mktemp(request.param)
    KINDS[request.param].write(folder)
    return request.param, folder, digest(KINDS[request.param].read(folder))


def flip(contents: bytearray, at: int, length: int) -> None:
    contents[at % len(contents)] ^= 1 << (length % 8)


def cut(contents: bytearray, at: int, length: int) -> None:
    del contents[at % len(contents) :]


def lose(contents: bytearray, at: int, length: int) -> None:
    at %= len(contents)
    del contents[at : at + length]


def extend(contents: bytearray, at: int, length: int) -> None:
    contents += bytes(length)


def swap(contents: bytearray, at: int, length: int) -> None:
    at %= len(contents)
    contents[at : at + 2 * length] = (
        contents[at + length : at + 2 * length] + contents[at : at + length]
    )


def zero(contents: bytearray, at: int, length: int) -> None:
    part = slice(at % len(contents), at % len(contents) + length)
    contents[part] = bytes(len(contents[part]))


DAMAGES = st.tuples(
    st.sampled_from([flip, cut, lose, extend, swap, zero]),
    st.integers(0, 2**20),
    st.integers(1, 600),
    st.integers(0, 2**10),
)
TURNS = itertools.count()


@settings(
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=DAMAGES)
def test_damaged_bytes_are_refused_or_change_nothing(
    pristine: tuple, tmp_path: Path, damage: tuple
) -> None:
    kind, origin, expected = pristine
    folder = tmp_path / str(next(TURNS))
    shutil.copytree(origin, folder)
    change, at, length, which = damage
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    damaged = files[which % len(files)]
    contents = bytearray(damaged.read_bytes())
    change(contents, at, length)
    damaged.write_bytes(contents)
    try:
        found = KINDS[kind].read(folder)
    except UserError as error:
        line = str(error)
        assert damaged.name in line
        assert "\n" not in line
        assert len(line) <= 400
    else:
        assert digest(found) == expected or (kind == "checkpoint" and found is None)
    finally:
        shutil.rmtree(folder)


def test_a_file_that_is_gone_is_named(pristine: tuple, tmp_path: Path) -> None:
    kind, origin, _ = pristine
    if kind in ("candidates", "checkpoint"):
        pytest.skip("which files there are is no part of it")
    shutil.copytree(origin, tmp_path / "copy")
    for damaged in [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]:
        contents = damaged.read_bytes()
        damaged.unlink()
        with pytest.raises(UserError, match=damaged.name):
            KINDS[kind].read(tmp_path / "copy")
        damaged.write_bytes(contents)


def test_a_flipped_bit_of_a_label_is_found(tmp_path: Path) -> None:
    path = tmp_path / "increment.safetensors"
    save_tensors(path, an_increment(), {})
    contents = path.read_bytes()
    labels = an_increment()["labels"].numpy().tobytes()
    flipped = bytearray(labels)
    flipped[0] ^= 1
    path.write_bytes(contents.replace(labels, bytes(flipped)))
    assert path.read_bytes() != contents
    with pytest.raises(UserError, match=r"increment\.safetensors: found contents that do not"):
        load_tensors(path)


def test_a_checkpoint_with_a_flipped_bit_starts_the_work_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    Checkpoint(tmp_path).save("a", STATE)
    path = tmp_path / "a.pt"
    weights = STATE["model"]["x"].numpy().tobytes()
    contents = path.read_bytes()
    assert contents.count(weights) == 1
    path.write_bytes(contents.replace(weights, bytes([weights[0] ^ 1]) + weights[1:]))
    assert Checkpoint(tmp_path).load("a") is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{path}: found a broken checkpoint" in said
    assert not path.exists()


@pytest.mark.parametrize("contents", [b"", b"PK", b"no checkpoint at all\n" * 9])
def test_an_empty_a_cut_and_a_foreign_checkpoint_are_dropped(
    tmp_path: Path, contents: bytes
) -> None:
    (tmp_path / "a.pt").write_bytes(contents)
    assert Checkpoint(tmp_path).load("a") is None
    Checkpoint(tmp_path).save("a", {"step": 2})
    assert Checkpoint(tmp_path).load("a") == {"step": 2}


def test_a_checkpoint_without_what_is_needed_is_dropped(tmp_path: Path) -> None:
    Checkpoint(tmp_path).save("a", {"step": 1})
    assert Checkpoint(tmp_path).load("a", "step") == {"step": 1}
    assert Checkpoint(tmp_path).load("a", "step", "losses") is None
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.tensor([0, 0, 0, 1, 1, 2])}, "labels: found another order"),
        ({"labels": torch.tensor([1, 1, 1, 0, 0, 0])}, "labels: found another order"),
        ({"positions": torch.zeros(6, dtype=torch.int64)}, "positions: found another order"),
        ({"images": torch.zeros(6, 3, 8, 8, dtype=torch.uint8)}, "images: found uint8"),
        ({"images": torch.zeros(6, 1, 8, 8)}, "images: found float32"),
        ({"images": torch.zeros(4, 1, 8, 8, dtype=torch.uint8)}, "images: found uint8"),
        ({"latents": torch.full((6, 4, 2, 2), torch.inf)}, "latents: found values"),
        ({"latents": torch.zeros(5, 4, 2, 2)}, "latents: found float32"),
    ],
)
def test_an_increment_of_something_else_is_named(
    tmp_path: Path, change: dict[str, Tensor], message: str
) -> None:
    path = tmp_path / "increment.safetensors"
    save_tensors(path, an_increment() | change, {})
    with pytest.raises(UserError, match=rf"increment\.safetensors: {message}"):
        load_increment(path, STORED, PER_CLASS)


def test_a_network_of_another_architecture_is_not_used_in_its_place(tmp_path: Path) -> None:
    path, other = tmp_path / "learner.safetensors", changed(SPEC, name="ConvNet-1-w8")
    save_network(path, build_network(other, "key"), other, {})
    with pytest.raises(UserError, match=r"network\.name: found ConvNet-1-w8, expected ConvNet-2"):
        load_network(path, CPU, SPEC)
    save_network(path, build_network(other, "key"), SPEC, {})
    with pytest.raises(UserError, match="weights of another network") as error:
        load_network(path, CPU, SPEC)
    assert "\n" not in str(error.value)


def test_a_network_without_its_name_is_refused(tmp_path: Path) -> None:
    path, nameless = tmp_path / "n.safetensors", SPEC.entries()
    del nameless["name"]
    save_tensors(path, build_network(SPEC, "key").state_dict(), {"network": nameless})
    expected = NetworkInput.model_validate(nameless)
    with pytest.raises(UserError, match=r"network: name: found"):
        load_network(path, CPU, expected)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = build_network(SPEC, "key")
    next(network.parameters()).data[0] = torch.nan
    save_network(tmp_path / "n.safetensors", network, SPEC, {})
    with pytest.raises(UserError, match="not finite"):
        load_network(tmp_path / "n.safetensors", CPU, SPEC)


@pytest.mark.parametrize(("first", "second"), [([0], [0]), ([1], [0]), ([0], [])])
def test_shards_must_hold_all_classes_in_order(
    tmp_path: Path, first: list[int], second: list[int]
) -> None:
    paths = [tmp_path / f"{n}of2.safetensors" for n in range(2)]
    for path, labels in zip(paths, (first, second), strict=True):
        save_tensors(path, candidates(labels), {"labels": labels})
    with pytest.raises(UserError, match=r"of2\.safetensors: found"):
        select_shards(paths, STORED)


def test_arrays_that_were_cut_are_named(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    path = tmp_path / "train_images.npy"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"train_images\.npy: found contents"):
        load_split(tmp_path, "train")


def test_one_image_more_or_less_than_the_manifest_has_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_folder(folder, [an_increment()], CLASSES, {})
    extra = folder / "1_bee" / "k009_p000.png"
    shutil.copyfile(folder / "0_ant" / "k000_p000.png", extra)
    with pytest.raises(UserError, match=r"found 7 PNG files, expected the 6.*k009_p000\.png"):
        read_grid(folder, CLASSES, 1)
    extra.unlink()
    (folder / "0_ant" / "k000_p001.png").unlink()
    with pytest.raises(UserError, match=r"found 5 PNG files, expected the 6.*k000_p001\.png"):
        read_grid(folder, CLASSES, 1)


def test_a_set_of_another_data_set_is_not_taken(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", [an_increment()], CLASSES, {})
    with pytest.raises(UserError, match="other classes"):
        read_grid(tmp_path / "set", ["ant", "wasp"], 1)
