"""The tokens of captions against Stanford's tokenizer, as pycocoevalcap runs it."""

from __future__ import annotations

import shutil

import pytest
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from jepa_vl.metrics.caption_tokens import as_tokens, tokenize

#: Caption → its tokens, as the Java tool and pycocoevalcap's list of punctuation give them.
CAPTIONS = {
    "A man doesn't ride his dog's bike, it's \"great\" (really)!": (
        "a man does n't ride his dog 's bike it 's great -lrb- really -rrb-"
    ),
    "The go-to place -- black-and-white cats; it cannot be: gonna run...": (
        "the go-to place black-and-white cats it can not be gon na run"
    ),
    "At 10:30 he paid $5.50 or 50% for 1,000 items & more / less and/or 1/2 cup.": (
        "at 10:30 he paid $ 5.50 or 50 % for 1,000 items & more / less and/or 1/2 cup"
    ),
    "The U.S. team of Mr. Smith etc. won. They're you'll I'd we've I'm": (
        "the u.s. team of mr. smith etc. won they 're you 'll i 'd we 've i 'm"
    ),
    "A grey colour theatre café naïve “quoted” ‘single’ it’s n't 'tis": (
        "a grey colour theatre café naïve quoted single it 's n't 't is"
    ),
    "rock 'n' roll the dogs' tails #tag @user http://a.com/b x-ray t-shirt 4x4 3D 20th 1990s": (
        "rock 'n' roll the dogs tails #tag @user http://a.com/b x-ray t-shirt 4x4 3d 20th 1990s"
    ),
    "[square] {curly} a*b a_b one,two semi;colon what?! wow!!!": (
        "-lsb- square -rsb- -lcb- curly -rcb- a * b a_b one two semi colon what ?! wow !!!"
    ),
    "don't won't can't wanna gotta lemme ain't y'all o'clock ma'am": (
        "do n't wo n't ca n't wan na got ta lem me ai n't y' all o'clock ma'am"
    ),
    "pick up the red ball, then go to the blue key .": "pick up the red ball then go to the blue key",
    "put - it , 5-year-old co-op w/ the w/o vs. e.g. this dash—em en–dash": (
        "put it 5-year-old co-op w / the w/o vs. e.g. this dash em en dash"
    ),
}


@pytest.mark.parametrize("text", CAPTIONS)
def test_tokens_are_the_java_tool_s(text: str) -> None:
    assert " ".join(tokenize(text)) == CAPTIONS[text]


@pytest.mark.skipif(shutil.which("java") is None, reason="needs java")
@pytest.mark.slow
def test_the_list_above_is_what_the_java_tool_says() -> None:
    asked = {i: [{"caption": text}] for i, text in enumerate(CAPTIONS)}
    try:
        found = PTBTokenizer().tokenize(asked)
    except PermissionError:  # it writes beside its own code
        pytest.skip("the installed package cannot be written to")
    assert [found[i][0] for i in asked] == list(CAPTIONS.values())


@pytest.mark.parametrize("text", ["", "  ", "...", "-- .", "?"])
def test_a_caption_of_punctuation_has_no_tokens(text: str) -> None:
    assert tokenize(text) == []


def test_tokens_of_tokens_are_the_same() -> None:
    assert as_tokens(("A", "b.")) == ["A", "b."]
