"""A twin that says the tokens of its training texts alone: trained, resumed, loaded, told more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from jepa_vl.data.base import SampleData, SampleSet
from jepa_vl.errors import RecipeError
from jepa_vl.language.transformer_lm import TransformerLM
from jepa_vl.objectives.token import TokenObjective, texts_to_say
from jepa_vl.sample import Item, Sample

TEXTS = ["open the blue door", "red", "no", "pick up the key"]


class Few(SampleSet):
    def __init__(self, texts: Sequence[str]) -> None:
        self.name = "train"
        self.samples = [Sample(id=text, media="clip", target=text) for text in texts]

    def __getitem__(self, index: int) -> Item:
        video = torch.full((2, 3, 4, 4), index * 40, dtype=torch.uint8)
        return Item(self.samples[index], index, video=video)


class FewData(SampleData):
    data_hash, labels, val_sets, test_sets = "few", [], [], []  # type: ignore[assignment]

    def __init__(self, texts: Sequence[str] = TEXTS) -> None:
        super().__init__()
        self.few = Few(texts)

    def attach(self, objective: TokenObjective) -> None:
        self.objective = objective

    def sample_set(self, name: str) -> SampleSet:
        return self.few

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.few, batch_size=len(self.few), collate_fn=self.objective.collator())


@pytest.fixture
def build(tiny_bert: str, patches: type[nn.Module]) -> Callable[..., TokenObjective]:
    def make(vocabulary: str = "data") -> TokenObjective:
        torch.manual_seed(0)
        lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert, vocabulary=vocabulary)  # type: ignore[arg-type]
        return TokenObjective(vision_encoder=patches(), language_model=lm)

    return make


def train(
    objective: TokenObjective, folder: Path, *, steps: int, texts: Sequence[str] = TEXTS, **of
) -> Trainer:
    data = FewData(texts)
    data.attach(objective)
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=folder,
        callbacks=[ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)],
    )
    trainer.fit(objective, datamodule=data, **of)
    return trainer


def test_it_is_told_before_the_optimizer_is_made(build, tmp_path):
    objective = build()
    trainer = train(objective, tmp_path, steps=2)
    head = objective.language_model.vocabulary
    assert not objective.language_model.unsayable(TEXTS)
    held = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert {id(head.weight), id(head.bias)} <= held
    assert trainer.callback_metrics["train/ln_v"] == pytest.approx(torch.tensor(len(head.ids)).log())


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(build, tmp_path):
    whole, resumed = build(), build()
    train(whole, tmp_path, steps=4)
    train(resumed, tmp_path / "resumed", steps=4, ckpt_path=str(tmp_path / "step=2.ckpt"))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_is_loaded_without_data(build, tmp_path):
    trained = build()
    train(trained, tmp_path, steps=2)
    state = torch.load(tmp_path / "step=2.ckpt", weights_only=True)["state_dict"]
    loaded = build()
    loaded.load_state_dict(state)
    batch = trained.collator()([Few(TEXTS)[i] for i in range(4)])
    assert trained.eval().generate(batch) == loaded.eval().generate(batch)
    for a, b in zip(trained.score(batch, [TEXTS] * 4), loaded.score(batch, [TEXTS] * 4), strict=True):
        assert torch.equal(a, b)


def test_weights_of_another_run_are_kept_where_further_texts_are_told(build, tmp_path):
    first, then = build(), build()
    train(first, tmp_path, steps=2)
    then.load_state_dict(first.state_dict())
    train(then, tmp_path, steps=2, texts=[*TEXTS, "67 zebras"])
    assert not then.language_model.unsayable(["zebras", "red"])


def test_resuming_with_texts_that_the_checkpoint_cannot_say_is_refused(build, tmp_path):
    train(build(), tmp_path, steps=2)
    with pytest.raises(RecipeError, match=r"cannot say 2 tokens of the training texts, first '6'.*init_from"):
        train(build(), tmp_path, steps=4, texts=[*TEXTS, "67"], ckpt_path=str(tmp_path / "step=2.ckpt"))


def test_what_candidates_and_labels_say_can_be_said_too():
    shared = ("yes", "no")
    samples = [
        Sample(id="1", media="m", target="yes", candidates=shared),
        Sample(id="2", media="m", target="no", candidates=shared),
        Sample(id="3", media="m", target="picks it up", label="pick up"),
    ]
    assert texts_to_say(samples) == ["yes", "no", "picks it up", "pick up"]
