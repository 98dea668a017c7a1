"""Where a prior's files are: a local folder, the hub's cache, or downloaded there once."""

from collections.abc import Sequence
from pathlib import Path

from lgd_core.errors import UserError
from lgd_core.prior_files import (
    AUTOENCODER_FILES,
    PIPELINE_FILES,
    PRIOR_FILES,
    is_hub_name,
    missing_files,
)
from lgd_core.web import reachable


def locate_prior(
    source: str, revision: str | None, vae: str | None, vae_revision: str | None
) -> dict[str, str]:
    """Return the folders of a prior: ``pipeline``, and ``vae`` if it has another autoencoder.

    Raises UserError that names the missing files and the command that fetches them.
    """
    own = PRIOR_FILES if vae is None else PIPELINE_FILES
    folders = {"pipeline": str(locate(source, revision, own))}
    if vae is not None:
        folders["vae"] = str(locate(vae, vae_revision, AUTOENCODER_FILES))
    return folders


def locate(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """Return the folder of a local folder's or hub name's files, given as glob patterns.

    What lies in the hub's cache already is used without asking the hub. Raises UserError.
    """
    if not is_hub_name(name):
        return Path(name)
    cached = _snapshot(name, revision, files, local_files_only=True)
    if cached is not None and not missing_files(cached, files):
        return cached
    fetched = _download(name, revision, files)
    missing = missing_files(fetched, files) if fetched else files
    if not missing:
        return fetched
    pinned = f" --revision {revision}" if revision else ""
    raise UserError(
        f"prior '{name}': {', '.join(missing)} neither in the cache nor to be had from the hub; "
        f"on a machine with access: hf download {name}{pinned}"
    )


def _download(name: str, revision: str | None, files: Sequence[str]) -> Path | None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or not reachable(constants.ENDPOINT):
        return None
    return _snapshot(name, revision, files)


def _snapshot(
    name: str, revision: str | None, files: Sequence[str], **options: bool
) -> Path | None:
    """Return the snapshot's folder, or None where it cannot be had."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=list(files), **options)
        )
    except (OSError, HfHubHTTPError):
        return None
