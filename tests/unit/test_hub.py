"""Priors in the hub's cache, to be fetched, or nowhere."""

import shutil
from pathlib import Path

import huggingface_hub
import pytest

from lgd_core import hub
from lgd_core.errors import UserError
from lgd_core.hub import locate, locate_prior
from lgd_core.prior_files import PRIOR_FILES

NAME = "owner/prior"


class Hub:
    """A hub that has one snapshot, of which some files are in the cache; says what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cached: Path | None = None
        self.online = True
        self.asked: list[dict] = []

    def snapshot(self, name: str, **options: object) -> str:
        self.asked.append({"name": name, **options})
        found = self.cached if options.get("local_files_only") else self.online and self.folder
        if not found:
            raise huggingface_hub.errors.LocalEntryNotFoundError("nothing here")
        return str(found)


@pytest.fixture
def served(fixed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    served = Hub(fixed_folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", served.snapshot)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "reachable", lambda _: served.online)
    return served


def test_a_folder_is_taken_as_it_is(served: Hub, fixed_folder: Path) -> None:
    assert locate(str(fixed_folder), None, PRIOR_FILES) == fixed_folder
    assert served.asked == []


def test_a_cached_prior_is_used_without_asking_the_hub(served: Hub, fixed_folder: Path) -> None:
    served.cached, served.online = fixed_folder, False
    assert locate(NAME, "abc", PRIOR_FILES) == fixed_folder
    (asked,) = served.asked
    assert (asked["local_files_only"], asked["revision"]) == (True, "abc")


def test_what_the_cache_lacks_is_fetched_at_the_pinned_revision(
    served: Hub, broken_folder: Path
) -> None:
    shutil.rmtree(broken_folder / "vae")
    served.cached = broken_folder
    assert locate(NAME, "abc", PRIOR_FILES) == served.folder
    assert served.asked[-1] == {
        "name": NAME,
        "revision": "abc",
        "allow_patterns": list(PRIOR_FILES),
    }


@pytest.mark.parametrize("offline", [True, False])
def test_a_prior_that_is_nowhere_names_files_and_the_command(
    served: Hub, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    served.online = False
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(UserError) as error:
        locate(NAME, "abc", PRIOR_FILES)
    text = str(error.value)
    assert "\n" not in text
    assert "transformer/diffusion_pytorch_model*" in text
    assert text.endswith("hf download owner/prior --revision abc")


def test_a_snapshot_that_lacks_a_component_names_it_alone(served: Hub, broken_folder: Path) -> None:
    (broken_folder / "transformer" / "config.json").unlink()
    served.folder = broken_folder
    with pytest.raises(UserError, match=r"prior 'owner/prior': transformer/config.json neither"):
        locate(NAME, None, PRIOR_FILES)


def test_another_autoencoder_makes_the_pipeline_s_own_unnecessary(
    served: Hub, fixed_folder: Path, broken_folder: Path
) -> None:
    shutil.rmtree(broken_folder / "vae")
    served.folder = broken_folder
    folders = locate_prior(NAME, "abc", str(fixed_folder / "vae"), None)
    assert folders == {"pipeline": str(broken_folder), "vae": str(fixed_folder / "vae")}
    assert not any(pattern.startswith("vae/") for pattern in served.asked[-1]["allow_patterns"])
