"""Names of models: the files of a folder on this machine, or of a repository on the Hugging Face Hub.

The Hub is reached through `huggingface_hub` alone, so its cache, its tokens and its environment variables (`HF_HOME`,
`HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`, …) mean here what they mean everywhere.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict
from urllib.parse import urlsplit
from urllib.request import getproxies

from electra.validation import did_you_mean

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

# "electra-small" or "google/electra-small-discriminator": nothing else can be a repository
_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)


class Location(TypedDict, total=False):
    """Which part of a folder or repository, and how to reach the Hub; every field may be left out. See `find_file`."""

    subfolder: str
    revision: str | None
    cache_dir: str | os.PathLike[str] | None
    token: str | bool | None
    local_files_only: bool
    force_download: bool


def find_file(
    name_or_path: str | os.PathLike[str],
    filename: str,
    *,
    subfolder: str = "",
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path | None:
    """The path of a model's file, downloaded first if the model is a repository on the Hub.

    Args:
        name_or_path: a folder, which comes before a repository of the same name, or a repository.
        filename: of the file in it.
        subfolder: where in the folder or repository the file is.
        revision: a branch, tag or commit of a repository. Default: its main branch.
        cache_dir: of downloads. Default: `HF_HOME`'s.
        token: for private repositories. Default: the one that you logged in with.
        local_files_only: look in the cache alone, as the environment variable `HF_HUB_OFFLINE=1` does.
        force_download: even if it is in the cache.

    Returns:
        The path; None if the folder or repository is there and has no such file (offline: none in the cache).

    Raises:
        OSError: there is no such folder or repository, or the Hub cannot be reached.
    """
    folder = Path(name_or_path).expanduser()
    if folder.exists():
        return _in_folder(folder, filename, subfolder)
    if not is_repository_name(name_or_path):
        raise FileNotFoundError(
            f"There is no folder {str(folder.absolute())!r}, and {str(name_or_path)!r} is not the name of a "
            "repository on the Hugging Face Hub either (those look like 'google/electra-small-discriminator'). "
            f"Check the path for a typing error{_nearest(folder) or '.'}"
        )
    return _in_repository(
        str(name_or_path),
        filename,
        subfolder=subfolder,
        revision=revision,
        cache_dir=cache_dir,
        token=token,
        local_files_only=local_files_only,
        force_download=force_download,
    )


def is_repository_name(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether this could be the name of a repository; "./x", "/x", "a/b/c" and "~/x" can only be folders."""
    return isinstance(name_or_path, str) and _REPOSITORY.fullmatch(name_or_path) is not None


def _in_folder(folder: Path, filename: str, subfolder: str) -> Path | None:
    if not folder.is_dir():
        raise NotADirectoryError(f"{str(folder)!r} is a file; give the folder that holds it.")
    folder = folder / subfolder
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {subfolder!r} in {str(folder.parent)!r}.")
    file = folder / filename
    return file if file.is_file() else None


def _in_repository(name: str, filename: str, *, revision: str | None, **options: Any) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    options["subfolder"] = options["subfolder"] or None
    # huggingface_hub tries six times, over 23 seconds, to reach a host that is not known
    unknown_host = "" if options["local_files_only"] else _unknown_host()
    asked = {**options, "local_files_only": True, "force_download": False} if unknown_host else options
    try:
        return Path(hf_hub_download(name, filename, revision=revision, **asked))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        why = OSError(f"the host {unknown_host} is not known here") if unknown_host else error
        return _not_in_cache(name, filename, revision, options, why)
    except EntryNotFoundError:
        return None
    except HfHubHTTPError as error:
        _refused(name, revision, error)
    except HFValidationError as error:
        raise FileNotFoundError(
            f"{_no_folder(name)} Nor can the Hub have a repository of that name: {error}"
        ) from error


def _unknown_host() -> str:
    """The Hub's host if its address cannot be found; "" if it can be, or if a proxy would be asked."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname or ""
    if not host or constants.HF_HUB_OFFLINE or getproxies().keys() & {"http", "https", "all"}:
        return ""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return host
    return ""


def _not_in_cache(
    name: str, filename: str, revision: str | None, options: dict[str, Any], error: Exception
) -> Path | None:
    """None if the cache knows that there is no such file; an error if the Hub would have to be asked."""
    from huggingface_hub import constants, try_to_load_from_cache

    subfolder, cache_dir = options["subfolder"], options["cache_dir"]
    path = f"{subfolder}/{filename}" if subfolder else filename
    offline = options["local_files_only"] or constants.HF_HUB_OFFLINE
    cached = try_to_load_from_cache(name, path, cache_dir=cache_dir, revision=revision)
    known_to_be_absent = cached is not None and not isinstance(cached, str)
    if known_to_be_absent or (offline and _cached_snapshot(name, revision, cache_dir)):
        return None
    cache = cache_dir or constants.HF_HUB_CACHE
    of = f" at revision {revision!r}" if revision else ""
    if offline:
        why = (
            f"the Hugging Face Hub may not be asked (local_files_only=True, or HF_HUB_OFFLINE is set) and the cache "
            f"{str(cache)!r} does not hold {name!r}{of}. Give the path of a folder, or load it once while online."
        )
    else:
        why = (
            f"{path!r} of {name!r}{of} could not be fetched from the Hugging Face Hub ({constants.ENDPOINT}), nor is "
            f"it in the cache {str(cache)!r}: {error.__cause__ or error}. Check the name and the connection."
        )
    raise OSError(f"{_no_folder(name)} As a name on the Hub: {why}") from error


def _cached_snapshot(name: str, revision: str | None, cache_dir: str | os.PathLike[str] | None) -> bool:
    """Whether anything of this revision (default: main) is in the cache."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    repository = Path(cache_dir or constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")
    revision = revision or constants.DEFAULT_REVISION
    reference = repository / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    return (repository / "snapshots" / commit).is_dir()


def _refused(name: str, revision: str | None, error: HfHubHTTPError) -> NoReturn:
    """Raise why the Hub does not give the file, with its own error as the cause."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        why = f"{name!r} is gated: accept its terms at https://huggingface.co/{name} and log in with `hf auth login`."
    elif isinstance(error, RepositoryNotFoundError):
        why = (
            f"the Hugging Face Hub has no repository {name!r} that you may read. If it is private, log in with "
            "`hf auth login` or give token=."
        )
    elif isinstance(error, RevisionNotFoundError):
        why = f"the repository {name!r} has no branch, tag or commit {revision!r}."
    else:
        why = f"the Hugging Face Hub refused {name!r}: {error}"
    raise OSError(f"{_no_folder(name)} As a name on the Hub: {why}") from error


def _no_folder(name: str) -> str:
    return f"There is no folder {str(Path(name).absolute())!r}{_nearest(Path(name)) or '.'}"


def _nearest(folder: Path) -> str:
    """`. Did you mean X?` for a folder beside a missing one whose name is near; "" if there is none."""
    try:
        beside = [other.name for other in sorted(folder.absolute().parent.iterdir())[:1000] if other.is_dir()]
    except OSError:
        return ""
    return did_you_mean(folder.name, beside, cutoff=0.8)
