"""Finding files of priors and data sets: in a folder or the hub's cache, or downloaded."""

import errno
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgd_core.base.errors import UserError
from lgd_core.base.web import reachable
from lgd_core.config.prior_files import (
    AUTOENCODER_FILES,
    PIPELINE_FILES,
    PRIOR_FILES,
    is_hub_name,
    missing_files,
)


def locate_prior(
    source: str, revision: str | None, vae: str | None, vae_revision: str | None
) -> dict[str, str]:
    """Return the folders of a prior: ``pipeline``, and ``vae`` if its autoencoder is elsewhere.

    Raises UserError with the reason why files are not available, and a remedy.
    """
    own = PRIOR_FILES if vae is None else PIPELINE_FILES
    folders = {"pipeline": str(locate(source, revision, own))}
    if vae is not None:
        folders["vae"] = str(locate(vae, vae_revision, AUTOENCODER_FILES))
    return folders


def locate(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """Return the folder with the files of a local folder or a model's hub name.

    ``files`` are glob patterns. If the hub's cache already has them, the hub is not asked. Raises
    UserError if a file is not available.
    """
    if not is_hub_name(name):
        return Path(name)
    wanted = Wanted(name, revision, tuple(files))
    cached = _cached(wanted)
    if cached is not None and not missing_files(cached, files):
        return cached
    fetched = _download(wanted)
    if missing := missing_files(fetched, files):
        raise UserError(
            f"prior '{name}': found no {', '.join(missing)} on the hub, expected the files of a "
            "DiTPipeline, or of an AutoencoderKL as prior.vae"
        )
    return fetched


def locate_set(name: str, revision: str | None, key: str) -> Path:
    """Return the folder of a data set's hub name, fetched, or from the cache without a network.

    ``key`` names the entry in the run. Raises UserError if it is not available.
    """
    wanted = Wanted(name, revision, None, "data set", f"{key}.revision", "dataset")
    try:
        return _download(wanted)
    except UserError as error:
        if (cached := _cached(wanted)) is None:
            raise UserError(f"{key}.folder: found no folder '{name}', and {error}") from error
        return cached


# Seconds to wait for an answer to a question or for the next part of a file, and how often to ask.
SECONDS, TRIES = 8.0, 2


class Limit:
    """How long, and how often, the hub's library may ask without an answer: by itself, for ever."""

    def __init__(self) -> None:
        self.open: Counter[tuple[str, str]] = Counter()

    def answered(self, response: Any) -> None:
        """Note that a question has an answer."""
        self.open.pop((response.request.method, str(response.request.url)), None)

    def asking(self, request: Any) -> None:
        """Limit the time of a question; raises TimeoutError if it was asked in vain before."""
        question = request.method, str(request.url)
        self.open[question] += 1
        if self.open[question] > TRIES:
            raise TimeoutError(f"no answer to {request.method} {request.url}")
        known: dict[str, float | None] = request.extensions.get("timeout", {})
        waits = {name: min(SECONDS, value or SECONDS) for name, value in known.items()}
        request.extensions["timeout"] = waits


@dataclass(frozen=True)
class Wanted:
    """What is asked of the hub: a name, a revision, patterns of files (None: all).

    ``kind`` says in words what it is, ``keys`` name the configuration's keys of the revision, and
    ``repo_type`` is the hub's own word.
    """

    name: str
    revision: str | None
    files: tuple[str, ...] | None
    kind: str = "prior"
    keys: str = "prior.revision, prior.vae_revision"
    repo_type: str | None = None


def _cached(wanted: Wanted) -> Path | None:
    try:
        return _snapshot(wanted, local_files_only=True)
    except (OSError, ValueError):  # not in the cache, or no valid name
        return None


def _download(wanted: Wanted) -> Path:
    """Download a name from the hub and return its folder; raises UserError with the reason."""
    from huggingface_hub import constants

    typed = f" --repo-type {wanted.repo_type}" if wanted.repo_type else ""
    pinned = f" --revision {wanted.revision}" if wanted.revision else ""
    command = f"hf download {wanted.name}{typed}{pinned}"
    elsewhere = f"on a machine with access: {command}"
    if constants.HF_HUB_OFFLINE:
        reason = f"HF_HUB_OFFLINE is set; unset it, or {elsewhere}"
    elif not reachable(constants.ENDPOINT):
        reason = f"{constants.ENDPOINT} does not answer; {elsewhere}"
    else:
        try:
            return _snapshot(wanted)
        except Exception as error:  # no common base class: hub, transport, disk
            cause = _cause(error)
            reason = _reason(cause, wanted) or f"{_words(cause)}; try again, or {elsewhere}"
    raise UserError(f"{wanted.kind} '{wanted.name}': not in the hub's cache, and {reason}")


def _snapshot(wanted: Wanted, **options: Any) -> Path:
    from huggingface_hub import get_session, snapshot_download

    if wanted.repo_type:
        options["repo_type"] = wanted.repo_type
    patterns = None if wanted.files is None else list(wanted.files)
    hooks, limit = get_session().event_hooks, Limit()
    hooks["request"].append(limit.asking)
    hooks["response"].append(limit.answered)
    try:
        folder = snapshot_download(
            wanted.name, revision=wanted.revision, allow_patterns=patterns, **options
        )
    finally:
        hooks["request"].remove(limit.asking)
        hooks["response"].remove(limit.answered)
    return Path(folder)


def _cause(error: Exception) -> Exception:
    """Return the hub's own error if the given one says that the cache lacks the files, too."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        return error.__cause__
    return error


def _reason(error: Exception, wanted: Wanted) -> str | None:
    """Return in words why a download failed, and a remedy; None if the reason is not known."""
    from huggingface_hub import constants, errors

    place = "datasets/" if wanted.repo_type == "dataset" else ""
    page, cache = f"{constants.ENDPOINT}/{place}{wanted.name}", constants.HF_HUB_CACHE
    match error:
        case errors.GatedRepoError():
            return f"its licence must be accepted first: at {page}, then `hf auth login`"
        case errors.RepositoryNotFoundError() | errors.HFValidationError():
            return f"there is no {page}, or it is private; check the spelling, or `hf auth login`"
        case errors.RevisionNotFoundError():
            return f"{page} has no revision '{wanted.revision}'; check {wanted.keys}"
        case errors.HfHubHTTPError(response=response) if response.status_code == 429:
            return "the hub wants fewer requests; wait some minutes, or `hf auth login`"
        case errors.HfHubHTTPError(response=response) if response.status_code in (401, 403):
            return f"the hub refuses access to {page}; `hf auth login` with a token that has it"
        case OSError(errno=errno.EACCES | errno.EROFS | errno.EPERM):
            return f"{cache} cannot be written; set HF_HOME to another folder"
    # The hub's fast transport passes on the operating system's message, but not the error number.
    if os.strerror(errno.ENOSPC) in str(error) or os.strerror(errno.EDQUOT) in str(error):
        return f"no space is left in {cache}; free some, or set HF_HOME to another disk"
    return None


def _words(error: Exception) -> str:
    return f"the download failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
