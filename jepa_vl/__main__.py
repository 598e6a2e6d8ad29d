"""The ``jepa-vl`` command. Chooses the verb and imports only what that verb needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from jepa_vl import __version__
from jepa_vl.errors import RecipeError, UserError, did_you_mean

VERBS = {
    "fit": "train an objective, validating as it goes; writes runs/NAME",
    "validate": "evaluate a checkpoint on the validation split",
    "test": "evaluate a checkpoint on the test splits; prints and writes the results",
    "predict": "write a checkpoint's predictions for the test splits",
    "evaluate": "run a suite of benchmarks on several models; writes one table",
    "compare": "train arms that differ in named keys only, with several seeds; writes one report",
    "plan": "print what a recipe takes to train: parameters, operations, memory, hours",
    "convert": "turn a benchmark's official annotation files into a manifest",
    "prepare": "make shards of a manifest's clips, to stream frames or frozen features from",
    "embed": "embed videos as vectors",
    "classify": "choose the class that a video shows",
    "ask": "answer a question about a video by one of several candidates",
    "caption": "say what a video shows",
    "stream": "say what a video or a camera shows, when its meaning changes",
    "index": "embed a folder of videos, to be searched by text",
    "search": "find the stretches of indexed videos that a text describes",
    "export": "write a run as a folder of safetensors, with a model card",
    "plugins": "list every part a recipe can name, or show one",
}

HELP = f"""\
usage: jepa-vl VERB [--config RECIPE] [--key.subkey VALUE ...]

An open reference implementation of VL-JEPA.

verbs:
{chr(10).join(f"  {verb:<10} {text}" for verb, text in VERBS.items())}

options:
  -h, --help   this text; `jepa-vl VERB --help` says more
  --version    the version

examples:
  jepa-vl fit --config recipes/quickstart.yaml
  jepa-vl test --config recipes/quickstart.yaml
  jepa-vl plugins list
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (the run failed) or 2 (wrong command or recipe)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except UserError as error:
        return _fail(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # nobody reads on (`| head`); what is left is not to be written when the interpreter ends either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _fail(error)


def _dispatch(words: list[str]) -> int:
    if not words:
        sys.stderr.write(HELP)
        return 2
    verb, rest = words[0], words[1:]
    if verb in ("-h", "--help"):
        sys.stdout.write(HELP)
        return 0
    if verb == "--version":
        sys.stdout.write(f"jepa-vl {__version__}\n")
        return 0
    if verb not in VERBS:
        raise RecipeError(f"unknown command '{verb}'; {did_you_mean(verb, VERBS)}")
    if verb == "plugins":
        from jepa_vl.cli.plugins import main as plugins

        return plugins(rest)
    if verb == "evaluate":
        from jepa_vl.cli.evaluate import main as evaluate

        return evaluate(rest)
    if verb == "compare":
        from jepa_vl.cli.compare import main as compare

        return compare(rest)
    if verb == "plan":
        from jepa_vl.cli.plan import main as plan

        return plan(rest)
    if verb == "convert":
        from jepa_vl.cli.convert import main as convert

        return convert(rest)
    if verb == "prepare":
        from jepa_vl.cli.prepare import main as prepare

        return prepare(rest)
    if verb in ("embed", "classify", "ask", "caption", "export"):
        from jepa_vl.cli.use import main as use

        return use(verb, rest)
    if verb == "stream":
        from jepa_vl.cli.stream import main as stream

        return stream(rest)
    if verb == "index":
        from jepa_vl.cli.index import main as index

        return index(rest)
    if verb == "search":
        from jepa_vl.cli.search import main as search

        return search(rest)
    from jepa_vl.cli.verbs import main as run

    return run(verb, rest)


def _fail(error: Exception) -> int:
    from jepa_vl.cli.explain import explain

    known = explain(error)
    if known is None:
        raise error
    message, status = known
    sys.stderr.write(f"error: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
