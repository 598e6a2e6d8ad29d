"""Vision-language models of transformers, tiny and with random weights, saved to disk and read back."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import T5ForConditionalGeneration

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.objectives.generative import GenerativeSystem
from jepa_vl.objectives.prompting import Prompter
from jepa_vl.sample import Batch, Item, Sample

CHATTY, ONE_IMAGE = ["qwen", "smolvlm"], ["instructblip_vicuna", "instructblip_t5"]
ANSWERS = ["red", "a much longer answer", "no", "red"]


def _tiny_vlms() -> Any:
    spec = importlib.util.spec_from_file_location("tiny_vlms", Path(__file__).with_name("tiny_vlms.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_llama: str, tiny_bert: str) -> Callable[[str], str]:
    made: dict[str, str] = {}

    def make(name: str) -> str:
        if name not in made:
            torch.manual_seed(0)
            made[name] = _tiny_vlms().save(
                name, tmp_path_factory.mktemp(name), tiny_llama=tiny_llama, tiny_bert=tiny_bert
            )
        return made[name]

    return make


@pytest.fixture(
    params=[*((name, 4) for name in CHATTY), *((name, 1) for name in CHATTY + ONE_IMAGE)], ids=str
)
def system(request: pytest.FixtureRequest, folder: Callable[[str], str]) -> GenerativeSystem:
    name, frames = request.param
    return GenerativeSystem(model=folder(name), num_frames=frames, frame_size=32, dtype="float32")


def batch_of(system: GenerativeSystem, *, count: int = 2, query: str = "what colour?") -> Batch:
    seen = system.vision_encoder.preprocessing
    generator = torch.Generator().manual_seed(3)
    shape = (seen.num_frames, 3, *seen.size)
    items = [
        Item(
            Sample(id=str(i), media="clip", query=query, target="t", start=1.0, end=4.0),
            index=i,
            video=torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        )
        for i in range(count)
    ]
    return system.collator()(items)


def slow_score(system: GenerativeSystem, batch: Batch, row: int, answer: str) -> Tensor:
    """One pass over everything, without a cache, and a loop over the answer's tokens."""
    prompt, inputs = system.prompter.inputs(batch.video[row], batch.samples[row])
    said = [*system.prompter.answer_ids(prompt, [answer])[0], system.end]
    asked = inputs["input_ids"]
    if isinstance(getattr(system.network, "language_model", None), T5ForConditionalGeneration):
        decoder = torch.tensor([[0, *said[:-1]]])
        logits = system.network(**inputs, decoder_input_ids=decoder).logits[0]
        before = 0
    else:
        inputs = dict(inputs)
        inputs["input_ids"] = torch.cat((asked, torch.tensor([said])), dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if "mm_token_type_ids" in inputs:
            text = torch.zeros(1, len(said), dtype=inputs["mm_token_type_ids"].dtype)
            inputs["mm_token_type_ids"] = torch.cat((inputs["mm_token_type_ids"], text), dim=1)
        logits = system.network(**inputs).logits[0]
        before = asked.shape[1] - 1
    each = [logits[before + i].log_softmax(dim=-1)[token] for i, token in enumerate(said)]
    return torch.stack(each).mean()


@torch.no_grad()
def test_scores_are_those_of_whole_passes_without_a_cache(system: GenerativeSystem) -> None:
    batch = batch_of(system)
    for row, scores in enumerate(system.score(batch, [ANSWERS] * 2)):
        wanted = torch.stack([slow_score(system, batch, row, answer) for answer in ANSWERS])
        assert torch.allclose(scores, wanted, atol=1e-4)
        assert scores.std() > 1e-3  # a comparison of nothing with nothing would pass too


def test_each_sample_has_its_own_candidates_and_its_own_frames(system: GenerativeSystem) -> None:
    batch = batch_of(system)
    first, second = system.score(batch, [ANSWERS, ANSWERS[:2]])
    assert (len(first), len(second)) == (4, 2)
    alone = system.score(batch.select([1]), [ANSWERS[:2]])[0]
    assert torch.allclose(second, alone, atol=1e-5)
    assert not torch.allclose(first[:2], second, atol=1e-6)


def test_what_it_says_is_the_likeliest_token_after_the_other(system: GenerativeSystem) -> None:
    batch = batch_of(system, count=1)
    said = system.generate(batch, max_new_tokens=3)
    assert len(said) == 1
    prompt, _ = system.prompter.inputs(batch.video[0], batch.samples[0])
    assert prompt not in said[0]
    assert system.generate(batch, max_new_tokens=3) == said


def test_no_candidates_are_no_scores(system: GenerativeSystem) -> None:
    assert system.score(batch_of(system, count=1), [[]])[0].shape == (0,)


@pytest.mark.parametrize("name", CHATTY)
def test_a_prompt_asks_the_question_or_for_a_caption(name: str, folder: Callable[[str], str]) -> None:
    system = GenerativeSystem(
        model=folder(name),
        frame_size=32,
        dtype="float32",
        question_template="{} Answer shortly.",
        caption_prompt="Say what you see.",
    )
    assert "what colour? Answer shortly." in system.prompter.prompt("what colour?", several_frames=True)
    asked = system.prompter.prompt("", several_frames=True)
    assert "Say what you see." in asked
    assert "shortly" not in asked


def test_frames_of_a_video_carry_the_times_of_the_clip(folder: Callable[[str], str]) -> None:
    system = GenerativeSystem(model=folder("smolvlm"), num_frames=3, frame_size=32, dtype="float32")
    batch = batch_of(system, count=1)  # 3 frames of 3 seconds
    _, inputs = system.prompter.inputs(batch.video[0], batch.samples[0])
    read = system.prompter.processor.tokenizer.decode(inputs["input_ids"][0])
    assert "three frames" in read
    assert all(f"00:0{second}" in read for second in range(3))


def test_an_answer_is_what_follows_the_prompt_with_its_space(tiny_llama: str) -> None:
    from transformers import AutoTokenizer

    class Processor:
        tokenizer = AutoTokenizer.from_pretrained(tiny_llama)

    prompter = Prompter(Processor(), question_template="{}", caption_prompt="")
    decode = Processor.tokenizer.decode
    assert [decode(ids) for ids in prompter.answer_ids("Assistant:", ["red", "no"])] == [" red", " no"]
    assert [decode(ids) for ids in prompter.answer_ids("assistant\n", ["red", "no"])] == ["red", "no"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_frames": 0}, "num_frames must be at least 1"),
        ({"frame_size": 0}, "frame_size must be at least 1"),
        ({"question_template": "Answer."}, "has no {} for the question"),
    ],
)
def test_wrong_arguments_are_one_message(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        GenerativeSystem(**arguments)


def test_several_frames_for_a_model_of_one_image_are_refused(folder: Callable[[str], str]) -> None:
    with pytest.raises(RecipeError, match=r"reads one image: objective\.num_frames is 8, expected 1"):
        GenerativeSystem(model=folder("instructblip_vicuna"), dtype="float32")


def test_a_text_model_is_refused(tiny_bert: str) -> None:
    with pytest.raises(UserError, match="cannot load the folder"):
        GenerativeSystem(model=tiny_bert)


def test_instructblip_sees_the_pixels_of_its_own_processor(folder: Callable[[str], str]) -> None:
    """A frame that was squashed to the processor's size on reading is left as it is."""
    system = GenerativeSystem(
        model=folder("instructblip_vicuna"),
        num_frames=1,
        frame_size=32,
        resize_mode="squash",
        dtype="float32",
    )
    batch = batch_of(system, count=1)
    _, inputs = system.prompter.inputs(batch.video[0], batch.samples[0])
    image = Image.fromarray(batch.video[0, 0].permute(1, 2, 0).numpy())
    wanted = system.prompter.processor.image_processor(image, return_tensors="pt")["pixel_values"]
    assert torch.allclose(inputs["pixel_values"], wanted)
