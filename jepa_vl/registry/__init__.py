"""Names → classes: the decorator, installed entry points and local plugin files, in one table.

A part is named by a decorator, an entry point or the built-in list, and imported when its name is used::

    from jepa_vl.registry import register

    @register("vision", "my_encoder")
    class MyEncoder(VisionEncoder): ...
"""

from jepa_vl.registry.entry import Entry
from jepa_vl.registry.groups import GROUPS, KEYS, Group
from jepa_vl.registry.local import load_local
from jepa_vl.registry.table import Table, known_group

_table = Table()
register = _table.register
entries = _table.entries
entry = _table.entry
names = _table.names
get = _table.get

__all__ = [
    "GROUPS",
    "KEYS",
    "Entry",
    "Group",
    "entries",
    "entry",
    "get",
    "known_group",
    "load_local",
    "names",
    "register",
]
