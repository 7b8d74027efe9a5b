"""The settings of a run as a TOML file: what was asked for, readable, and compared when the run goes on."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from electra.files.atomic import write_text

Setting = str | bool | int | float | tuple[str, ...] | None


def write_settings(path: Path, settings: Mapping[str, Setting], *, title: str) -> None:
    """Write `settings` under a line of comment; a setting that is None is left out, as TOML has no such value."""
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items() if value is not None]
    write_text(path, "\n".join([f"# {title}", *lines, ""]))


def read_settings(path: Path) -> dict[str, Setting]:
    """What `write_settings` wrote; a file that is not TOML is a ValueError that names it."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a settings file of a run: {error}") from error
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def differences(
    before: Mapping[str, Setting], now: Mapping[str, Setting], *, ignoring: Collection[str] = ()
) -> list[str]:
    """One line for each setting that differs: `length: 128 before, 64 now`."""
    names = [name for name in dict.fromkeys((*before, *now)) if name not in ignoring]
    return [
        f"{name}: {_shown(before.get(name))} before, {_shown(now.get(name))} now"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _toml(value: Setting) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    # a JSON string is a TOML string, but for the one control character that JSON does not escape
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shown(value: Setting) -> str:
    return "not set" if value is None else _toml(value)
