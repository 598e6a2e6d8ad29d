"""What is exported answers as the run did, holds no code, and is refused when a part of it changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from jepa_vl.errors import UserError
from jepa_vl.use import Model, load
from jepa_vl.use.identity import identity


@pytest.fixture
def folder(model: Model, tmp_path: Path, video: Path) -> Path:
    model.caption(video, texts=["a red thing", "a blue thing"])  # the decoder keeps them
    model.save_pretrained(tmp_path / "exported")
    return tmp_path / "exported"


def test_an_exported_model_embeds_as_the_run_does(model: Model, folder: Path, video: Path) -> None:
    again = Model.from_pretrained(folder, device="cpu")
    torch.testing.assert_close(
        again.embed_video(video, "who?"), model.embed_video(video, "who?"), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(again.embed_text("red"), model.embed_text("red"), rtol=0, atol=1e-6)
    assert again.caption(video) == model.caption(video)  # the decoder's bank came along
    assert identity(again) == identity(model)
    assert identity(load(folder, device="cpu")) == identity(model)


def test_a_twin_is_exported_too(token_model: Model, tmp_path: Path, video: Path) -> None:
    token_model.save_pretrained(tmp_path / "twin")
    again = load(tmp_path / "twin", device="cpu")
    for a, b in zip(
        again.answer(video, "?", ["a", "b"]), token_model.answer(video, "?", ["a", "b"]), strict=True
    ):
        assert a.text == b.text
        assert a.score == pytest.approx(b.score, abs=1e-6)


def test_frozen_pretrained_weights_are_referred_to_and_trained_ones_are_held(
    model: Model, folder: Path
) -> None:
    held = load_file(folder / "model.safetensors")
    trained = {name for name, p in model.objective.named_parameters() if p.requires_grad}
    assert trained <= held.keys()
    assert not [name for name in held if name.startswith(("vision_encoder", "text_encoder.backbone"))]
    assert set(json.loads((folder / "config.json").read_text())["referenced"]) >= {
        "vision_encoder",
        "text_encoder",
    }


def test_frozen_weights_that_started_at_random_are_held(model: Model, tmp_path: Path) -> None:
    parameter = model.objective.predictor.get_parameter(  # type: ignore[union-attr,operator]
        next(n for n, p in model.objective.predictor.named_parameters() if p.requires_grad and p.ndim == 2)  # type: ignore[union-attr,operator]
    )
    parameter.requires_grad_(False)
    try:
        model.save_pretrained(tmp_path / "m")
        assert any(
            torch.equal(t, parameter) for t in load_file(tmp_path / "m" / "model.safetensors").values()
        )
    finally:
        parameter.requires_grad_(True)


def test_a_pretrained_part_that_is_another_one_now_is_refused(
    folder: Path, tiny_dinov2: str, tmp_path: Path
) -> None:
    from transformers import AutoModel

    other = AutoModel.from_pretrained(tiny_dinov2)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    other.save_pretrained(tmp_path / "other")
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    recipe["objective"]["init_args"]["vision_encoder"]["init_args"]["model"] = str(tmp_path / "other")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(UserError, match="frozen part 'vision_encoder' has other weights"):
        load(folder)


def test_code_never_travels_with_an_exported_model(folder: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.py"
    bomb.write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')\n")
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"plugins": [str(bomb)]}))
    load(folder, device="cpu")
    assert not (tmp_path / "exploded").exists()


def _cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:200])


DAMAGE: dict[str, tuple[Any, str]] = {
    "half the weights": (_cut, "not a safetensors file"),
    "no recipe": (lambda f: (f / "recipe.yaml").unlink(), "lacks recipe.yaml"),
    "a config of something else": (
        lambda f: (f / "config.json").write_text("{}"),
        "was not written by jepa-vl",
    ),
    "a config that is no JSON": (lambda f: (f / "config.json").write_text("{"), "is not JSON"),
    "a recipe without objective": (lambda f: (f / "recipe.yaml").write_text("a: 1"), "names no objective"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_folder_is_refused_by_the_file_that_is_wrong(kind: str, folder: Path) -> None:
    damage, complaint = DAMAGE[kind]
    damage(folder)
    with pytest.raises(UserError, match=complaint):
        load(folder)


def test_the_card_says_what_it_is_and_how_to_use_it(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["library_name"] == "jepa-vl"
    for text in (
        "# tiny",
        "JEPAObjective",
        "jepa_vl.load",
        "model.caption",
        "Not recorded",
        "Licence\n\nNot known",
    ):
        assert text in card


def test_the_hub_is_pushed_the_same_files(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    pushed: list[str] = []

    def upload(self: HfApi, *, folder_path: str, **_: Any) -> Any:
        pushed.extend(sorted(f.name for f in Path(folder_path).iterdir()))

    monkeypatch.setattr(
        HfApi, "create_repo", lambda self, repo_id, **_: type("R", (), {"repo_id": repo_id})()
    )
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    model.push_to_hub("someone/tiny")
    assert pushed == ["README.md", "config.json", "model.safetensors", "recipe.yaml"]
