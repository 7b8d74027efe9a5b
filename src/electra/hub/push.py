"""push_to_hub: upload what `save_pretrained` writes to a repository on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo


class Pushed:
    """Mixin with `push_to_hub`, for classes that have `save_pretrained(folder)`."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        max_shard_size: int | str = "50GB",
        tags: Sequence[str] | None = None,
    ) -> CommitInfo:
        """Upload what `save_pretrained` writes, in one commit. The repository is made if it is not there.

        Args:
            repo_id: "name" or "organisation/name".
            commit_message, commit_description: of the commit.
            private: whether a new repository is private. Default: the organisation's rule.
            token: default: the one that you logged in with.
            revision: the branch. Default: main.
            create_pr: open a pull request.
            max_shard_size: the largest file of weights, in bytes, or as "200MB".
            tags: for the model card, which is added if the repository has none.

        Returns:
            The commit, whose text is its address.

        Raises:
            huggingface_hub's errors, among them one that says how to log in.
        """
        with TemporaryDirectory() as folder:
            self._save_to_push(folder, max_shard_size)
            return upload(
                Path(folder),
                repo_id,
                private=private,
                token=token,
                tags=[*getattr(self, "model_tags", ()), *(tags or ())],
                revision=revision,
                create_pr=create_pr,
                commit_message=commit_message or f"Upload {type(self).__name__}",
                commit_description=commit_description,
            )

    def _save_to_push(self, folder: str, max_shard_size: int | str) -> None:
        """Write the files; only those of weights are ever split."""
        self.save_pretrained(folder)  # type: ignore[attr-defined]


def upload(
    folder: Path, repo_id: str, *, private: bool | None, token: str | bool | None, tags: Sequence[str], **commit: Any
) -> CommitInfo:
    """Upload the files of a folder as one commit, with a model card if neither side has one."""
    from huggingface_hub import HfApi, ModelCard, ModelCardData

    api = HfApi(token=token)
    name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    card = folder / "README.md"
    if not card.exists() and not api.file_exists(name, card.name):
        facts = ModelCardData(library_name="transformers", tags=["electra", *(tag for tag in tags if tag != "electra")])
        card.write_text(str(ModelCard(f"---\n{facts.to_yaml()}\n---\n\n# {name.rpartition('/')[2]}\n")), "utf-8")
    made: CommitInfo = api.upload_folder(repo_id=name, folder_path=folder, **commit)
    return made
