from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from jepa_vl.decoders import space
from jepa_vl.decoders.prefix_lm import PrefixLM
from jepa_vl.language.base import LanguageModel
from jepa_vl.language.hf_causal import HFCausalLM
from jepa_vl.language.transformer_lm import TransformerLM
from jepa_vl.losses.base import Loss
from jepa_vl.losses.info_nce import InfoNCE
from jepa_vl.objectives.base import Objective
from jepa_vl.objectives.decoder import DecoderObjective
from jepa_vl.objectives.jepa import JEPAObjective
from jepa_vl.objectives.token import TokenObjective
from jepa_vl.objectives.trained import TrainedObjective
from jepa_vl.predictors.transformer import TransformerPredictor
from jepa_vl.sample import Batch, Item, Sample
from jepa_vl.schedule import OptimizerSettings
from jepa_vl.text.hf_text import HFText
from jepa_vl.vision.base import Preprocessing, VisionEncoder

QUERIES = ["", "what colour?", "is there a red ball", ""]
TARGETS = ["open the blue door", "red", "no", "pick up the key"]
SETTINGS = OptimizerSettings(lr=3e-3, schedule="constant", warmup_steps=5, weight_decay=0.0)


class Patches(VisionEncoder):
    """A frozen encoder: a linear map of each frame's two halves."""

    def __init__(self, *, frozen: bool = True) -> None:
        super().__init__(frozen=frozen)
        self.dim = 12
        self.grid = (2, 2, 1)
        self.preprocessing = Preprocessing(size=(4, 4), num_frames=2)
        self.linear = nn.Linear(3 * 2 * 4, 12)
        if frozen:
            self.requires_grad_(False)

    def forward(self, video: Tensor) -> Tensor:
        halves = video.to(self.linear.weight.dtype).div(255).unflatten(3, (2, 2))  # [B, T, C, 2, 2, 4]
        return self.linear(halves.transpose(2, 3).flatten(3)).flatten(1, 2)

    def fingerprint(self) -> str:
        return "patches"


def items(targets: Sequence[str] = TARGETS, queries: Sequence[str] = QUERIES) -> list[Item]:
    generator = torch.Generator().manual_seed(7)
    return [
        Item(
            Sample(id=str(i), media="clip", query=queries[i % len(queries)], target=target),
            index=i,
            video=torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=generator),
        )
        for i, target in enumerate(targets)
    ]


@pytest.fixture
def batch_of() -> Callable[..., Batch]:
    def make(objective, **arguments) -> Batch:
        return objective.collator()(items(**arguments))

    return make


@pytest.fixture
def jepa(tiny_bert: str) -> Callable[..., JEPAObjective]:
    def make(*, loss: Loss | None = None, text_encoder: HFText | None = None, **arguments) -> JEPAObjective:
        return JEPAObjective(
            vision_encoder=arguments.pop("vision_encoder", None) or Patches(),
            predictor=arguments.pop("predictor", None)
            or TransformerPredictor(dim=32, layers=2, heads=2, query_model=tiny_bert),
            text_encoder=text_encoder or HFText(model=tiny_bert, freeze=True),
            loss=loss or InfoNCE(),
            optimizer=SETTINGS,
            **({"embed_dim": 16} | arguments),
        )

    return make


Make = Callable[..., TrainedObjective]


@pytest.fixture(params=["jepa", "token", "decoder"])
def every(request: pytest.FixtureRequest, tiny_bert: str, monkeypatch: pytest.MonkeyPatch) -> Make:
    """``every(dropout=…, layers=…, frozen=…)`` makes each of the objectives that train something, in turn."""
    name = request.param

    def make(*, dropout: float = 0.0, frozen: bool = True, **arguments: Any) -> TrainedObjective:
        torch.manual_seed(0)
        return make_objective(name, tiny_bert, dropout=dropout, frozen=frozen, patch=monkeypatch, **arguments)

    return make


def make_objective(
    name: str,
    bert: str,
    *,
    dropout: float = 0.0,
    frozen: bool = True,
    patch: pytest.MonkeyPatch | None = None,
    optimizer: OptimizerSettings = SETTINGS,
    **arguments: Any,
) -> TrainedObjective:
    """Make an objective of two layers; a frozen text encoder, or one that is trained."""
    small = {"dim": 32, "layers": 2, "heads": 2, "dropout": dropout}
    if name == "jepa":
        return JEPAObjective(
            vision_encoder=Patches(),
            predictor=TransformerPredictor(query_model=bert, **small),  # type: ignore[arg-type]
            text_encoder=HFText(model=bert, freeze=frozen),
            loss=InfoNCE(),
            embed_dim=16,
            optimizer=optimizer,
            **arguments,
        )
    language_model = TransformerLM(model=bert, **small)  # type: ignore[arg-type]
    if name == "token":
        return TokenObjective(
            vision_encoder=Patches(), language_model=language_model, optimizer=optimizer, **arguments
        )
    of_texts = make_objective("jepa", bert).eval()
    # what `model: runs/…` of a recipe leads to
    (patch or pytest.MonkeyPatch()).setattr(space, "load_objective", lambda path: of_texts)
    decoder = PrefixLM(language_model=language_model, prefix_length=2)
    return DecoderObjective(model="runs/x", decoder=decoder, optimizer=optimizer, **arguments)


@pytest.fixture
def patches() -> type[VisionEncoder]:
    return Patches


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., dict[str, Tensor]]:
    """Train on one batch in a real trainer; return what was logged last."""

    def run(
        objective: Objective, batch_of: Any, *, steps: int, log_every: int = 1, **arguments
    ) -> dict[str, Tensor]:
        chosen = items(**{k: arguments.pop(k) for k in ("targets", "queries") if k in arguments})
        batch_size = arguments.pop("batch_size", len(chosen))
        trainer = Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator=arguments.pop("accelerator", "cpu"),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=log_every,
            default_root_dir=tmp_path,
            **arguments,
        )
        loader = DataLoader(chosen, batch_size=batch_size, collate_fn=objective.collator())  # type: ignore[arg-type]
        trainer.fit(objective, loader)
        return dict(trainer.callback_metrics)

    return run


@pytest.fixture(params=["transformer_lm", "hf_causal"])
def any_token(request: pytest.FixtureRequest, tiny_bert: str, tiny_llama: str) -> TokenObjective:
    lm: LanguageModel
    if request.param == "hf_causal":
        lm = HFCausalLM(model=tiny_llama)
    else:
        lm = TransformerLM(dim=32, layers=2, heads=2, model=tiny_bert)
    return TokenObjective(vision_encoder=Patches(), language_model=lm, optimizer=SETTINGS)
