"""Readers of benchmarks of questions, on small files in the official formats."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from jepa_vl.errors import ManifestError
from jepa_vl.readers.base import Reader
from jepa_vl.readers.clevr import ANSWERS, CLEVR
from jepa_vl.readers.gqa import GQA
from jepa_vl.readers.pope import KINDS, POPE
from jepa_vl.readers.popev2 import POPEv2
from jepa_vl.readers.tallyqa import TallyQA


def json_file(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def error_of(reader: Reader) -> str:
    with pytest.raises(ManifestError) as caught:
        list(reader.samples())
    return str(caught.value)


def gqa_question(answer: str = "no", **changed: Any) -> dict[str, Any]:
    question = {
        "semantic": [{"operation": "select", "dependencies": [], "argument": "shorts (1)"}],
        "entailed": [],
        "equivalent": ["20968379"],
        "question": "Do the shorts have dark color?",
        "imageId": "n161313",
        "isBalanced": True,
        "groups": {"global": None, "local": "06-shorts_dark"},
        "answer": answer,
        "semanticStr": "select: shorts (1)->verify color: dark [0]",
        "annotations": {"answer": {}, "question": {}, "fullAnswer": {}},
        "types": {"detailed": "verifyAttr", "semantic": "attr", "structural": "verify"},
        "fullAnswer": "No, the shorts are light.",
    }
    return question | changed


VQAV2 = {"info": {}, "questions": [{"image_id": 1, "question": "How many?", "question_id": 10}]}


def test_gqa_questions_choose_among_all_answers_of_the_split(tmp_path: Path) -> None:
    path = json_file(tmp_path / "q.json", {"1": gqa_question(), "2": gqa_question("Käse", imageId="n7")})
    first, second = GQA(annotations=path).samples()
    assert first.candidates == second.candidates == ("Käse", "no")
    assert (first.query, first.target, first.kind) == ("Do the shorts have dark color?", "no", "gqa/verify")
    assert (second.id, second.media, second.episode) == ("gqa/2", "n7.jpg", "n7")


@pytest.mark.parametrize(
    "answers",
    [["yes", "no"], {"yes": 0, "no": 1}, {"9": {"answer": "yes"}, "8": {"answer": "no"}}],
    ids=["list", "numbers", "training file"],
)
def test_gqa_leaves_out_and_logs_what_a_given_list_cannot_answer(
    tmp_path: Path, answers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = json_file(tmp_path / "q.json", {"1": gqa_question(), "2": gqa_question("zebra")})
    with caplog.at_level(logging.WARNING):
        samples = list(GQA(annotations=path, answers=json_file(tmp_path / "a.json", answers)).samples())
    assert [s.candidates for s in samples] == [("no", "yes")]
    assert GQA(annotations="q", answers="a").expected() == {}, "fewer than the published number is right here"
    assert "1 of 2 questions are left out" in caplog.text
    assert "'zebra'" in caplog.text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"imageId": "2354786"}, "found '2354786', an image of train or val"),
        ({"isBalanced": False}, "unbalanced"),
        ({"types": {}}, "'structural' is missing"),
        ({"answer": None}, "expected a text"),
    ],
    ids=["train", "testdev_all", "types", "answer"],
)
def test_gqa_files_of_other_splits_are_refused(tmp_path: Path, changed: Any, said: str) -> None:
    message = error_of(GQA(annotations=json_file(tmp_path / "q.json", {"1": gqa_question(**changed)})))
    assert said in message
    assert "testdev_balanced_questions.json" in message


def test_the_gqa_submission_file_has_no_answers(tmp_path: Path) -> None:
    bare = {k: v for k, v in gqa_question().items() if k != "answer"}
    assert "'1': 'answer' is missing" in error_of(
        GQA(annotations=json_file(tmp_path / "q.json", {"1": bare}))
    )


@pytest.mark.parametrize("answers", [[], {}, ["a", 1], [{"answer": "a"}]])
def test_a_list_of_answers_must_hold_texts(tmp_path: Path, answers: Any) -> None:
    path = json_file(tmp_path / "q.json", {"1": gqa_question()})
    message = error_of(GQA(annotations=path, answers=json_file(tmp_path / "a.json", answers)))
    assert "a.json" in message


def tallyqa_question(**changed: Any) -> dict[str, Any]:
    question = {
        "answer": 4,
        "data_source": "imported_genome",
        "image": "VG_100K_2/2410408.jpg",
        "image_id": 92410408,
        "issimple": False,
        "question": "How many headlights does the black bus have?",
        "question_id": 30095774,
    }
    return question | changed


def test_tallyqa_answers_are_digits_and_kinds_come_from_the_flag(tmp_path: Path) -> None:
    entries = [tallyqa_question(), tallyqa_question(issimple=True, question_id=2, answer=15)]
    first, second = TallyQA(annotations=json_file(tmp_path / "test.json", entries)).samples()
    assert (first.target, first.kind, first.media) == ("4", "tallyqa/complex", "VG_100K_2/2410408.jpg")
    assert (second.target, second.kind) == ("15", "tallyqa/simple")
    assert first.candidates is not None
    assert (first.candidates[0], first.candidates[-1], len(first.candidates)) == ("0", "15", 16)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (VQAV2, "object, expected a list"),
        ([{"question_id": 1, "image_id": 2, "answers": []}], "'image' is missing"),
        ([tallyqa_question(answer=16)], "found '16', expected a number from 0 to 15"),
        ([tallyqa_question(issimple="yes")], "expected true or false"),
    ],
    ids=["VQAv2", "VQAv2 annotations", "answer", "flag"],
)
def test_other_files_are_not_tallyqas(tmp_path: Path, value: Any, said: str) -> None:
    message = error_of(TallyQA(annotations=json_file(tmp_path / "test.json", value)))
    assert said in message
    assert "test.json of TallyQA" in message


def pope_line(**changed: Any) -> str:
    line = {
        "question_id": 1,
        "image": "COCO_val2014_000000310196.jpg",
        "text": "Is there a snowboard in the image?",
        "label": "yes",
    }
    return json.dumps(line | changed) + "\n"


def pope(tmp_path: Path, last: str) -> POPE:
    for kind in KINDS:
        lines = pope_line() + (last if kind == "adversarial" else pope_line(question_id=2, label="no"))
        (tmp_path / f"coco_pope_{kind}.json").write_text(lines, encoding="utf-8")
    return POPE(annotations=str(tmp_path))


def test_pope_questions_of_the_three_files_keep_their_kind_and_ids_do_not_clash(tmp_path: Path) -> None:
    samples = list(pope(tmp_path, pope_line(question_id=2, label="No")).samples())
    assert [s.kind for s in samples[::2]] == ["pope/random", "pope/popular", "pope/adversarial"]
    assert [s.target for s in samples] == ["yes", "no"] * 3
    assert len({s.id for s in samples}) == 6
    assert {s.candidates for s in samples} == {("yes", "no")}
    assert samples[0].query == "Is there a snowboard in the image?"


def test_a_pope_label_that_is_neither_is_named_with_its_line(tmp_path: Path) -> None:
    message = error_of(pope(tmp_path, pope_line(label="maybe")))
    assert "coco_pope_adversarial.json, line 2, 'label'" in message


def test_a_missing_pope_file_is_named_though_the_others_are_there(tmp_path: Path) -> None:
    reader = pope(tmp_path, pope_line())
    (tmp_path / "coco_pope_popular.json").unlink()
    assert "coco_pope_popular.json" in error_of(reader)


def popev2_pair() -> list[dict[str, Any]]:
    question = {
        "image_id": 402779,
        "image_name": "/images/000000402779.jpg",
        "target_object": "keyboard",
        "query": "Is there a keyboard in the image?",
        "label": "No",
    }
    return [question, question | {"image_name": "/coco/train2017/000000402779.jpg", "label": "Yes"}]


def test_both_images_of_a_popev2_pair_are_asked(tmp_path: Path) -> None:
    edited, normal = POPEv2(annotations=json_file(tmp_path / "annotations.json", popev2_pair())).samples()
    assert (edited.media, edited.target, edited.kind) == (
        "images/000000402779.jpg",
        "no",
        "popev2/counterfactual",
    )
    assert (normal.media, normal.target, normal.kind) == (
        "coco/train2017/000000402779.jpg",
        "yes",
        "popev2/normal",
    )
    assert edited.episode == normal.episode
    assert edited.id != normal.id


def test_the_lines_of_pope_are_not_popev2s_annotations(tmp_path: Path) -> None:
    path = tmp_path / "coco_pope_random.json"
    path.write_text(pope_line() * 2)
    assert "not JSON" in error_of(POPEv2(annotations=str(path)))


def clevr_file(tmp_path: Path, **changed: Any) -> str:
    question = {
        "image_index": 0,
        "program": [
            {"inputs": [], "function": "scene", "value_inputs": []},
            {"inputs": [0], "function": "query_material", "value_inputs": []},
        ],
        "question_index": 0,
        "image_filename": "CLEVR_val_000000.png",
        "question_family_index": 42,
        "split": "val",
        "answer": "rubber",
        "question": "What is the material of the big purple object?",
    }
    value = {"info": {"split": "val", "version": "1.0"}, "questions": [question | changed]}
    return json_file(tmp_path / "CLEVR_val_questions.json", value)


def test_clevr_candidates_are_its_28_answers_and_the_kind_is_the_last_step(tmp_path: Path) -> None:
    (sample,) = CLEVR(annotations=clevr_file(tmp_path)).samples()
    assert len(ANSWERS) == len(set(ANSWERS)) == 28
    assert sample.candidates == ANSWERS
    assert (sample.target, sample.kind) == ("rubber", "clevr/query_attribute")
    assert sample.media == "CLEVR_val_000000.png"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"split": "train"}, "found a question of 'train'"),
        ({"answer": "plastic"}, "'plastic' is none of the 28 names"),
        ({"program": [{"type": "exist"}]}, "'function' is missing"),
        ({"program": []}, "found no step"),
    ],
)
def test_another_clevr_file_is_refused(tmp_path: Path, changed: Any, said: str) -> None:
    message = error_of(CLEVR(annotations=clevr_file(tmp_path, **changed)))
    assert said in message
    assert "entry 1" in message


def test_a_file_of_vqav2_is_not_clevrs(tmp_path: Path) -> None:
    assert "'split' is missing" in error_of(CLEVR(annotations=json_file(tmp_path / "q.json", VQAV2)))
