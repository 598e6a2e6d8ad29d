"""Local plugins: the ``.py`` files and modules named under ``plugins:`` in a recipe."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from jepa_vl.errors import RecipeError, UserError, did_you_mean


def load_local(plugins: Iterable[str | Path], *, folder: Path | None = None) -> list[str]:
    """Import local plugins, so that what they register is in the table.

    A file is imported under its own name with its folder at the end of ``sys.path``; worker processes
    inherit the path, and ``file_name.Class`` is a class path like any other.

    Args:
        plugins: Paths of ``.py`` files, or names of modules.
        folder: What a relative path is relative to; the working directory by default.

    Returns:
        The plugins, paths made absolute.

    Raises:
        RecipeError: A file is missing, its name is that of another module, or it fails to import.
    """
    loaded = []
    for plugin in plugins:
        text = str(plugin)
        if text.endswith(".py") or "/" in text:
            path = (folder or Path.cwd()).joinpath(text).resolve()
            _load_file(path)
            loaded.append(str(path))
        else:
            _import(text, text)
            loaded.append(text)
    return loaded


def _load_file(path: Path) -> None:
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise RecipeError(f"plugin file {path} does not exist; {did_you_mean(path.name, siblings)}")
    name = path.stem
    if not (name.isidentifier() and path.suffix == ".py"):
        raise RecipeError(f"plugin file {path} cannot be imported: expected a name like my_encoder.py")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
        importlib.invalidate_caches()
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != path:
        other = spec.origin if spec else "nothing"
        raise RecipeError(
            f"plugin file {path} is imported as '{name}', which is the name of another module, {other}; "
            "rename the file"
        )
    _import(name, str(path))


def _import(module: str, described: str) -> None:
    try:
        importlib.import_module(module)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        line = _line_in(error, described)
        raise RecipeError(
            f"plugin {described}{line} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _line_in(error: BaseException, path: str) -> str:
    """``:line`` of the deepest frame that lies in the plugin itself, or nothing."""
    line = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line
