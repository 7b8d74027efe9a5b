"""A folder comes before the Hub; what is not there is told apart from what cannot be reached."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from electra.hub.hub_names import find_file, is_repository_name

NAME = "someone/electra-tiny"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub cache that holds config.json of NAME at `main`; the Hub itself may not be asked."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--someone--electra-tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "snapshots" / "abc" / "config.json").write_text("{}")
    return tmp_path


def test_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "sub" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert find_file("model", "config.json", subfolder="sub") == Path("model/sub/config.json")
    assert find_file(tmp_path / "model", "config.json") is None
    with pytest.raises(FileNotFoundError, match="no folder 'nope'"):
        find_file("model", "config.json", subfolder="nope")
    with pytest.raises(NotADirectoryError, match="is a file"):
        find_file("model/sub/config.json", "config.json")


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert find_file("~", "config.json") == tmp_path / "config.json"


@pytest.mark.parametrize("name", ["./model", "/model", "a/b/c", "../model", "~/model", "a\\b", "", "a b", "a/", "-a"])
def test_names_that_can_only_be_folders(name: str) -> None:
    assert not is_repository_name(name)


@pytest.mark.parametrize("name", ["electra-small", NAME, "my_org/x.y-z_1", "0x/1"])
def test_names_that_may_be_repositories(name: str) -> None:
    assert is_repository_name(name)


def test_a_missing_folder_is_named_in_full() -> None:
    with pytest.raises(FileNotFoundError, match=rf"no folder '{Path.cwd()}/runs/a/b'.*typing error"):
        find_file("runs/a/b", "config.json")


@pytest.mark.parametrize("name", ["a--b", "x" * 97])
def test_a_name_that_the_hub_refuses(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        find_file(name, "config.json")


@pytest.mark.parametrize("local_files_only", [True, False])
def test_offline(cache: Path, local_files_only: bool) -> None:
    options = {"cache_dir": cache, "local_files_only": local_files_only}
    found = find_file(NAME, "config.json", **options)  # type: ignore[arg-type]
    assert found is not None
    assert found.read_text() == "{}"
    assert find_file(NAME, "model.safetensors", **options) is None  # type: ignore[arg-type]
    with pytest.raises(OSError, match=r"HF_HUB_OFFLINE.*does not hold 'someone/electra-tiny' at revision 'v2'"):
        find_file(NAME, "config.json", revision="v2", **options)  # type: ignore[arg-type]
    with pytest.raises(OSError, match=r"no folder.*someone/other.*Give the path of a folder"):
        find_file("someone/other", "config.json", **options)  # type: ignore[arg-type]


def answering(status: int, error: type[Exception]) -> Exception:
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return error("said the Hub", response=response)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (answering(403, errors.GatedRepoError), "is gated: accept its terms"),
        (answering(401, errors.RepositoryNotFoundError), "no repository 'someone/electra-tiny' that you may read"),
        (answering(404, errors.RevisionNotFoundError), "no branch, tag or commit 'v2'"),
        (answering(500, errors.HfHubHTTPError), "refused 'someone/electra-tiny': said the Hub"),
        (errors.LocalEntryNotFoundError("no route to host"), "could not be fetched.*no route to host"),
    ],
)
def test_what_the_hub_may_say(error: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("electra.hub.hub_names._unknown_host", str)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(OSError, match=message):
        find_file(NAME, "config.json", revision="v2", cache_dir=tmp_path)


def test_the_hub_has_no_such_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise answering(404, errors.RemoteEntryNotFoundError)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", absent)
    assert find_file(NAME, "model.safetensors") is None


def test_what_the_hub_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def download(name: str, filename: str, **options: object) -> str:
        asked.update(name=name, filename=filename, **options)
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    given = {"revision": "v2", "subfolder": "sub", "token": "t", "cache_dir": "c", "force_download": True}
    found = find_file(NAME, "config.json", **given)  # type: ignore[arg-type]
    assert found == tmp_path / "config.json"
    assert asked == {"name": NAME, "filename": "config.json", "local_files_only": False, **given}


@pytest.fixture
def unknown_host(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine without a network: no host is known. The hosts that were asked for."""
    asked: list[str] = []

    def refused(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr("electra.hub.hub_names.getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return asked


def test_a_mistyped_folder_does_not_wait_for_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unknown_host: list[str]
) -> None:
    (tmp_path / "runs" / "model-small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    began = time.perf_counter()
    message = r"no folder '.*runs/model-smal'\. Did you mean model-small\? .*the host .* is not known here"
    with pytest.raises(OSError, match=message):
        find_file("runs/model-smal", "config.json", cache_dir=tmp_path / "cache")
    assert time.perf_counter() - began < 2
    assert 1 <= len(unknown_host) <= 2  # and not five tries; another thread of the library may ask, too
    with pytest.raises(OSError, match=r"no folder '[^']*/something-else'\. As a name"):
        find_file("something-else", "config.json", cache_dir=tmp_path / "cache")


def test_without_a_network_the_cache_is_used(cache: Path, unknown_host: list[str]) -> None:
    assert find_file(NAME, "config.json", cache_dir=cache) == cache.joinpath(
        "models--someone--electra-tiny", "snapshots", "abc", "config.json"
    )


def test_a_proxy_is_asked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unknown_host: list[str]
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr("electra.hub.hub_names.getproxies", lambda: {"https": "http://proxy"})

    def download(name: str, filename: str, *, local_files_only: bool, **_: object) -> str:
        seen.append(local_files_only)
        return "there"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert find_file(NAME, "config.json") == Path("there")
    assert (seen, unknown_host) == ([False], [])


def test_a_mistyped_path_names_the_nearest_folder(tmp_path: Path) -> None:
    (tmp_path / "discriminator").mkdir()
    with pytest.raises(FileNotFoundError, match=r"typing error\. Did you mean discriminator\?"):
        find_file(tmp_path / "discrimnator", "config.json")
