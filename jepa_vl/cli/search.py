"""``jepa-vl search``: the stretches of indexed videos that a text describes best."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from jepa_vl.cli.words import Parser, asked_for_help, load_model
from jepa_vl.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit status.

    Raises:
        RecipeError: The command is wrong.
        UserError: There is no finished index, or it was made with another model.
    """
    parser = Parser(
        "search",
        "Find the stretches of indexed videos that a text describes best.",
        examples=(
            "jepa-vl search videos-index 'a door is opened' --top 5",
            "jepa-vl search videos-index 'a door is opened' --html hits.html",
        ),
    )
    parser.add_argument("index", metavar="DIR", help="what `jepa-vl index` wrote")
    parser.add_argument("text", metavar="TEXT", help="what to look for")
    parser.add_argument("--top", type=int, default=10, help="how many hits (10)")
    parser.add_argument("--html", metavar="FILE", help="write a page with thumbnails of the hits")
    parser.add_argument("--json", action="store_true", help="one JSON object a hit and line")
    parser.add_model(required=False)
    if asked_for_help(parser, argv):
        return 0
    arguments = parser.parse_args(list(argv))
    if not arguments.text.strip():
        parser.error("TEXT is blank")
    if arguments.top < 1:
        parser.error(f"--top {arguments.top}: expected at least 1")
    html = None if arguments.html is None else Path(arguments.html)
    if html is not None and not html.parent.is_dir():
        raise UserError(f"--html: there is no folder '{html.parent}'")
    from jepa_vl.use.searching import Searcher
    from jepa_vl.use.sheet import contact_sheet, when

    searcher = Searcher(Path(arguments.index))
    about = searcher.gallery.about
    arguments.model = arguments.model or about.model
    model = load_model(arguments)
    searcher.check(model)
    hits = searcher.find(model.embed_text(arguments.text).numpy(), top=arguments.top)
    for hit in hits:
        if arguments.json:
            sys.stdout.write(json.dumps(hit._asdict(), ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(f"{hit.score:6.3f}  {when(hit):<17}  {hit.file}\n")
    if html is not None:
        where = f"of {searcher.index.ntotal:,} windows in {about.folder}"
        html.write_text(contact_sheet(arguments.text, hits, about=where), encoding="utf-8")
    return 0
