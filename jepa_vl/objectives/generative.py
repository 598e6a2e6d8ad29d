"""`GenerativeSystem`: InstructBLIP, Qwen-VL and SmolVLM, asked for answers and captions (section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from jepa_vl.errors import RecipeError
from jepa_vl.objectives.answer_likelihood import answer_likelihoods
from jepa_vl.objectives.base import GENERATE, SCORE
from jepa_vl.objectives.prompting import Prompter
from jepa_vl.objectives.system import System
from jepa_vl.pretrained.weights import load_hf
from jepa_vl.sample import Batch, Sample
from jepa_vl.vision.base import ResizeMode
from jepa_vl.vision.raw_frames import RawFrames


class GenerativeSystem(System):
    """A vision-language model of transformers. It reads frames through its own processor.

    A candidate's score is the mean log-likelihood of its tokens and the end token, given the frames and
    the question. Samples are read one by one, their candidates together.

    Args:
        model: Hub name or local folder of a model for image and text to text.
        num_frames: Frames of a clip; one is given as an image, several as a video.
        frame_size: Height and width in pixels at which frames reach the processor.
        resize_mode: How a frame is brought to that size: ``longest`` fills up with black, ``squash`` gives
            up the ratio of the sides, ``shortest`` cuts off the ends.
        question_template: Text that a query is put into at ``{}``.
        caption_prompt: What is asked where a sample has no query.
        dtype: Precision of the weights and of the computation.

    Raises:
        RecipeError: Sizes below 1, a template without ``{}``, or several frames for a model of one image.
        UserError: The model cannot be fetched or read.
    """

    vision_encoder: RawFrames
    abilities = frozenset({SCORE, GENERATE})

    def __init__(
        self,
        *,
        model: str = "Qwen/Qwen2.5-VL-3B-Instruct",
        num_frames: int = 8,
        frame_size: int = 448,
        resize_mode: ResizeMode = "longest",
        question_template: str = "{}",
        caption_prompt: str = "Describe what happens in one short sentence.",
        dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16",
    ) -> None:
        super().__init__()
        for name, value in {"num_frames": num_frames, "frame_size": frame_size}.items():
            if value < 1:
                raise RecipeError(f"objective.{name} must be at least 1, found {value}")
        if "{}" not in question_template:
            raise RecipeError(
                f"objective.question_template: '{question_template}' has no {{}} for the question"
            )
        self.network: Any = load_hf(
            AutoModelForImageTextToText.from_pretrained, model, dtype=getattr(torch, dtype)
        )
        processor = load_hf(AutoProcessor.from_pretrained, model)
        self.prompter = Prompter(
            processor, question_template=question_template, caption_prompt=caption_prompt
        )
        if num_frames > 1 and not self.prompter.has_chat_template:
            raise RecipeError(f"'{model}' reads one image: objective.num_frames is {num_frames}, expected 1")
        self.vision_encoder = RawFrames(num_frames=num_frames, size=frame_size, resize_mode=resize_mode)
        self.network.requires_grad_(False).eval()
        self.end = _end_token(self.network, processor)
        if self.network.generation_config.pad_token_id is None:
            self.network.generation_config.pad_token_id = self.end  # a batch of one needs none

    @torch.no_grad()
    def score(self, batch: Batch, candidates: Sequence[Sequence[str]]) -> list[Tensor]:
        """Mean log-likelihood a token of each candidate, the end token included."""
        found = []
        for row, sample in enumerate(batch.samples):
            prompt, inputs = self._inputs(batch, row, sample)
            said = [[*ids, self.end] for ids in self.prompter.answer_ids(prompt, candidates[row])]
            found.append(answer_likelihoods(self.network, inputs, said))
        return found

    @torch.no_grad()
    def generate(self, batch: Batch, *, max_new_tokens: int = 32) -> list[str]:
        """Say the likeliest token, one after the other, until the end token."""
        texts = []
        for row, sample in enumerate(batch.samples):
            _, inputs = self._inputs(batch, row, sample)
            said = self.network.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)[0].tolist()
            asked = inputs["input_ids"][0].tolist()
            # a decoder repeats what it was asked; an encoder's decoder does not
            texts.append(self.prompter.text(said[len(asked) :] if said[: len(asked)] == asked else said))
        return texts

    def _inputs(self, batch: Batch, row: int, sample: Sample) -> tuple[str, Any]:
        assert batch.video is not None
        prompt, inputs = self.prompter.inputs(batch.video[row], sample)
        return prompt, inputs.to(self.device, self.network.dtype)


def _end_token(network: Any, processor: Any) -> int:
    """Return the id with which the model ends its turn."""
    end = network.generation_config.eos_token_id
    if isinstance(end, list):
        end = end[0]
    return int(processor.tokenizer.eos_token_id if end is None else end)
