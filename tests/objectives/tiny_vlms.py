"""Tiny vision-language models with random weights, one of each class, saved as Hugging Face folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import (
    AutoTokenizer,
    BlipImageProcessor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.3,  # so that a tiny model prefers something
}
QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMOL_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] | capitalize }}:{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def _tokenizer(source: str, special: list[str], end: str) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_special_tokens({"additional_special_tokens": special, "eos_token": end, "pad_token": end})
    return tokenizer


def qwen(folder: Path, tiny_llama: str) -> None:
    special = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    tokenizer = _tokenizer(tiny_llama, [*special, "<|video_pad|>"], "<|im_end|>")
    pixels = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2}
    image = Qwen2VLImageProcessor(min_pixels=64, max_pixels=1024, **pixels)
    video = Qwen2VLVideoProcessor(min_pixels=64, max_pixels=4096, **pixels)
    Qwen2_5_VLProcessor(image, tokenizer, video, chat_template=QWEN_TEMPLATE).save_pretrained(folder)
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad")}
    config = Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "eos_token_id": tokenizer.eos_token_id,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 16,
            "fullatt_block_indexes": [1],
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)


def smolvlm(folder: Path, tiny_llama: str) -> None:
    special = ["<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>"]
    tokenizer = _tokenizer(tiny_llama, [*special, "<video>"], "<end_of_utterance>")
    SmolVLMProcessor(
        SmolVLMImageProcessor(
            size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
        ),
        tokenizer,
        SmolVLMVideoProcessor(size={"longest_edge": 32}, max_image_size={"longest_edge": 32}),
        image_seq_len=4,
        chat_template=SMOL_TEMPLATE,
    ).save_pretrained(folder)
    config = SmolVLMConfig(
        text_config={
            **TEXT,
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)


def _instructblip(folder: Path, tiny_llama: str, tiny_bert: str, text: dict[str, Any]) -> None:
    tokenizer = _tokenizer(tiny_llama, ["<image>"], "<|end|>")
    qformer = AutoTokenizer.from_pretrained(tiny_bert)
    processor = InstructBlipProcessor(
        BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer, qformer, num_query_tokens=4
    )
    processor.save_pretrained(folder)
    config = InstructBlipConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "initializer_range": 0.3,
            "image_size": 32,
            "patch_size": 8,
        },
        qformer_config={
            "vocab_size": len(qformer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "encoder_hidden_size": 32,
            "initializer_range": 0.3,
            "cross_attention_frequency": 1,
        },
        text_config={**text, "vocab_size": len(processor.tokenizer), "eos_token_id": tokenizer.eos_token_id},
        num_query_tokens=4,
        initializer_range=0.3,
        image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
    )
    InstructBlipForConditionalGeneration(config).save_pretrained(folder)


def instructblip_vicuna(folder: Path, tiny_llama: str, tiny_bert: str) -> None:
    _instructblip(folder, tiny_llama, tiny_bert, {**TEXT, "model_type": "llama"})


def instructblip_t5(folder: Path, tiny_llama: str, tiny_bert: str) -> None:
    t5 = {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    more = {"decoder_start_token_id": 0, "pad_token_id": 0, "initializer_factor": 3.0}
    _instructblip(folder, tiny_llama, tiny_bert, {**t5, **more})


MAKERS: dict[str, Callable[..., None]] = {
    "qwen": qwen,
    "smolvlm": smolvlm,
    "instructblip_vicuna": instructblip_vicuna,
    "instructblip_t5": instructblip_t5,
}


def save(name: str, folder: Path, *, tiny_llama: str, tiny_bert: str) -> str:
    """Save the model called ``name`` in ``folder`` and return its path."""
    more = {"tiny_bert": tiny_bert} if name.startswith("instructblip") else {}
    MAKERS[name](folder, tiny_llama=tiny_llama, **more)
    return str(folder)
