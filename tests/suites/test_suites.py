"""Suites: what is run, kept, compared and written; the models are small and take no training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from jepa_vl.__main__ import main
from jepa_vl.data.records import write_manifest
from jepa_vl.errors import RecipeError
from jepa_vl.sample import Sample
from jepa_vl.suites.compare import paired_difference
from jepa_vl.suites.models import ModelSource
from jepa_vl.suites.suite import load_suite
from jepa_vl.use import load

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}

#: Systems that know colours by their pixels: a seeing one, and one that always says the same.
PLUGIN = """
import torch
from jepa_vl.decoders.base import TextDecoder
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.collate import Collate
from jepa_vl.registry import register
from jepa_vl.sample import TextTokens
from jepa_vl.vision.base import Preprocessing, VisionEncoder

WORDS = ("red", "green", "blue")

class Mean(VisionEncoder):
    dim, grid = 3, (1, 1, 1)
    preprocessing = Preprocessing(size=(8, 8), num_frames=1)
    def forward(self, video): return video.float().mean(dim=(1, 3, 4))[:, None] / 255
    def fingerprint(self): return "mean"

def none(texts):
    empty = torch.zeros(len(texts), 0)
    return TextTokens(empty.long(), empty.bool())

@register("objectives", "colours")
class Colours(Objective):
    trained = False
    abilities = frozenset({"embed", "score"})
    def __init__(self, *, blind: bool = False, decoder: TextDecoder | None = None):
        super().__init__()
        self.vision_encoder = Mean(frozen=True)
        self.blind = blind
        self.decoder = decoder
        if decoder is not None:
            decoder.tell_texts(["a red", "some green", "no blue"], self.embed_text)
            self.abilities = self.abilities | {"generate"}
    def collator(self): return Collate(query=none, target=none)
    def embed_video(self, batch):
        seen = self.visual_tokens(batch)[:, 0]
        said = torch.tensor([1.0, 0.1, 0.0]).expand_as(seen) if self.blind else seen
        return torch.nn.functional.normalize(said, dim=-1)
    def embed_text(self, texts):
        return torch.stack([torch.eye(3)[WORDS.index(t.split()[-1])] for t in texts])
    def score(self, batch, candidates):
        return [self.embed_text(c) @ v for c, v in zip(candidates, self.embed_video(batch))]
    def generate(self, batch, *, max_new_tokens=None): return self.decoder.decode(self.embed_video(batch))
    def test_step(self, batch, batch_idx, dataloader_idx=0): ...
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest of coloured pictures, two systems and a suite."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JEPA_VL_CACHE", str(tmp_path / "cache"))
    samples = []
    for i, (name, rgb) in enumerate(list(COLOURS.items()) * 4):
        Image.new("RGB", (8, 8), rgb).save(tmp_path / f"{name}.png")
        samples.append(Sample(id=f"{i}", media=f"{name}.png", target=name, label=name, split="test"))
    write_manifest(tmp_path / "colours.jsonl", samples)
    part = f"colours_{tmp_path.name}"  # the table of names lives as long as the process
    (tmp_path / f"{part}.py").write_text(PLUGIN.replace('"colours"', f'"{part}"'))
    for name, blind in (("seeing", "false"), ("blind", "true")):
        objective = f"objective: {{class_path: {part}, init_args: {{blind: {blind}}}}}\n"
        (tmp_path / f"{name}.yaml").write_text(f"plugins: [{part}.py]\n{objective}")
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path


SUITE = """\
benchmarks:
  colours:
    data:
      class_path: manifest
      init_args: {manifest: colours.jsonl, val_split: null, single_frame_baseline: false}
    tasks: [classification, captioning]
    shown: [classification top-1, captioning CIDEr]
    paper: {classification top-1: {A system: 0.5}}
  elsewhere:
    data: {class_path: manifest, init_args: {manifest: elsewhere.jsonl}}
    tasks: [classification]
    shown: classification top-1
    make: jepa-vl convert elsewhere
"""


def evaluate(*words: str) -> int:
    return main(["evaluate", "--suite", "suite.yaml", *words])


def test_one_table_has_numbers_intervals_differences_the_papers_and_what_is_missing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        evaluate("--model", "blind.yaml", "--model", "seeing=seeing.yaml", "--trainer.accelerator", "cpu")
        == 0
    )
    folder = place / "runs" / "evaluate" / "suite"
    table = json.loads((folder / "table.json").read_text())
    cells = {(c["model"], c["column"], c["measure"]): c for c in table["cells"]}
    blind, seeing = (cells[m, "colours", "classification top-1"] for m in ("blind", "seeing"))
    assert (blind["result"]["value"], seeing["result"]["value"]) == (pytest.approx(1 / 3), 1.0)
    assert blind["difference"] is None, "the first model is the one to compare with"
    assert seeing["difference"]["value"] == pytest.approx(2 / 3)
    assert 0 < seeing["difference"]["low"] < seeing["difference"]["high"]
    assert seeing["difference"]["n"] == 12
    assert table["paper"] == [
        {"measure": "classification top-1", "column": "colours", "system": "A system", "value": 0.5}
    ]
    assert (
        "elsewhere.jsonl is not there; `jepa-vl convert elsewhere` makes it"
        in (cells["blind", "elsewhere", "classification top-1"]["why"])
    )
    for name in ("table.md", "table.html", "table.tex"):
        text = (folder / name).read_text()
        assert "100.0" in text
        assert "33.3" in text
        assert "A system (paper)" in text
    assert "Δ +66.7" in capsys.readouterr().out


def test_what_a_model_cannot_do_says_what_it_lacks(place: Path) -> None:
    assert evaluate("--model", "seeing.yaml") == 0
    text = (place / "runs" / "evaluate" / "suite" / "table.md").read_text()
    assert "seeing, colours, captioning CIDEr: this model has no such number" in text


def test_finished_benchmarks_are_not_run_again_and_changed_models_are(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = place / "runs" / "evaluate" / "suite" / "seeing" / "colours" / "results.json"
    assert evaluate("--model", "seeing.yaml") == 0
    first = results.stat().st_mtime_ns
    assert evaluate("--model", "seeing.yaml") == 0
    assert results.stat().st_mtime_ns == first
    (place / "seeing.yaml").write_text((place / "seeing.yaml").read_text().replace("false", "true"))
    assert evaluate("--model", "seeing.yaml") == 0
    assert results.stat().st_mtime_ns > first


CAPTIONS = """\
plugins: [PART.py]
benchmarks:
  said:
    data:
      class_path: manifest
      init_args: {manifest: said.jsonl, val_split: null, single_frame_baseline: false}
    tasks: [captioning]
    shown: captioning CIDEr
"""


@pytest.fixture
def captions(place: Path) -> Path:
    """In place of the suite, one of captions."""
    said = {"red": "a red", "green": "some green", "blue": "no blue"}
    samples = [
        Sample(id=str(i), media=f"{name}.png", target=said[name], split="test")
        for i, name in enumerate(list(COLOURS) * 3)
    ]
    write_manifest(place / "said.jsonl", samples)
    (place / "suite.yaml").write_text(CAPTIONS.replace("PART", next(place.glob("colours_*.py")).stem))
    return place


def numbers(place: Path) -> tuple[dict[str, float | None], list[str], dict[str, str]]:
    """Return CIDEr of each model, the notes under the table, and the decoders."""
    folder = place / "runs" / "evaluate" / "suite"
    table = json.loads((folder / "table.json").read_text())
    values = {c["model"]: c["result"] and c["result"]["value"] for c in table["cells"]}
    notes = [n for n in (folder / "table.md").read_text().splitlines() if n.startswith("- ")]
    return values, notes, table["decoders"]


def test_a_decoder_is_given_to_one_model_and_named_under_the_table(captions: Path) -> None:
    assert evaluate("--model", "seeing.yaml,decoder=nearest", "--model", "mute=seeing.yaml") == 0
    values, notes, decoders = numbers(captions)
    assert values["seeing"] > 1  # type: ignore[operator]
    assert values["mute"] is None
    assert "- seeing: its texts are said by the decoder nearest" in notes
    assert decoders == {"seeing": "nearest"}


def test_another_decoder_is_another_model_to_a_finished_benchmark(captions: Path) -> None:
    keys = [ModelSource.parse(f"seeing.yaml{more}").key for more in ("", ",decoder=nearest")]
    assert keys[0] != keys[1]
    results = captions / "runs" / "evaluate" / "suite" / "seeing" / "said" / "results.json"
    written = []
    for more in ("", ",decoder=nearest", ",decoder=nearest", ""):
        assert evaluate("--model", f"seeing.yaml{more}") == 0
        written.append(results.stat().st_mtime_ns)
    assert written[0] < written[1] == written[2] < written[3]


def test_an_exported_folder_and_a_hub_id_are_the_model_that_was_exported(
    captions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("seeing.yaml", decoder="nearest", device="cpu").save_pretrained("shared")
    monkeypatch.setattr("jepa_vl.use.origin.fetch", lambda hub_id: {"someone/model": Path("shared")}[hub_id])
    models = ("shared", "someone/model", "again=shared,decoder=nearest", "mute=seeing.yaml")
    assert evaluate(*(word for model in models for word in ("--model", model))) == 0
    values, _, decoders = numbers(captions)
    assert values["mute"] is None
    assert values["shared"] == values["model"] == values["again"] is not None
    assert decoders == {"again": "nearest"}
    results = captions / "runs" / "evaluate" / "suite" / "shared" / "said" / "results.json"
    first = results.stat().st_mtime_ns
    assert evaluate("--model", "shared") == 0
    assert results.stat().st_mtime_ns == first
    load("blind.yaml", decoder="nearest", device="cpu").save_pretrained("shared")
    assert evaluate("--model", "shared") == 0
    assert results.stat().st_mtime_ns > first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "seeing.yaml,decoder=runs/decoder"], "there is no decoder 'runs/decoder'"),
        (["--model", "seeing.yaml,decoder=neerest"], "did you mean 'nearest'?"),
        (["--model", "seeing.yaml,decoder=prefix_lm"], "give the folder of its run"),
        (["--model", "seeing.yaml,decodr=nearest"], "unknown option 'decodr'; did you mean 'decoder'?"),
        (["--model", "nobody/nothing.ckpt"], "there is no model 'nobody/nothing.ckpt'"),
        (["--model", "nothing.yaml"], "--model nothing.yaml: there is no model 'nothing.yaml'; did you mean"),
        (["--model", "seeing.yaml", "--model", "seeing=blind.yaml"], "two models are called 'seeing'"),
        ([], "needs --model PATH"),
        (["--model", "seeing.yaml", "--baseline", "blnd"], "baseline: 'blnd' is none of the models"),
        (["--model", "seeing.yaml", "--benchmrks", "x"], "unknown key; did you mean 'benchmarks'"),
    ],
)
def test_a_wrong_command_is_one_message(
    place: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*words) == 2
    assert said in capsys.readouterr().err


def test_the_recipe_of_a_trained_model_asks_for_its_run(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = next(place.glob("colours_*.py"))
    plugin.write_text(plugin.read_text().replace("trained = False", "trained = True"))
    assert evaluate("--model", "seeing.yaml") == 1
    assert "is the recipe of a model that is trained: give its run (runs/seeing)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("benchmarks: {}", "a suite needs `benchmarks: NAME: …`"),
        (
            "benchmarks: {a: {data: manifest, task: [vqa]}}",
            "benchmarks.a.task: unknown key; did you mean 'tasks'",
        ),
        ("benchmarks: {a: {tasks: [vqa]}}", "benchmarks.a: it has no 'data'"),
        (
            "benchmarks: {a: {data: {class_path: manifest, init_args: {manifest: m}}, tasks: [vaq]}}",
            "unknown name 'vaq'",
        ),
    ],
)
def test_a_wrong_suite_names_file_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"s\.yaml:1") as caught:
        load_suite(tmp_path / "s.yaml")
    assert said in str(caught.value)


def test_a_model_is_named_by_its_run(place: Path) -> None:
    file = place / "runs" / "mine" / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    assert ModelSource.parse(str(file)).name == "mine"
    assert ModelSource.parse(f"other={file}").name == "other"
    assert ModelSource.parse(str(file.parents[1])).name == "mine"
    assert ModelSource.parse("someone/model").name == "model"
    odd = (place / "runs" / "lr=0.1").resolve()
    file.parents[1].rename(odd)
    assert ModelSource.parse(str(odd)).name == "lr=0.1"
    assert ModelSource.parse(f"a={odd},decoder=nearest").name == "a"
    assert ModelSource.parse(f"a={odd},decoder=nearest").decoder == "nearest"


def paired_by_hand(values: Sequence[float], rounds: int = 4000) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(1)
    sample = torch.tensor(values, dtype=torch.float64)
    draws = torch.randint(len(values), (rounds, len(values)), generator=generator)
    means: Tensor = sample[draws].mean(dim=1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def test_the_paired_interval_is_that_of_the_differences_on_shared_samples() -> None:
    ours = {f"{i}": float(i % 3 == 0) for i in range(60)}
    theirs = {f"{i}": float(i % 4 == 0) for i in range(10, 70)}
    found = paired_difference(ours, theirs, {})
    assert found is not None
    values = [ours[f"{i}"] - theirs[f"{i}"] for i in range(10, 60)]
    assert (found.value, found.n) == (pytest.approx(sum(values) / 50), 50)
    assert (found.low, found.high) == pytest.approx(paired_by_hand(values), abs=0.03)
    assert paired_difference(ours, {"x": 1.0}, {}) is None


def test_samples_of_one_episode_are_drawn_together() -> None:
    ours = {f"{i}": float(i < 20) for i in range(40)}
    theirs = dict.fromkeys(ours, 0.0)
    alone = paired_difference(ours, theirs, {})
    together = paired_difference(ours, theirs, {key: f"{int(key) // 10}" for key in ours})
    assert alone is not None
    assert together is not None
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


SUITES = sorted((Path(__file__).parents[2] / "recipes" / "suites").glob("*.yaml"))


@pytest.mark.parametrize("file", SUITES, ids=lambda p: p.stem)
def test_a_suite_of_ours_is_sound_and_shows_what_its_tasks_measure(file: Path) -> None:
    suite = load_suite(file)
    assert suite.benchmarks
    for benchmark in suite.benchmarks:
        tasks = {task["class_path"].rpartition(".")[0].rpartition(".")[2] for task in benchmark.tasks}
        assert {shown.partition(" ")[0] for shown in benchmark.shown} <= tasks
        assert set(benchmark.paper) <= set(benchmark.shown)
        assert all(0 < value < 1 for row in benchmark.paper.values() for value in row.values())


def test_the_papers_suite_makes_its_manifests_with_readers_that_exist() -> None:
    from jepa_vl import registry

    for benchmark in load_suite(next(f for f in SUITES if f.stem == "paper")).benchmarks:
        words = benchmark.make.split()
        assert words[:2] == ["jepa-vl", "convert"]
        assert words[2] in registry.names("readers")
        assert benchmark.data["init_args"]["manifest"] == words[-1]
