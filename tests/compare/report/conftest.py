"""A comparison's folder with made-up runs: two arms, seeds, budgets, and one that diverged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jepa_vl.compare.plan import Arm, Comparison, Metric, Tuning
from jepa_vl.compare.records import RunRecord, budget_folder
from jepa_vl.results import Outcomes, Results, RunInfo, SetOutcomes
from jepa_vl.tasks.base import Result

BATCH = 32
STEPS = 1000
DATE = "2026-01-01T12:00:00+00:00"
VERBS = ("picks up", "goes to", "opens", "puts down", "passes")
THINGS = ("the red ball", "a grey key", "the blue box", "a green door", "the yellow key")
ARMS = {"jepa": "VL-JEPA", "token": "token-generative twin"}


@dataclass
class Planted:
    """How a metric grows: a sigmoid over the logarithm of the samples, from low to high."""

    task: str
    metric: str
    high: dict[str, float]
    half: dict[str, float]  # samples at which half of it is reached
    low: float = 0.02
    unit: Any = "percent"
    group: str = "all"
    samples: int = 3  # of an episode

    def quality(self, arm: str, samples: float) -> float:
        part = 1 / (1 + np.exp(-2.2 * (np.log(samples) - np.log(self.half[arm]))))
        return float(self.low + (self.high[arm] - self.low) * part)


#: JEPA learns most of them faster; the twin is better at questions in the end.
METRICS: dict[str, dict[str, Any]] = {
    "classification, top-1": {
        "task": "classification",
        "metric": "top-1",
        "high": {"jepa": 0.93, "token": 0.88},
        "half": {"jepa": 1500, "token": 5000},
        "low": 0.05,
    },
    "retrieval, text-to-video R@1": {
        "task": "retrieval",
        "metric": "text-to-video R@1",
        "high": {"jepa": 0.62, "token": 0.40},
        "half": {"jepa": 3000, "token": 9000},
        "group": "gallery 64",
        "samples": 1,
    },
    "VQA, accuracy": {
        "task": "vqa",
        "metric": "accuracy",
        "high": {"jepa": 0.86, "token": 0.90},
        "half": {"jepa": 2500, "token": 4000},
        "low": 0.4,
        "samples": 10,
    },
    "captions, CIDEr": {
        "task": "captioning",
        "metric": "CIDEr",
        "high": {"jepa": 4.9, "token": 4.85},
        "half": {"jepa": 2500, "token": 6000},
        "unit": "points",
    },
}
PARAMETERS = {
    "jepa": {
        "vision_encoder": {"trained": 0, "frozen": 3_371_000},
        "predictor": {"trained": 5_100_000, "frozen": 0},
        "text_encoder": {"trained": 22_600_000, "frozen": 0},
        "token_embedding": {"trained": 0, "frozen": 1_500_000},
    },
    "token": {
        "vision_encoder": {"trained": 0, "frozen": 3_371_000},
        "language_model": {"trained": 10_300_000, "frozen": 0},
        "token_embedding": {"trained": 1_500_000, "frozen": 0},
    },
}


@dataclass
class MadeUp:
    """Writes the runs of a comparison; what it planted can be compared with what is found."""

    folder: Path
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    budgets: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    episodes: int = 60
    diverged: tuple[tuple[str, int], ...] = (("token", 4),)
    seed_spread: float = 0.02
    paper: dict[str, dict[str, float]] = field(default_factory=dict)
    metrics: dict[str, Planted] = field(
        default_factory=lambda: {name: Planted(**of) for name, of in METRICS.items()}
    )

    def comparison(self, **changes: Any) -> Comparison:
        """What the recipe says."""
        settings: dict[str, Any] = {
            "name": "babyai",
            "arms": tuple(self._arm(name, about) for name, about in ARMS.items()),
            "reference": "token",
            "varies": (),
            "seeds": self.seeds,
            "budgets": self.budgets,
            "metrics": tuple(
                Metric(name, "test", m.task, m.metric, m.group) for name, m in self.metrics.items()
            ),
            "tuning": Tuning("objective.optimizer.lr", (5e-4, 1e-3, 2e-3), 0.3),
            "file": "recipes/compare/babyai.yaml",
        }
        return Comparison(**settings | changes)

    def _arm(self, name: str, about: str) -> Arm:
        return Arm(
            name,
            {"trainer": {"max_steps": STEPS}},
            ("objective",),
            decoder="decoder.yaml" if name == "jepa" else "",
            paper=self.paper.get(name, {}),
            about=about,
        )

    def write(self) -> Path:
        """Write every run; returns the comparison's folder."""
        rng = np.random.default_rng(0)
        hard = {name: rng.normal(size=(self.episodes, m.samples)) for name, m in self.metrics.items()}
        for arm in ARMS:
            for seed in self.seeds:
                self._run(arm, seed, hard, np.random.default_rng((len(arm), seed)))
        return self.folder

    def _run(self, arm: str, seed: int, hard: dict[str, Any], rng: np.random.Generator) -> None:
        run = self.folder / arm / f"seed-{seed}"
        luck = {name: rng.normal(scale=self.seed_spread) for name in self.metrics}
        ended = (arm, seed) in self.diverged
        steps = [max(1, round(part * STEPS)) for part in self.budgets][: 3 if ended else None]

        def score(names: list[str], step: int) -> tuple[list[Result], dict[str, dict[str, Any]]]:
            rows, scored = [], {}
            for name in names:
                row, each = _scored(self.metrics[name], arm, step * BATCH, luck[name], hard[name], rng)
                rows.append(row)
                key = row.metric if row.group == "all" else f"{row.group}/{row.metric}"
                scored[row.task] = {key: each}
            return rows, scored

        captions = [name for name, m in self.metrics.items() if m.task == "captioning"]
        silent = captions if arm == "jepa" else []  # it says nothing without its decoder
        for step in steps:
            _save(
                budget_folder(run, step),
                seed,
                step,
                *score([n for n in self.metrics if n not in silent], step),
            )
        examples = budget_folder(run, steps[-1]) / "examples.json"
        examples.write_text(json.dumps({"test": _examples(rng)}))
        if silent and not ended:
            _save(run / "decoder", seed, 300, *score(silent, STEPS))
        (run / "run.json").write_text(_record(arm, seed, ended).model_dump_json())


def _scored(
    metric: Planted, arm: str, samples: int, luck: float, hard: Any, rng: np.random.Generator
) -> tuple[Result, dict[str, float]]:
    """Of how easy a sample is, of the run's luck, and of chance; as 0 and 1 where it is a share."""
    share = metric.unit == "percent"
    mean = metric.quality(arm, samples) + luck * (1 if share else 5)
    noise = 0.6 * hard + 0.8 * rng.normal(size=hard.shape)
    if share:
        values = (noise < np.quantile(noise, min(max(mean, 0.0), 1.0))).astype(float)
    else:
        values = np.maximum(mean * (1 + 0.5 * noise), 0)
    ids = [f"test/{e:06d}/{metric.task}-{i}" for e in range(len(hard)) for i in range(hard.shape[1])]
    row = Result(metric.task, metric.metric, float(values.mean()), values.size)
    row.group, row.unit, row.chance = metric.group, metric.unit, metric.low if share else None
    return row, dict(zip(ids, values.ravel().tolist(), strict=True))


def _save(
    folder: Path, seed: int, step: int, rows: list[Result], scored: dict[str, dict[str, dict[str, float]]]
) -> None:
    arm = folder.parent.parent.parent.name
    info = RunInfo(
        name=f"compare/babyai/{arm}/seed-{seed}",
        objective=arm,
        command="jepa-vl compare",
        recipe={},
        seed=seed,
        version="0",
        commit="0123456789ab",
        date=DATE,
        machine={},
        data_hash="d",
        samples_seen=step * BATCH,
        steps=step,
        train_seconds={"jepa": 0.31, "token": 0.42}.get(arm, 0.1) * step * (1 + 0.02 * seed),
        trainable_parameters=1,
        frozen_parameters=1,
    )
    Results(run=info, sets={"test": rows}).save(folder / "results.json")
    ids = [name for of_task in scored.values() for each in of_task.values() for name in each]
    episodes = {name: name.rpartition("/")[0] for name in ids}
    Outcomes(sets={"test": SetOutcomes(episodes=episodes, tasks=scored)}).save(folder / "outcomes.json")


def _record(arm: str, seed: int, ended: bool) -> RunRecord:
    steps = 142 if ended else STEPS
    return RunRecord(
        arm=arm,
        seed=seed,
        key="k",
        state="diverged" if ended else "finished",
        message="the loss is not a number at step 142" if ended else "",
        steps=steps,
        samples=steps * BATCH,
        epochs=steps * 6.4 / STEPS,
        train_seconds={"jepa": 0.31, "token": 0.42}[arm] * steps * (1 + 0.02 * seed),
        peak_memory_mib={"jepa": 1310.0, "token": 1475.0}[arm],
        flops_per_sample={"jepa": 2.1e9, "token": 3.9e9}[arm],
        flops_vision=6.2e9,
        parameters=PARAMETERS[arm],
        machine={"cpu": "AMD EPYC 7763", "cores": 2, "gpus": [], "torch": "2.6", "processes": 1},
        commit="0123456789ab",
        date=DATE,
    )


def _examples(rng: np.random.Generator) -> dict[str, list[dict[str, Any]]]:
    def said(i: int, right: bool) -> str:
        return f"the agent {VERBS[i % 5]} {THINGS[(i + (0 if right else 1)) % 5]}"

    captions = [
        {
            "id": f"test/{i:06d}/captioning-0",
            "query": "Describe this video in one sentence.",
            "expected": said(i, True),
            "predicted": said(i, bool(rng.random() < 0.7)),
            "score": float(rng.random()),
        }
        for i in range(6)
    ]
    answers = [
        {
            "id": f"test/{i:06d}/vqa-0",
            "query": "What colour is the key?",
            "expected": "grey",
            "predicted": ("grey", "red")[int(rng.random() < 0.3)],
            "score": None,
        }
        for i in range(6)
    ]
    return {"captioning": captions, "vqa": answers}


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., MadeUp]:
    """Return a function that says what to write, where."""
    return lambda **of: MadeUp(tmp_path / "babyai", **of)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    """Return runs that are there, to be read alone."""
    made = MadeUp(tmp_path_factory.mktemp("made") / "babyai", episodes=30)
    made.write()
    return made
