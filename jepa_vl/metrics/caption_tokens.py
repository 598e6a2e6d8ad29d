"""Captions to tokens as captioning results are reported with: PTB-like, lower case, without punctuation."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What the metrics take for one caption: its text, or its tokens.
Caption = str | Sequence[str]

#: For ``results.json``: which tokens a number was made with.
TOKENISATION = "PTB-like, lower case, without punctuation (jepa_vl.metrics.caption_tokens)"

_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "…": "...", "–": "--", "—": "--"})
_BRACKETS = dict(zip("()[]{}", ("-lrb-", "-rrb-", "-lsb-", "-rsb-", "-lcb-", "-rcb-"), strict=True))
_DROPPED = frozenset({"'", '"', "`", "``", "''", ".", "...", "?", "!", ",", ":", ";", "-", "--"})

_TOKEN = re.compile(
    r"""
      https?://\S+ | [\w.+-]+@[\w-]+(?:\.[\w-]+)+ | [\#@]\w+        # addresses and tags
    | (?:[a-z]\.){2,}                                               # u.s.
    | (?:mr|mrs|ms|dr|st|jr|sr|vs|etc|inc|ltd|co|corp)\.(?!\w)
    | \w+?(?=n't\b) | n't\b                                         # does n't
    | can(?=not\b) | (?:gon|wan)(?=na\b) | got(?=ta\b) | (?:lem|gim)(?=me\b)
    | '(?:s|m|d|re|ve|ll)\b | 't(?=(?:is|was)\b) | 'n'(?!\w) | y'(?=all\b)
    | [^\W\d_]+'(?!(?:s|m|d|re|ve|ll)\b)[^\W\d_]+                   # o'clock
    | \d+(?:[.,:/]\d+)+(?!\w)                                       # 1,000 or 10:30
    | \w+(?:[-/.]\w+)*                                              # black-and-white, and/or
    | \.{2,} | -{2,} | [?!]{2,} | ``
    | \S
    """,
    re.VERBOSE,
)


def tokenize(text: str) -> list[str]:
    """Split a caption as pycocoevalcap's ``PTBTokenizer`` does, without Java.

    Lower case first, with curly quotes, dashes and the ellipsis sign in their ASCII form. Then, from the
    left, each token is the first of these that fits:

    - a web address, a mail address, a ``#tag``;
    - letters with points (``u.s.``) or a common abbreviation (``mr.``);
    - a contraction in its parts (``does n't``, ``dog 's``, ``can not``, ``gon na``);
    - a word with an inner apostrophe (``o'clock``);
    - a number with inner marks (``1,000``, ``10:30``);
    - letters and digits joined by hyphen, slash or point (``t-shirt``, ``and/or``);
    - a run of points, of hyphens, or of ``?`` and ``!``;
    - any other single character; brackets become ``-lrb-`` and the like.

    Last, quotes and ``. ... ? ! , : ; - --`` are dropped, as pycocoevalcap drops them; it keeps ``?!`` and
    the brackets' names, and so does this. Spelling is kept as it is.

    Known differences from the Java tool: abbreviations beyond a short list lose their point, ``no.5`` stays
    whole, and signs such as ``½`` are not spelled out.

    >>> tokenize("A man doesn't ride his dog's bike, at 10:30!")
    ['a', 'man', 'does', "n't", 'ride', 'his', 'dog', "'s", 'bike', 'at', '10:30']
    """
    found: list[str] = _TOKEN.findall(text.lower().translate(_PLAIN))
    return [_BRACKETS.get(t, t) for t in found if t not in _DROPPED and t.strip(".") and t.strip("-")]


def as_tokens(caption: Caption) -> list[str]:
    """Return the tokens of a text, or the tokens that were given.

    Raises:
        ValueError: A given token is empty or holds white space.
    """
    if isinstance(caption, str):
        return tokenize(caption)
    tokens = list(caption)
    if " ".join(tokens).split() != tokens:
        raise ValueError(f"tokens must be words without white space, got {tokens}")
    return tokens
