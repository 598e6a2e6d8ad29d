"""What an objective cannot do, said with what would help."""

from __future__ import annotations

from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED, GENERATE, SCORE, Objective

MISSING = {
    EMBED: "ask an objective with a shared space for embeddings, such as `jepa`",
    SCORE: "answering needs an objective that can score texts, such as `jepa` or `token`",
    GENERATE: "give it a decoder, if it is of the objective `jepa` (decoder='runs/decoder' in Python, "
    "--decoder in the shell), or use an objective that generates, such as `token`",
}


def need(objective: Objective, ability: str) -> None:
    """Refuse an objective that lacks an ability.

    Raises:
        UserError: It does; says what it can do and what has the ability.
    """
    if ability not in objective.abilities:
        can = ", ".join(sorted(objective.abilities)) or "nothing"
        raise UserError(f"{type(objective).__name__} cannot {ability} (it can: {can}): {MISSING[ability]}")
