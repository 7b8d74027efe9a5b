"""Corpora beyond one machine: the two steps of a datatrove pipeline that write the examples which `prepare` writes.

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from electra.data.preparation.datatrove_pipeline import JoinShares, WriteShare

    shares = LocalPipelineExecutor([JsonlReader("corpus"), WriteShare("tokenizer", "shares")], tasks=64)
    LocalPipelineExecutor([JoinShares("tokenizer", "shares", "examples")], depends=shares).run()

Then `electra pretrain examples --vocab tokenizer …` trains on them. SlurmPipelineExecutor and RayPipelineExecutor take
the same steps (docs/pretraining.md shows both); the folders have to be on a file system that all machines see. A task
that is killed resumes from its last mark when it runs again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from electra.data.corpus.documents import Document, Text, documents_in
from electra.data.dataset.shards import Shards, ShardWriter
from electra.data.preparation.example_sets import HELD_OUT, TRAIN, ExampleSets, check_enough, files_of
from electra.data.preparation.prepare import DESCRIPTION, Recipe, recipe_of
from electra.files.atomic import write_text
from electra.files.resumable_folder import MARK, clear, require_replaceable, resumable_folder
from electra.files.text_files import PathLike
from electra.text.tokenizer import ElectraTokenizer

try:
    from datatrove.pipeline.base import PipelineStep
except ImportError as missing:
    raise ImportError("a datatrove pipeline needs datatrove: pip install 'electra[scale]'") from missing

logger = logging.getLogger(__name__)

SHARE = "share.json"
FIRST_DOCUMENT_BITS = 40
"""The documents of a task are numbered from task * 2**40, so that its examples do not depend on other tasks."""


class WriteShare(PipelineStep):  # type: ignore[misc]
    """Write the examples of one task's documents to `shares/TASK`.

    Whether a document is held out follows from its number within the task.

    Args:
        tokenizer: the tokenizer's folder.
        shares: the folder of the shares of all tasks.
        length: as for `prepare`, and so are the arguments below.
        segments: as for `prepare`.
        seed: as for `prepare`.
        held_out_fraction: as for `prepare`.
        word_boundaries: as for `prepare`.

    Raises:
        ValueError: an option is not valid.
    """

    type = "Tokenizer"
    name = "electra examples"

    def __init__(
        self,
        tokenizer: PathLike,
        shares: PathLike,
        *,
        length: int = 128,
        segments: str = "faithful",
        seed: int = 0,
        held_out_fraction: float = 0.01,
        word_boundaries: str | None = None,
    ) -> None:
        super().__init__()
        self.tokenizer, self.shares = str(tokenizer), str(shares)
        self.options: dict[str, Any] = {
            "length": length,
            "segments": segments,
            "seed": seed,
            "held_out_fraction": held_out_fraction,
            "word_boundaries": word_boundaries,
        }
        recipe_of(
            ElectraTokenizer.from_pretrained(self.tokenizer), **self.options
        )  # invalid options fail here, not in every task

    def run(self, data: Iterable[Any], rank: int = 0, world_size: int = 1) -> None:
        """Write the share of task `rank`, unless it exists already.

        Args:
            data: datatrove's documents of this task.
            rank: the task's number.
            world_size: the number of tasks.
        """
        tokenizer = ElectraTokenizer.from_pretrained(self.tokenizer)
        recipe = {**recipe_of(tokenizer, **self.options), "tasks": world_size, "encoding": "utf-8"}
        target = _place(self.shares, rank)
        if (target / SHARE).is_file() and json.loads((target / SHARE).read_text("utf-8"))["recipe"] == recipe:
            return
        with resumable_folder(target, SHARE) as working:
            _keep_only(working, recipe)
            if not (working / SHARE).is_file():
                sets = ExampleSets(working, tokenizer, recipe, first_document=rank << FIRST_DOCUMENT_BITS)
                counts = sets.write(self._documents(data))
                write_text(working / SHARE, json.dumps({"recipe": recipe, **counts}, indent=1) + "\n")

    def _documents(self, data: Iterable[Any]) -> Iterator[Document]:
        for number, document in enumerate(data, 1):
            self.stat_update("documents")
            yield from documents_in(Text(number, document.text), Path(str(document.id)))


class JoinShares(PipelineStep):  # type: ignore[misc]
    """Join the shares of all tasks, in the order of the tasks, into one folder of prepared examples.

    Args:
        tokenizer: the tokenizer's folder.
        shares: the folder of the shares, which is not changed.
        output: the folder to write, neither inside the folder of the shares nor around it: new, empty, or a folder of
            prepared examples, which is replaced.

    Raises:
        ValueError: `output` is inside `shares` or around it, or holds something else than prepared examples.
    """

    type = "Tokenizer"
    name = "electra join"

    def __init__(self, tokenizer: PathLike, shares: PathLike, output: PathLike) -> None:
        super().__init__()
        self.tokenizer, self.shares, self.output = str(tokenizer), str(shares), Path(output)
        self._check_output()

    def run(self, data: Iterable[Any] | None = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the folder. Only task 0 writes, the others return at once.

        Args:
            data: not used; datatrove passes it.
            rank: the task's number.
            world_size: the number of tasks.

        Raises:
            ValueError: shares are missing or not consistent, no document was held out, or `output` cannot be replaced.
        """
        if rank > 0:
            return
        self._check_output()
        tokenizer = ElectraTokenizer.from_pretrained(self.tokenizer)
        shares = self._read_shares(tokenizer.fingerprint())
        recipe = shares[0]["recipe"]
        words = recipe.get("word_boundaries") is not None
        counts: dict[str, Any] = {name: sum(share[name] for share in shares) for name in ("tokens_read", "tokens_kept")}
        with resumable_folder(self.output, DESCRIPTION) as working:
            clear(working)  # left by a killed run, perhaps with other shares
            for name, dtype in files_of(len(tokenizer), words=words).items():
                with ShardWriter(working, name, dtype=dtype) as writer:
                    for task in range(len(shares)):
                        writer.extend(Shards(_place(self.shares, task), name))
                    all_documents = sum(share[one]["documents"] for share in shares for one in (TRAIN, HELD_OUT))
                    check_enough({name: writer}, all_documents, recipe["held_out_fraction"])
                if name in (TRAIN, HELD_OUT):
                    documents = sum(share[name]["documents"] for share in shares)
                    counts[name] = {"examples": writer.sequences, "tokens": writer.tokens, "documents": documents}
            described = {"recipe": {**recipe, "files": []}, "files": [], **counts}
            write_text(working / DESCRIPTION, json.dumps(described, indent=1) + "\n")

    def _check_output(self) -> None:
        shares, output = Path(self.shares).resolve(), self.output.resolve()
        if output.is_relative_to(shares) or shares.is_relative_to(output):
            raise ValueError(
                f"the output {self.output} and the shares in {self.shares} are one in the other: give an output "
                f"outside of the shares, because the output folder is replaced"
            )
        require_replaceable(self.output, DESCRIPTION)

    def _read_shares(self, fingerprint: str) -> list[dict[str, Any]]:
        """The description of every share, in the order of the tasks."""
        first = _place(self.shares, 0) / SHARE
        if not first.is_file():
            raise ValueError(f"{self.shares} has no share of the first task: run WriteShare before")
        recipe = json.loads(first.read_text("utf-8"))["recipe"]
        paths = [_place(self.shares, task) / SHARE for task in range(recipe["tasks"])]
        missing = [str(path.parent) for path in paths if not path.is_file()]
        if missing:
            raise ValueError(
                f"{len(missing)} of {len(paths)} shares are missing, the first is {missing[0]}: run WriteShare again"
            )
        shares = [json.loads(path.read_text("utf-8")) for path in paths]
        other = [str(path.parent) for path, share in zip(paths, shares, strict=True) if share["recipe"] != recipe]
        if other:
            raise ValueError(f"{other[0]} was made with other options than the first share: run WriteShare again")
        if recipe["tokenizer"] != fingerprint:
            raise ValueError(f"{self.shares} was made with another tokenizer than {self.tokenizer}: give that one")
        return shares


def _keep_only(working: Path, recipe: Recipe) -> None:
    """Delete unfinished work of another recipe: another tokenizer, other options, or another number of tasks."""
    descriptions = [json.loads(path.read_text("utf-8")) for path in (working / SHARE, working / MARK) if path.is_file()]
    if descriptions and all(one.get("recipe") == recipe for one in descriptions):
        return
    if descriptions:
        logger.warning("%s was started with other options or another tokenizer: it restarts", working.parent)
    clear(working)


def _place(shares: str, task: int) -> Path:
    """A share's folder, with a parent of its own: `resumable_folder` deletes leftovers beside the folder it writes."""
    return Path(shares) / f"{task:05}" / "examples"
