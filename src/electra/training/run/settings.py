"""The settings of a run as a TOML file: readable, replayable, and compared when the run resumes"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

import tomli_w

from electra.files.atomic import write_text

Setting = str | bool | int | float | tuple[str, ...] | None


def write_settings(path: Path, settings: Mapping[str, Setting], *, title: str) -> None:
    """Write `settings` below a line of comment; a setting that is None is left out, because TOML has no such value."""
    table = {name: value for name, value in settings.items() if value is not None}
    write_text(path, f"# {title}\n{tomli_w.dumps(table)}")


def read_settings(path: Path, *, renamed: Mapping[str, str] | None = None) -> dict[str, Setting]:
    """What `write_settings` wrote.

    Args:
        renamed: the settings that earlier versions wrote under another name: that name -> the present one.

    Raises:
        ValueError: the file is not TOML.
        OSError: it cannot be read.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a settings file of a run: {error}") from error
    renamed = renamed or {}
    return {
        renamed.get(name, name): tuple(value) if isinstance(value, list) else value for name, value in table.items()
    }


def differences(
    before: Mapping[str, Setting], now: Mapping[str, Setting], *, ignoring: Collection[str] = ()
) -> list[str]:
    """One line for each setting that differs: `max_length: 128 before, 64 now`."""
    names = [name for name in dict.fromkeys((*before, *now)) if name not in ignoring]
    return [
        f"{name}: {_shown(before.get(name))} before, {_shown(now.get(name))} now"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _shown(value: Setting) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
