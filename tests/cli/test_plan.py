"""``jepa-vl plan``: what it prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer

Command = Callable[..., tuple[int, str, str]]
PLAN = ("plan", "--config", "tiny.yaml")


def test_it_prints_tables_and_reads_neither_weights_nor_data(
    tiny: Path, jepa_vl: Command, tiny_bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("weights are read")

    monkeypatch.setattr(safetensors.torch, "load_file", refuse)
    monkeypatch.setattr("transformers.modeling_utils.load_state_dict", refuse)
    for file in (tiny / "data").iterdir():
        if file.is_file():
            file.unlink()
    status, out, err = jepa_vl(*PLAN, "--gpu", "a100", "--utilisation", "0.5")
    assert status == 0, err
    for word in ("a sample", "parameters", "memory of a process", "the run", "card hours at 50%", "A100"):
        assert word in out, word
    assert not (tiny / "runs").exists()


def test_json_says_the_same_for_programs(tiny: Path, jepa_vl: Command) -> None:
    words = ("--json", "--gpu-tflops", "2.5", "--query-tokens", "0", "--target-tokens", "9")
    status, out, err = jepa_vl(*PLAN, *words, "--data.batch_size", "6")
    assert status == 0, err
    found = json.loads(out)
    assert found["size"]["batch"] == 6
    assert found["card"]["teraflops"] == 2.5
    assert (found["lengths"]["query"], found["lengths"]["target"]) == (0, 9)
    assert found["memory_total"] > 0
    assert found["samples"] == 4 * 6


def test_the_processor_can_be_the_card(tiny: Path, jepa_vl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jepa_vl.planning.cards.SECONDS", 0.05)
    status, out, _ = jepa_vl(*PLAN, "--gpu", "cpu-measured", "--json")
    assert status == 0
    assert 0 < json.loads(out)["card"]["teraflops"] < 100


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--gpu", "h10"), "no card 'h10'; did you mean"),
        (("--utilisation", "40"), "expected a share above 0 and up to 1, found '40'"),
        (("--target-tokens", "0"), "expected a whole number from 1 on, found '0'"),
        (("--gpu-tflops", "fast"), "expected a number above 0, found 'fast'"),
        (("--query-token", "3"), "unknown option --query-token; did you mean '--query-tokens'"),
        (("--data.batch_sise", "3"), "did you mean 'batch_size'"),
        (("--trainer.precision", "transformer-engine"), "precision transformer-engine cannot be planned"),
        (("--data.batch_size", "0"), "data.batch_size must be 1 or more, found 0"),
        (("--trainer.devices", "0"), "trainer.devices × trainer.num_nodes must be 1 or more, found 0"),
        (("--trainer.devices", "two"), "trainer.devices must be a number, a list of numbers or auto"),
        (("--objective", "dual"), "it has nothing to train, and so no plan"),
        (("--arm", "jepa"), "--arm is for a recipe with the key 'compare', and this one has none"),
    ],
)
def test_what_is_wrong_is_one_message_and_status_2(
    tiny: Path, jepa_vl: Command, words: tuple[str, ...], says: str
) -> None:
    status, out, err = jepa_vl(*PLAN, *words)
    assert (status, out) == (2, ""), err
    assert says in err
    assert err.startswith("error: ")


def test_a_model_whose_configuration_cannot_be_had_says_what_to_do(
    tiny: Path, jepa_vl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise OSError("We couldn't connect to the hub")

    for loader in (AutoConfig, AutoTokenizer):
        monkeypatch.setattr(loader, "from_pretrained", no_network)
    status, _, err = jepa_vl(*PLAN, "--objective.predictor.query_model", "someone/model")
    assert status == 1
    assert "cannot load the hub model 'someone/model'" in err
    assert "give a folder (its config.json and tokenizer will do)" in err
