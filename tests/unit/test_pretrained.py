"""Weights that others have trained: where they lie, what is kept of them, what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

from lgd_core.base.errors import UserError
from lgd_core.config.models.dataset import ReferenceConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.settings import NetworkSpec
from lgd_core.config.stages import reference_settings
from lgd_core.config.weights import list_weights
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.pretrained import load_pretrained

KEPT = [217, 0, 999]
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def spec(classes: int, size: int = 224, name: str = "ResNet-18-bn") -> NetworkSpec:
    return NetworkSpec(name=name, channels=3, size=size, classes=classes)


@pytest.fixture(scope="module")
def published() -> nn.Module:
    """A network as torchvision has it, with running statistics that are not those of a new one."""
    torch.manual_seed(0)
    network = resnet18(weights=None)
    network.train()(IMAGES)
    return network.eval()


@pytest.fixture
def checkpoint(published: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "resnet18-f37072fd.pth"
    torch.save(published.state_dict(), path)
    return path


def test_all_of_imagenet_gives_the_logits_of_torchvision(published, checkpoint) -> None:
    network = load_pretrained(checkpoint, spec(1000), range(1000)).eval()
    assert torch.equal(network(IMAGES), published(IMAGES))


def test_classes_of_a_part_are_kept_by_their_wnids_in_their_own_order(
    published, checkpoint
) -> None:
    network = load_pretrained(checkpoint, spec(3), KEPT).eval()
    assert torch.allclose(network(IMAGES), published(IMAGES)[:, KEPT], atol=1e-5)
    woof = Recipes("config", {"overrides": {"datasets": {"imagewoof": WEIGHTS}}}).dataset(
        "imagewoof"
    )
    expected = [193, 182, 258, 162, 155, 167, 159, 273, 207, 229]
    assert reference_settings(woof) == {"architecture": "ResNet-18-bn", "indices": expected}


WEIGHTS = {"reference": {"architecture": "ResNet-18-bn", "weights": "IMAGENET1K_V1", "epochs": 7}}


@pytest.mark.parametrize("within", ["state_dict", "model", None])
def test_usual_forms_of_checkpoints_are_read(published, tmp_path: Path, within: str | None) -> None:
    weights = {f"module.{name}": tensor for name, tensor in published.state_dict().items()}
    path = tmp_path / "checkpoint.pt"
    torch.save({within: weights, "epoch": 3} if within else weights, path)
    network = load_pretrained(path, spec(1000), range(1000)).eval()
    assert torch.equal(network(IMAGES), published(IMAGES))


def test_safetensors_are_read(published, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(published.state_dict(), path)
    network = load_pretrained(path, spec(1000), range(1000)).eval()
    assert torch.equal(network(IMAGES), published(IMAGES))


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(build_network(spec(7, 32), 0).state_dict(), path)
    with pytest.raises(UserError, match="found a network of 7 classes, expected 3 or ImageNet's"):
        load_pretrained(path, spec(3, 32), KEPT)
    with pytest.raises(UserError, match="weights of another network"):
        load_pretrained(path, spec(7, 32, "ResNet-18"), [])


@pytest.mark.parametrize("contents", [b"", b"not weights", b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_holds_no_weights_is_one_line(tmp_path: Path, name: str, contents: bytes) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(UserError, match=f"{name}: found no weights") as caught:
        load_pretrained(tmp_path / name, spec(3), KEPT)
    assert "\n" not in str(caught.value)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Hostile()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="found no weights"):
        load_pretrained(tmp_path / "w.pth", spec(3), KEPT)
    assert not (tmp_path / "ran").exists()


def test_published_weights_lie_in_the_cache_of_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = ReferenceConfig(architecture="ResNet-18-bn", weights="IMAGENET1K_V1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError) as caught:
        list_weights(reference, "d.yaml")
    assert str(caught.value) == (
        f"d.yaml: reference.weights: found no file {tmp_path}/hub/checkpoints/resnet18-f37072fd.pth"
        ', expected it there; fetch it by: python -c "from torchvision.models import '
        'ResNet18_Weights as W; W.IMAGENET1K_V1.get_state_dict()"'
    )
    path = tmp_path / "hub/checkpoints/resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    path.touch()
    assert list_weights(reference, "d.yaml").files == {"weights": str(path)}


def test_torchvision_has_the_weights_that_are_named() -> None:
    from torchvision import models

    from lgd_core.config.weights import PUBLISHED

    for (_, name), published in PUBLISHED.items():
        weights = getattr(models, published.enum)[name]
        assert Path(weights.url).name == published.file


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"weights": "IMAGENET1K_V1"}, "found 'IMAGENET1K_V1' for ResNetAP-10, expected a file"),
        ({"weights": "nowhere.pth"}, "found no file nowhere.pth, expected a file of weights"),
    ],
)
def test_weights_that_are_not_there_are_one_line(changes: dict, text: str) -> None:
    with pytest.raises(UserError) as caught:
        list_weights(ReferenceConfig(**changes), "d.yaml")
    assert text in str(caught.value)


def test_weights_decide_the_reference_and_nothing_of_its_training_does() -> None:
    known = [
        Recipes("config", {"overrides": {"datasets": {"imagenette": WEIGHTS | {"augment": a}}}})
        for a in ({}, {"flip": 0.1})
    ]
    settings = [reference_settings(recipes.dataset("imagenette")) for recipes in known]
    assert settings[0] == settings[1]
    assert "epochs" not in settings[0]
