"""jepa-vl: an open reference implementation of VL-JEPA (arXiv 2512.10942).

Importing the package is cheap: neither torch nor lightning is loaded until a part is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jepa_vl.streaming.live.runner import stream
    from jepa_vl.use import Model, load

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load", "stream"]


def __getattr__(name: str) -> Any:
    """Import what is used when it is used."""
    if name == "stream":
        from jepa_vl.streaming.live.runner import stream

        return stream
    if name in ("Model", "load"):
        from jepa_vl import use

        return getattr(use, name)
    raise AttributeError(f"module 'jepa_vl' has no attribute '{name}'")
