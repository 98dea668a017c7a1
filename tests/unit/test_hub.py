"""Priors in the hub's cache, to be fetched, or nowhere."""

import errno
import os
import shutil
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.utils import hf_raise_for_status

from lgd_core.base.errors import UserError
from lgd_core.config.prior_files import PRIOR_FILES
from lgd_core.data import hub
from lgd_core.data.hub import locate, locate_prior, locate_set

NAME = "owner/prior"


class Hub:
    """A hub that has one snapshot, of which some files are in the cache; says what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cached: Path | None = None
        self.online = True
        self.failure: Exception | None = None
        self.asked: list[dict] = []

    def snapshot(self, name: str, **options: object) -> str:
        self.asked.append({"name": name, **options})
        local = options.get("local_files_only")
        if self.failure and not local:
            raise self.failure
        found = self.cached if local else self.online and self.folder
        if not found:
            raise huggingface_hub.errors.LocalEntryNotFoundError("nothing here")
        return str(found)


def answer(status: int, headers: dict) -> Exception:
    """Return the error that the hub's client makes of an answer."""
    request = httpx2.Request("GET", "https://huggingface.co/api/models/owner/prior")
    with pytest.raises(huggingface_hub.errors.HfHubHTTPError) as error:
        hf_raise_for_status(httpx2.Response(status, headers=headers, request=request))
    return error.value


def refusal() -> str:
    with pytest.raises(UserError) as error:
        locate(NAME, "abc", PRIOR_FILES)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


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


@pytest.mark.parametrize(
    ("offline", "reason"),
    [(True, "HF_HUB_OFFLINE is set"), (False, "https://huggingface.co does not answer")],
)
def test_a_prior_that_is_nowhere_names_the_reason_and_the_command(
    served: Hub, monkeypatch: pytest.MonkeyPatch, offline: bool, reason: str
) -> None:
    served.online = False
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    text = refusal()
    assert text.startswith(f"prior 'owner/prior': not in the hub's cache, and {reason}")
    assert text.endswith("hf download owner/prior --revision abc")


@pytest.mark.parametrize(
    ("status", "headers", "reason", "help"),
    [
        (403, {"X-Error-Code": "GatedRepo"}, "licence must be accepted", "`hf auth login`"),
        (401, {"X-Error-Code": "GatedRepo"}, "licence must be accepted", "co/owner/prior,"),
        (401, {}, "there is no https://huggingface.co/owner/prior", "spelling"),
        (404, {"X-Error-Code": "RepoNotFound"}, "or it is private", "`hf auth login`"),
        (404, {"X-Error-Code": "RevisionNotFound"}, "no revision 'abc'", "prior.revision"),
        (429, {}, "fewer requests", "wait some minutes"),
        (403, {}, "refuses access", "`hf auth login`"),
        (503, {}, "503", "try again"),
    ],
)
def test_the_hub_s_refusal_and_what_helps_are_said(
    served: Hub, status: int, headers: dict, reason: str, help: str
) -> None:
    served.failure = answer(status, headers)
    text = refusal()
    assert reason in text
    assert help in text
    # As the hub's client has it where nothing is in the cache either.
    again = huggingface_hub.errors.LocalEntryNotFoundError("Got: an error\nwith advice")
    again.__cause__ = served.failure
    served.failure = again
    assert refusal() == text


@pytest.mark.parametrize(
    ("failure", "parts"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ["no space is left in", "HF_HOME"]),
        (RuntimeError("I/O error: No space left on device (os error 28)"), ["no space is left"]),
        (PermissionError(errno.EACCES, "Permission denied"), ["cannot be written", "HF_HOME"]),
        (huggingface_hub.errors.HFValidationError("Repo id must"), ["check the spelling"]),
        (ConnectionResetError("peer\n reset"), ["ConnectionResetError: peer reset", "try again"]),
        (TimeoutError(), ["the download failed (TimeoutError", "try again"]),
    ],
)
def test_what_the_disk_and_the_network_do_is_said(
    served: Hub, failure: Exception, parts: list[str]
) -> None:
    served.failure = failure
    text = refusal()
    for part in parts:
        assert part in text


def test_a_snapshot_that_lacks_a_component_names_it_alone(served: Hub, broken_folder: Path) -> None:
    (broken_folder / "transformer" / "config.json").unlink()
    served.folder = broken_folder
    text = "prior 'owner/prior': found no transformer/config.json on the hub, expected"
    assert refusal().startswith(text)


def test_a_cached_variant_of_the_weights_is_not_taken_for_them(
    served: Hub, broken_folder: Path
) -> None:
    weights = broken_folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    served.cached = broken_folder
    assert locate(NAME, None, PRIOR_FILES) == served.folder


def test_another_autoencoder_makes_the_pipeline_s_own_unnecessary(
    served: Hub, fixed_folder: Path, broken_folder: Path
) -> None:
    shutil.rmtree(broken_folder / "vae")
    served.folder = broken_folder
    folders = locate_prior(NAME, "abc", str(fixed_folder / "vae"), None)
    assert folders == {"pipeline": str(broken_folder), "vae": str(fixed_folder / "vae")}
    assert not any(pattern.startswith("vae/") for pattern in served.asked[-1]["allow_patterns"])


def test_a_data_set_is_fetched_whole(served: Hub) -> None:
    assert locate_set("owner/set", "v1", "external.mine") == served.folder
    (asked,) = served.asked
    assert (asked["repo_type"], asked["revision"], asked["allow_patterns"]) == (
        "dataset",
        "v1",
        None,
    )


def test_a_data_set_is_taken_from_the_cache_where_there_is_no_network(
    served: Hub, fixed_folder: Path
) -> None:
    served.online = False
    said = r"mine.folder: found no folder 'owner/set', and data set .* --repo-type dataset"
    with pytest.raises(UserError, match=said):
        locate_set("owner/set", None, "external.mine")
    served.cached = fixed_folder
    assert locate_set("owner/set", None, "external.mine") == fixed_folder
