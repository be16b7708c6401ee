"""Uploads an exported folder to a hub by the hub's own client: its token, its mirror (`HF_ENDPOINT`), its offline mode.

All files go in one commit at the end, after the large ones are stored under their digests: what is interrupted leaves
nothing to see, and given again goes on with the files that are missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.digests import SUMS, read_sums
from penchant.errors import InputError, PenchantError, RunError
from penchant.export.card import CARD
from penchant.export.card_words import size_text
from penchant.export.folder import RECORD, Exported, open_export, write_export
from penchant.export.settings import ModelFolder, Push
from penchant.redact import shown_url

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HUB_FILES = frozenset({".gitattributes"})
"""What a hub puts into a repository by itself."""
Question = Callable[[str], bool]
"""Asks the user, and returns whether the answer was yes."""


@dataclass(frozen=True)
class Pushed:
    """A commit on a hub."""

    url: str
    commit: str
    private: bool


def describe_push(settings: Push, exported: Exported) -> str:
    """Return what would go: the repository, who would see it, each file with its size, and the card."""
    from huggingface_hub import constants

    width = max(len(name) for name in exported.files)
    sizes = [f"  {name:<{width}}  {size_text(size)}" for name, size in exported.files.items()]
    card = (exported.folder / CARD).read_text(encoding="utf-8")
    return "\n".join(
        [
            f"would go to {shown_url(constants.ENDPOINT)}/{settings.repository} "
            f"({'private: only its owner sees it' if settings.private else 'PUBLIC: everybody sees it'})",
            f"licence: {exported.license or 'unknown'}",
            f"{len(exported.files)} files, {size_text(sum(exported.files.values()))}, in one commit "
            f"({settings.message!r}):",
            *sizes,
            f"{CARD}:",
            *(f"  | {line}".rstrip() for line in card.splitlines()),
            "nothing was sent (dry_run=true)",
        ]
    )


@contextmanager
def exported_folder(settings: Push) -> Iterator[Exported]:
    """Yield the folder to upload: the one that is named, or an export of the model that is, which goes afterwards.

    Raises:
        InputError: the folder is damaged, the model cannot be exported, or a public one has no licence.
    """
    path = Path(settings.model).expanduser()
    if (path / RECORD).is_file():
        _refuse_settings_of_an_export(settings)
        exported = open_export(path)
        _check_license(settings, exported)
        yield exported
        return
    with tempfile.TemporaryDirectory(prefix="penchant-push-") as folder:
        exported = write_export(settings, Path(folder) / path.resolve().name)
        _check_license(settings, exported)
        yield exported


def _refuse_settings_of_an_export(settings: Push) -> None:
    changes = [
        name
        for name, field in ModelFolder.model_fields.items()
        if name != "model" and getattr(settings, name) != field.default
    ]
    if changes:
        raise InputError(
            f"{settings.model} is exported already, so {', '.join(changes)} would change nothing: export the run again "
            "with it, or name the run itself"
        )


def _check_license(settings: Push, exported: Exported) -> None:
    # others could not know whether they may use it
    if not settings.private and exported.license is None:
        # a folder that was exported has its card already, so a setting of this command would come too late
        is_exported = (Path(settings.model).expanduser() / RECORD).is_file()
        advice = "export the run again with it" if is_exported else "say which"
        raise InputError(
            f"a public model needs a licence, and that of the base model was not found: look it up and {advice} "
            "(license=apache-2.0), or keep the repository private"
        )


def push_folder(settings: Push, exported: Exported, ask: Question) -> Pushed:
    """Upload a folder as one commit.

    Args:
        ask: asked before a repository that holds files gets a commit; False where nobody can be asked.

    Raises:
        InputError: no token or one without the right, offline mode, a repository that holds files, or one that is
            public although a private one is wanted.
        RunError: the upload was interrupted.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token

    # here, and not by an error of the client: the setting can be named
    if constants.HF_HUB_OFFLINE:
        raise InputError("the hub's offline mode is on (HF_HUB_OFFLINE): unset it, or look with dry_run=true")
    if get_token() is None:
        raise InputError(
            "no token of the hub is here: log in with `hf auth login`, or set HF_TOKEN to a token that may write "
            f"(made at {shown_url(constants.ENDPOINT)}/settings/tokens)"
        )
    api = HfApi()
    with _hub_errors(settings):
        api.whoami()  # a token that is out of date is named before anything is made
        parent, private = _open_repository(api, settings, ask)
        additions = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(exported.folder / name))
            for name in exported.files
        ]
        stale = [CommitOperationDelete(path_in_repo=name) for name in _stale_files(api, settings, exported, parent)]
        commit = api.create_commit(
            settings.repository,
            operations=[*additions, *stale],
            commit_message=settings.message,
            parent_commit=parent,
        )
    url = f"{shown_url(constants.ENDPOINT)}/{settings.repository}"
    return Pushed(url, str(commit.oid), private)


def _open_repository(api: HfApi, settings: Push, ask: Question) -> tuple[str | None, bool]:
    """Make the repository, or check the one that is there; return its last commit, and whether it is private."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        info = api.model_info(settings.repository)
    except GatedRepoError:  # it is one of the next
        raise
    except RepositoryNotFoundError:
        api.create_repo(settings.repository, private=settings.private)
        return None, settings.private
    files = {file.rfilename for file in info.siblings or ()} - HUB_FILES
    private = bool(info.private)
    if settings.private and not private:
        raise InputError(
            f"{settings.repository} is there and public: push with private=false if everybody may see this model, or "
            "choose another name"
        )
    # one that an interrupted push left has no file yet
    contents = _listing(sorted(files))
    if files and not settings.update and not ask(f"{settings.repository} holds {contents}. Add a commit?"):
        raise InputError(
            f"{settings.repository} is there and holds {contents}: add a commit to it with update=true, or choose "
            "another name"
        )
    return info.sha, private


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more files" if len(names) > 3 else "")


def _stale_files(api: HfApi, settings: Push, exported: Exported, parent: str | None) -> list[str]:
    """Return files of an earlier push that this one does not replace, such as shards, which would mislead.

    Files that somebody else put there are in no list of ours, and stay.
    """
    if parent is None:
        return []
    present = set(api.list_repo_files(settings.repository, revision=parent))
    if SUMS not in present:
        return []
    with tempfile.TemporaryDirectory(prefix="penchant-push-") as folder:
        file = api.hf_hub_download(settings.repository, SUMS, revision=parent, local_dir=folder)
        listed = read_sums(Path(file).parent) or {}
    return sorted((set(listed) & present) - set(exported.files))


@contextmanager
def _hub_errors(settings: Push) -> Iterator[None]:
    """Turn what the hub's client raises into the message of what to do."""
    import httpx
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except PenchantError:
        raise
    except OfflineModeIsEnabled as error:
        raise InputError("the hub's offline mode is on (HF_HUB_OFFLINE): unset it") from error
    except GatedRepoError as error:
        raise InputError(f"{settings.repository} is gated, and your account has no access: {_first(error)}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status == 401:
            raise InputError(
                "the hub does not accept the token: log in again with `hf auth login`, or set HF_TOKEN to one that is "
                f"valid ({_first(error)})"
            ) from error
        if status in (403, 404, 409):
            raise InputError(
                f"the token may not write to {settings.repository}: use one with the role `write`, and an owner that "
                f"you belong to ({_first(error)})"
            ) from error
        if status and status < 500 and status not in (408, 429):
            raise InputError(f"the hub refuses it: {_first(error)}") from error
        raise _interrupted(settings, error) from error
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        raise _interrupted(settings, error) from error
    except ValueError as error:  # the hub does not accept the card, or a name
        raise InputError(f"the hub refuses it: {_first(error)}") from error


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _interrupted(settings: Push, error: Exception) -> RunError:
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return RunError(
        f"the upload to {settings.repository} did not end ({_first(cause)}): no file of it can be seen "
        "there. Give the same command again; what was uploaded is not sent twice"
    )
