"""Which policy and rate a run over a stream has: what is asked for, checked before anything is read."""

from __future__ import annotations

from jepa_vl import registry
from jepa_vl.errors import RecipeError
from jepa_vl.streaming.base import Policy
from jepa_vl.streaming.policies.oracle import OraclePolicy
from jepa_vl.streaming.policies.uniform import UniformPolicy

RATE = 0.35  # Hz; the paper's, at which it equals uniform decoding at 1 Hz


def choose_rate(rate: float | None, threshold: float | None, stride: float) -> float | None:
    """Return the rate to hold, in Hz; None where a threshold decides.

    Raises:
        RecipeError: Both are given, or the rate cannot be met.
    """
    if threshold is not None:
        if rate is not None:
            raise RecipeError(f"rate {rate:g} and threshold {threshold:g}: give one of them")
        return None
    wanted = min(RATE, 1 / stride) if rate is None else rate
    if not 0 < wanted <= 1 / stride + 1e-9:
        raise RecipeError(
            f"rate {wanted:g} Hz cannot be met: with one window every {stride:g} s there are at most "
            f"{1 / stride:g} decodes a second; give a rate above 0 and up to that, or a smaller stride"
        )
    return wanted


def named_policy(policy: str | Policy, threshold: float | None) -> Policy:
    """Return the policy that is meant, before the model is known.

    Args:
        policy: It, or its name.
        threshold: Of ``online``.

    Raises:
        RecipeError: There is no such policy, or it needs what the command or a video has not.
    """
    if threshold is not None and policy != "online":
        name = policy if isinstance(policy, str) else policy.label
        raise RecipeError(f"a threshold is for the policy 'online'; '{name}' takes a rate")
    if isinstance(policy, str):
        options = {} if threshold is None else {"threshold": threshold}
        made: Policy = registry.get("policies", policy)(**options)
    else:
        made = policy
    if isinstance(made, OraclePolicy):
        raise RecipeError(
            "policy 'oracle' decodes at annotations, and a video has none; it is for the task streaming"
        )
    return made


def choose_policy(policy: str | Policy | None, threshold: float | None, *, embeds: bool) -> Policy:
    """Return the policy that is meant.

    Args:
        policy: It, or its name; ``online`` where omitted, and ``uniform`` without embeddings.
        threshold: Of ``online``.
        embeds: Whether the model has embeddings that can be decoded.

    Raises:
        RecipeError: There is no such policy, or it needs what the model, the command or a video has not.
    """
    if policy is None:
        policy = "online" if embeds else "uniform"
    made = named_policy(policy, threshold)
    if not embeds and not is_uniform(made):
        raise RecipeError(
            f"policy '{made.label}' decides by embeddings, and the model has none that could be decoded: "
            "only uniform is left"
        )
    return made


def is_uniform(policy: Policy) -> bool:
    """Whether it decodes single windows at a fixed stride, which needs no look at the whole stream."""
    return isinstance(policy, UniformPolicy) and not policy.pooled
