"""Videos against class names, by embeddings where there are any, else by scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from jepa_vl.errors import UserError
from jepa_vl.objectives.base import EMBED, SCORE, Objective
from jepa_vl.sample import Batch
from jepa_vl.use.abilities import need


def class_scorer(
    objective: Objective, labels: Sequence[str], templates: Sequence[str]
) -> Callable[[Batch], Tensor]:
    """Return what scores a batch's B videos against K classes: ``[B, K]``, on the CPU.

    Args:
        objective: What is asked.
        labels: K class names.
        templates: Texts that a name is put into at ``{}``; a class is the mean of them.

    Raises:
        UserError: The objective neither embeds nor scores, or a template has no ``{}``.
    """
    for template in templates:
        if "{}" not in template:
            raise UserError(f"template '{template}' has no {{}} for the class name")
    if not templates:
        raise UserError("there is no template; expected at least one, such as '{}'")
    texts = [template.replace("{}", label) for label in labels for template in templates]
    per = len(templates)
    if EMBED in objective.abilities:
        each = objective.embed_text(texts).float().unflatten(0, (-1, per))  # [K, per, E]
        bank = normalize(each.mean(dim=1), dim=-1)  # [K, E]
        return lambda batch: (objective.embed_video(batch).float() @ bank.T).cpu()
    need(objective, SCORE)

    def score(batch: Batch) -> Tensor:
        rows = torch.stack(objective.score(batch, [texts] * len(batch)))  # [B, K · per]
        return rows.float().unflatten(1, (-1, per)).mean(-1).cpu()

    return score
