"""`electra VERB …`: the fields of a verb's config are its flags, its function gets the config.

A verb is a module of `electra.commands` with a config, a dataclass, and a function of it. It is imported only when
the verb is called. Data go to stdout, messages to stderr. The exit codes are those of docs/exit-codes.md.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from importlib import import_module
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from electra import __version__
from electra.commands.standard_streams import ReaderLeft, discard_stdout, named_standard_streams
from electra.validation import did_you_mean

VERBS = {
    "quickstart": "Pretrain, fine-tune and use a model in a few minutes, on text that comes with Python.",
    "pretrain": "Text files in, a pretrained generator and discriminator out.",
    "finetune": "Fit a pretrained model to a task with labelled examples.",
    "evaluate": "Scores of a fitted model on labelled examples, with confidence intervals.",
    "predict": "Answers for the examples of a file or of stdin, as JSON lines, CSV or Parquet.",
    "convert": "Google's TensorFlow checkpoints to model folders, and back.",
    "report": "A page of a run's curves and alarms, with examples of its networks' predictions.",
    "inspect": "Which network a folder holds: sizes, heads, labels, tokenizer.",
    "tokenizer train": "A vocabulary from text files.",
    "tokenizer report": "How well a tokenizer suits a text.",
}

# verbs of two words are shown under the first
_GROUPS = {"tokenizer": "Train a vocabulary, or see how well one suits a text."}

# the function that does what the verb says, where it is not named like the verb
FUNCTIONS = {
    "predict": "predict_file",
    "inspect": "print_description",
    "tokenizer train": "train_tokenizer",
    "tokenizer report": "report_tokenizer",
}

_MODULES = {"tokenizer": "tokenizer_commands"}
"""The module of `electra.commands` that has a verb, where it is not named like the verb."""

_HELP = """ELECTRA: pretrain an encoder from plain text, fine-tune it, run it.

electra VERB --help lists a verb's options; --debug shows an error's origin.
"""

# a heading over each section of the help, and no frame around it
_HEADINGS = Box("    \n" * 8)

OLD_FLAGS: dict[str, dict[str, str]] = {
    "predict": {"--file": "--data"},
    "finetune": {
        "--rate": "--learning-rate",
        "--warmup": "--warmup-fraction",
        "--teacher-share": "--teacher-weight",
    },
    "pretrain": {"--length": "--max-length"},
}
"""Flags that were named otherwise, by verb: the old spelling is understood, with a notice."""

STOPPED_BY_READER = 141  # 128 + SIGPIPE, what a shell sees of `yes | head`
INTERRUPTED = 130  # 128 + SIGINT


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (default: this process's) and leave with its exit code.

    What the verb's function returns goes to stdout, a dict as a line of JSON.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = _take_debug(words)
    try:
        with named_standard_streams(), _signals_in_order():
            code = run(words)
            sys.stdout.flush()
    except KeyboardInterrupt:
        _say("stopped")
        code = INTERRUPTED
    except (BrokenPipeError, ReaderLeft):
        discard_stdout()  # whoever read our output has left: there is nothing to say
        code = STOPPED_BY_READER
    except (ValueError, OSError, ImportError, MemoryError, RuntimeError) as error:
        if debug or (isinstance(error, RuntimeError) and not _is_out_of_memory(error)):
            raise
        if isinstance(error, OSError) and error.filename == "stdout":
            discard_stdout()
        _say(_in_words(error))
        code = 1
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End the process; without the interpreter's shutdown where a process group was not destroyed.

    Threads of torch that still wait for a failed process would now and then abort the shutdown.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def _signals_in_order() -> Iterator[None]:
    """Turn signals that end the process into an exception, so that half-written files are removed.

    The exit code is the one a shell would report. Verbs that save their work first handle the signals themselves.
    """
    numbers = [signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if name in signal.Signals.__members__]
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # under nohup one is not
    for number in taken:
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def run(words: Sequence[str]) -> int:
    """Parse the words, do what they say, and return the exit code; errors of the verb itself are raised."""
    if words and not words[0].startswith("-") and words[0] not in _first_words():
        _say(_unknown_verb(words[0]))
        return 2
    app = application()
    try:
        config = app(_with_dashes(_with_new_flags(words)), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _say(f"{_one_line(str(error))}\nSee {_named(words)} --help")
        return 2
    if not is_dataclass(config):  # --help and --version are answered already
        return 0
    verb = next(verb for verb in VERBS if verb.split() == list(words[: len(verb.split())]))
    result = getattr(import_module(module_of(verb)), FUNCTIONS.get(verb, verb))(config)
    if result is not None:
        print(_printed(result))
    return 0


def _printed(result: object) -> object:
    """What a verb's result looks like on stdout: JSON for programs, a table where a person reads a terminal."""
    table = getattr(result, "as_table", None)
    if table is not None and sys.stdout.isatty():
        return table()
    return json.dumps(result, ensure_ascii=False) if isinstance(result, dict) else result


def application() -> App:
    """The parser: every verb with its flags, a verb's module imported only when that verb is named."""
    app = App(
        name="electra",
        help=_HELP,
        version=__version__,
        help_format="markdown",
        help_formatter=DefaultFormatter(panel_spec=PanelSpec(box=_HEADINGS, padding=(0, 0, 1, 0))),
        result_action="return_value",
        default_parameter=Parameter(negative=()),
    )
    for place, (verb, sentence) in enumerate(VERBS.items()):
        module, *second = verb.split()
        if second and module not in app:
            app.command(App(name=module, help=_GROUPS[module], sort_key=place))
        config = f"{module_of(verb)}:{verb.title().replace(' ', '')}Config"
        (app[module] if second else app).command(config, name=verb.split()[-1], help=sentence, sort_key=place)
    return app


def module_of(verb: str) -> str:
    """The module that has a verb's config and function."""
    return f"electra.commands.{_MODULES.get(verb.split()[0], verb)}"


def _with_dashes(words: Sequence[str]) -> list[str]:
    """The words with every lone hyphen in a form that the parser does not take for an option.

    `--output -` becomes `--output=-`; a file that is a hyphen becomes /dev/stdin, which every reader takes for stdin.
    """
    taken: list[str] = []
    for word in words:
        if word == "-" and taken and taken[-1].startswith("--") and "=" not in taken[-1]:
            taken[-1] += "=-"
        else:
            taken.append("/dev/stdin" if word == "-" else word)
    return taken


def _with_new_flags(words: Sequence[str]) -> list[str]:
    """The words with old spellings of flags replaced; each is said once on stderr."""
    renamed = OLD_FLAGS.get(words[0], {}) if words else {}
    taken = []
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in renamed:
            _say(f"{flag} is now {renamed[flag]}; the old spelling is still understood")
        taken.append(renamed.get(flag, flag) + equals + value)
    return taken


def _take_debug(words: list[str]) -> bool:
    """Take --debug out of the words, wherever it stands before a lone `--`."""
    ours = words[: words.index("--")] if "--" in words else words
    if "--debug" in ours:
        words.remove("--debug")
        return True
    return bool(os.environ.get("ELECTRA_DEBUG"))


def _unknown_verb(word: str) -> str:
    suggestion = did_you_mean(word, _first_words()) or "."
    return f"there is no verb {word!r}{suggestion} The verbs are {', '.join(_first_words())}."


def _first_words() -> list[str]:
    return list(dict.fromkeys(verb.split()[0] for verb in VERBS))


def _named(words: Sequence[str]) -> str:
    return f"electra {words[0]}" if words and words[0] in _first_words() else "electra"


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _in_words(error: Exception) -> str:
    """What an exception says to a user; an error without words of its own gets its kind."""
    message = str(error).strip()
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        reason = f" ({message.splitlines()[0]})" if message else ""
        return f"there is not enough memory{reason}: give a smaller batch or model, or raise the limit (ulimit -v)"
    if isinstance(error, OSError) and error.strerror and error.filename:
        message = f"{error.filename}: {error.strerror}"
    return message or type(error).__name__


def _say(message: str) -> None:
    """One message on stderr, in red on a terminal that takes colours."""
    from rich.console import Console

    if sys.stderr is None:  # closed
        return
    with suppress(OSError):  # there is nowhere to print; the exit code reports the error
        console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
        console.print(f"electra: {message}", style="red")


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the system or the device had no memory left; torch says so by its text, and by a class of its own."""
    signs = ("can't allocate memory", "not enough memory", "out of memory", "can't start new thread")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
