"""`Prompter`: frames and a question → what a vision-language model of transformers reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor
from transformers.video_utils import VideoMetadata

from jepa_vl.sample import Sample


class Prompter:
    """Speaks to a model through its own processor and, where there is one, its chat template.

    One frame is an image; several are a video, whose frames carry the time at which they are shown.

    Args:
        processor: The model's ``AutoProcessor``.
        question_template: Text that a query is put into at ``{}``.
        caption_prompt: What is asked where there is no query.
    """

    def __init__(self, processor: Any, *, question_template: str, caption_prompt: str) -> None:
        self.processor = processor
        self.question_template = question_template
        self.caption_prompt = caption_prompt

    @property
    def has_chat_template(self) -> bool:
        """Whether the model was trained on conversations; one that was not reads a single image."""
        return getattr(self.processor, "chat_template", None) is not None

    def prompt(self, query: str, *, several_frames: bool) -> str:
        """Return the text before the answer, with a placeholder for the frames."""
        asked = self.question_template.replace("{}", query) if query else self.caption_prompt
        if not self.has_chat_template:
            return asked
        media = {"type": "video" if several_frames else "image"}
        turn = {"role": "user", "content": [media, {"type": "text", "text": asked}]}
        return str(self.processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False))

    def inputs(self, video: Tensor, sample: Sample) -> tuple[str, Any]:
        """Return the prompt of a sample, and what the model takes: a batch of one.

        Args:
            video: uint8 ``[T, C, H, W]``.
            sample: Its query, and its stretch of the media in seconds.
        """
        frames = [Image.fromarray(frame.permute(1, 2, 0).cpu().numpy()) for frame in video]
        text = self.prompt(sample.query, several_frames=len(frames) > 1)
        if len(frames) == 1:
            return text, self.processor(text=[text], images=[frames], return_tensors="pt")
        rate = len(frames) / _seconds(sample, otherwise=len(frames))  # frames a second
        shown = VideoMetadata(
            total_num_frames=len(frames),
            fps=rate,
            duration=len(frames) / rate,
            frames_indices=list(range(len(frames))),
        )
        read = self.processor(
            text=[text],
            videos=[video.cpu()],
            video_metadata=[shown],
            do_sample_frames=False,
            return_tensors="pt",
        )
        return text, read

    def answer_ids(self, prompt: str, answers: Sequence[str]) -> list[list[int]]:
        """Tokenise K answers as the model would say them after the prompt, without an end token.

        What separates an answer from the prompt, and how a tokenizer begins a word, is found by
        tokenising the answer behind the last word of the prompt.
        """
        last = re.search(r"\S*\s*$", prompt)
        tail = last.group() if last else ""
        space = "" if not tail or tail[-1].isspace() else " "
        before = self._ids(tail)
        found = []
        for answer in answers:
            ids = self._ids(f"{tail}{space}{answer}")
            shared = next(
                (i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before)
            )
            found.append(ids[shared:])
        return found

    def text(self, ids: Sequence[int]) -> str:
        """Return what the model has said."""
        return str(self.processor.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def _ids(self, text: str) -> list[int]:
        return list(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def _seconds(sample: Sample, *, otherwise: float) -> float:
    """Length of a sample's clip, where its record says it."""
    return otherwise if sample.end is None else sample.end - (sample.start or 0.0)
