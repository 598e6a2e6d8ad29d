"""One rank of a gloo job: ``python rank_worker.py RANK SIZE FOLDER`` saves what every task found."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from jepa_vl import registry
from jepa_vl.data.windows import MOMENT, STREAM, with_windows
from jepa_vl.objectives.base import DECODE, EMBED, GENERATE, SCORE
from jepa_vl.sample import CHOICE, Sample
from jepa_vl.tasks.base import Task

THINGS = ["ball", "key", "box", "door", "lamp"]
ABILITIES = {"embeds": (EMBED, GENERATE, DECODE), "scores": (SCORE, GENERATE)}


def samples() -> list[Sample]:
    """Samples of every task, mixed; their number is odd, so that two ranks repeat one."""

    def of(name: str, n: int, **more: Any) -> Iterator[Sample]:
        for i in range(n):
            thing = THINGS[i % 5]
            of_one = {key: value(i) if callable(value) else value for key, value in more.items()}
            given = {"media": f"{name}{i}.mp4", "target": thing, "episode": f"{name}{i // 2}"} | of_one
            yield Sample.model_validate({"id": f"{name}{i}", **given})

    splits = ("pope/random", "pope/popular")
    asked = with_windows(
        of("m", 3, media="long.mp4", start=float, end=lambda i: i + 2.0, kind=MOMENT),
        {"long.mp4": 9.0},
        lengths=[3.0],
    )
    told = {"timestamps": lambda i: [2.0 * i + 1.5], "kind": STREAM}
    triplet = {"paraphrase": lambda i: f"a {THINGS[i]}", "negative": lambda i: f"no {THINGS[i]}"}
    found = [
        *of("caption", 8, target=lambda i: f"the {THINGS[i % 5]}"),
        *of("label", 7, label=lambda i: THINGS[i % 5]),
        *of("later", 5, label=lambda i: THINGS[i], kind="anticipation/1s"),
        *of("vqa", 6, query="which?", candidates=THINGS, kind="thing"),
        *of("pope", 6, query="is it?", target="yes", candidates=["yes", "no"], kind=lambda i: splits[i % 2]),
        *of("world", 3, target="", choices=["clip0", "clip1", "clip2"], answer=lambda i: f"clip{i}"),
        *of("clip", 3, target="", kind=CHOICE),
        *of("negative", 4, **triplet),
        *asked,
        *of("told", 4, media="long.mp4", target=lambda i: f"the {THINGS[i]}", **told),
    ]
    found = found[: len(found) - (len(found) + 1) % 2]
    random.Random(0).shuffle(found)
    return found


def found_by(kind: type[Task], conftest: Any, abilities: tuple[str, ...], index: list[int]) -> Any:
    """Evaluate the samples at ``index``, three at a time; the results are those of all ranks."""
    everything = samples()
    texts = {
        t for s in everything for t in (s.target, s.label, s.paraphrase, s.negative, *(s.candidates or ()))
    }
    generator = torch.Generator().manual_seed(0)
    vectors = {t: torch.randn(conftest.WIDTH, generator=generator) for t in sorted(t or "" for t in texts)}
    video = {s.id: torch.randn(conftest.WIDTH, generator=generator) for s in everything}
    objective = conftest.Looked(video, vectors, *abilities)
    objective.generate = lambda batch, **_: [f"the {THINGS[len(s.id) % 5]}" for s in batch.samples]
    objective.decode = lambda embeddings, **_: [f"the {THINGS[int(e.argmax()) % 5]}" for e in embeddings]
    task = kind()
    batches = [index[i : i + 3] for i in range(0, len(index), 3)]
    rows = conftest.evaluate(task, objective, everything, batches=batches, labels=THINGS, train=everything)
    return rows, task.outcomes()


def found_by_all(rank: int, size: int) -> dict[tuple[str, str], Any]:
    """Return the results and outcomes of each task, by its name and how the objective answers."""
    spec = importlib.util.spec_from_file_location("tasks_conftest", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    n = len(samples())
    mine = [*range(n), *range(-n % size)][rank::size]
    kinds = {name: registry.get("tasks", name) for name in registry.GROUPS["tasks"].built_in}
    return {
        (name, how): found_by(kind, conftest, abilities, mine)
        for name, kind in kinds.items()
        for how, abilities in ABILITIES.items()
        if kind.needs & set(abilities)
    }


def main(rank: int, size: int, folder: Path) -> None:
    """Take this rank's share of the samples, as a distributed sampler deals them out."""
    store = dist.FileStore(str(folder / "store"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=300))
    torch.save(found_by_all(rank, size), folder / str(rank))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
