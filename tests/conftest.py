"""Tiny models with random weights, saved as Hugging Face folders, and what is needed around them."""

from __future__ import annotations

import os
import signal
import string
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch.profiler import ProfilerActivity, profile
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a text encoder: 2 layers, width 32, context 64, a WordPiece tokenizer of letters."""
    folder = tmp_path_factory.mktemp("tiny_bert")
    tokenizer = letter_tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a causal language model: 4 layers, width 32, 4 heads of which 2 keys, byte tokens."""
    folder = tmp_path_factory.mktemp("tiny_llama")
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(llama_config(len(tokenizer), tokenizer.eos_token_id)).save_pretrained(folder)
    return str(folder)


def llama_config(vocabulary: int, end: int, **changes: Any) -> LlamaConfig:
    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
        "initializer_range": 0.2,  # so that tiny models do say something
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": None,
    }
    return LlamaConfig(**(settings | changes))


def letter_tokenizer() -> PreTrainedTokenizerFast:
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    )


def byte_tokenizer() -> PreTrainedTokenizerFast:
    pieces = ["<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.manual_seed(0)


@pytest.fixture
def peak_bytes() -> Callable[[Callable[[], None]], int]:
    """Highest sum of all allocations less all releases within a step."""

    def measure(step: Callable[[], None]) -> int:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            step()
        events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
        held = peak = 0
        for event in sorted(events, key=lambda e: e.start_ns()):
            held += event.nbytes()
            peak = max(peak, held)
        return peak

    return measure


@pytest.fixture(scope="session")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, list[Any]], list[Any]]:
    """Have Triton's interpreter run the kernels of a worker script on a processor: one result for each case.

    In a process of its own, since Triton looks for the variable when it is imported, and torch imports it.
    """

    def run(worker: Path, cases: list[Any]) -> list[Any]:
        pytest.importorskip("triton")
        folder = tmp_path_factory.mktemp("interpreted")
        torch.save(cases, folder / "in.pt")
        paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
        done = subprocess.run(
            [sys.executable, str(worker), str(folder / "in.pt"), str(folder / "out.pt")],
            env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": paths},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: list[Any] = torch.load(folder / "out.pt")
        return found

    return run


@pytest.fixture(scope="session")
def run_ranks() -> Callable[..., None]:
    """``run_ranks(worker, size, *arguments, timeout=…)``: a job of a script that takes its rank and the size.

    A rank that fails fails the test with what it said. No process outlives the job.
    """

    def run(worker: Path, size: int, *arguments: object, timeout: float = 300) -> None:
        paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        words = [Path(__file__).with_name("forked.py"), worker, size, *arguments]
        job = subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            _, said = job.communicate(timeout=timeout)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)
        assert job.returncode == 0, said

    return run


@pytest.fixture(scope="session")
def shrink() -> list[str]:
    """What makes any BabyAI recipe take seconds, appended to its command."""
    return [
        *("--data.train_clips", "24", "--data.val_clips", "3", "--data.test_clips", "4"),
        *("--data.novel_clips", "2", "--data.batch_size", "8", "--data.render_workers", "1"),
        *("--trainer.max_steps", "2", "--trainer.val_check_interval", "2"),
        *("--trainer.log_every_n_steps", "1"),
    ]
