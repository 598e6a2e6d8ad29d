"""What was prepared, in words: printed at the end, and kept beside the shards."""

from __future__ import annotations

from collections.abc import Sequence

from jepa_vl.data.shards.description import Prepared

SHOWN = 5


def report(prepared: Prepared, skipped: Sequence[str], *, most: int | None = None) -> str:
    """Return a few lines about a set, and one for each clip that was left out.

    Args:
        prepared: The set.
        skipped: Why clips were left out.
        most: How many of these are listed; all of them for None.
    """
    plan = prepared.plan
    clips = sum(shard.rows for shard in prepared.shards)
    samples = sum(table.samples for table in prepared.tables.values())
    lines = [
        f"{samples:,} samples of {clips:,} clips in {len(prepared.shards):,} shards, {_size(prepared.size)}"
    ]
    lines += [
        f"  {split}: {table.samples:,} samples of {table.clips:,} clips"
        for split, table in prepared.tables.items()
    ]
    lines.append(f"clips: {plan.seen}, {kind(prepared)}")
    if prepared.clip_bytes is not None:
        sizes = prepared.clip_bytes
        lines.append(f"a clip: {_size(sizes.mean)} (from {_size(sizes.least)} to {_size(sizes.most)})")
    if prepared.norms is not None:
        norms = prepared.norms
        lines.append(f"a token's norm: {norms.mean:.4g} (from {norms.least:.4g} to {norms.most:.4g})")
    lines.append(
        f"skipped: {prepared.skipped:,} clips that cannot be read, with {prepared.skipped_samples:,} samples"
    )
    listed = list(skipped if most is None else skipped[:most])
    lines += [f"  {message}" for message in listed]
    if len(skipped) > len(listed):
        lines.append(f"  and {len(skipped) - len(listed):,} more")
    return "\n".join(lines) + "\n"


def kind(prepared: Prepared) -> str:
    """Say what is stored of a clip."""
    plan = prepared.plan
    if plan.frames is not None:
        return (
            "kept as PNG" if plan.frames.codec == "png" else f"kept as JPEG of quality {plan.frames.quality}"
        )
    assert plan.features is not None
    features = plan.features
    time, height, width = features.grid
    stills = f", single frames of {', '.join(plan.stills)} besides" if plan.stills else ""
    return (
        f"kept as {time} × {height} × {width} tokens of {features.dim} {features.dtype} numbers by "
        f"{features.encoder} ({features.fingerprint[:12]}){stills}"
    )


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.4g} {unit}"
        count /= 1024
    return f"{count:,.4g} TiB"
