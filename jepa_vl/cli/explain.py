"""Failures that a user can mend → one message and an exit status; any other is a bug and keeps its trace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jepa_vl.errors import UserError

_WORKER = re.compile(r"^Caught \w+ in .*?Original Traceback.*^[\w.]*Error: (.*)", re.DOTALL | re.MULTILINE)


def explain(error: BaseException) -> tuple[str, int] | None:
    """Return (message, exit status) of a known failure, or None."""
    # what fails in a data worker arrives with the worker's whole trace as its text
    text = str(error)
    if worker := _WORKER.match(text):
        text = worker.group(1).strip()
    if isinstance(error, UserError):
        return text, error.exit_status
    # the second is how torch.save says it
    if "No space left on device" in text or ("inline_container.cc" in text and "unexpected pos" in text):
        file = getattr(error, "filename2", None) or getattr(error, "filename", None)
        where = f" while writing {file}" if file else ""
        return f"the disk is full{where}; free some space, or put the cache elsewhere with JEPA_VL_CACHE", 1
    if type(error).__name__ == "MisconfigurationException" or "`val_check_interval`" in text:
        return f"trainer: {text}", 2
    if type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate memory" in text:
        return f"out of memory: {text.splitlines()[0]} Try a smaller --data.batch_size", 1
    return None


def explain_checkpoint(error: RuntimeError, path: Path, objective: str) -> UserError | None:
    """Turn torch's complaint about a state dict into one message, or return None if it is another error."""
    text = str(error)
    if "loading state_dict" not in text:
        return None
    problems = []
    for kind, wording in (("Missing", "it lacks"), ("Unexpected", "it has besides")):
        if found := re.search(rf'{kind} key\(s\) in state_dict: ((?:"[^"]+",? ?)+)', text):
            names = re.findall(r'"([^"]+)"', found.group(1))
            problems.append(f"{wording} {_first(names)}")
    sizes = re.findall(
        r"size mismatch for ([^:]+): .*?torch\.Size\((\[[^]]*\])\).*?torch\.Size\((\[[^]]*\])\)", text
    )
    if sizes:
        name, there, here = sizes[0]
        more = f" (and {len(sizes) - 1} more)" if len(sizes) > 1 else ""
        problems.append(f"its {name} is {there} where the model's is {here}{more}")
    what = "; ".join(problems) or text.splitlines()[0]
    return UserError(
        f"checkpoint {path}{_origin(path)} is of another architecture than this {objective}: {what}. "
        "Give the recipe it was trained with (config.yaml beside it), or another --ckpt_path"
    )


def _first(names: list[str]) -> str:
    return names[0] + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")


def _origin(path: Path) -> str:
    """What the checkpoint says about the recipe it came from."""
    import torch

    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("jepa_vl")
    except Exception:  # only the message would be poorer
        return ""
    return f" (of run '{stored['name']}', objective {stored['objective']})" if stored else ""
