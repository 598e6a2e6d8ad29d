"""Each reader on a small file in the exact official format."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jepa_vl.errors import ManifestError, RecipeError
from jepa_vl.readers.coin import Coin
from jepa_vl.readers.crosstask import CrossTask
from jepa_vl.readers.egoexo4d_keysteps import EgoExo4DKeysteps
from jepa_vl.readers.epic_kitchens_100 import EpicKitchens100
from jepa_vl.readers.imagenet import ImageNet
from jepa_vl.readers.kinetics400 import Kinetics400
from jepa_vl.readers.ssv2 import SSv2

Write = Callable[[str, Any], str]

SSV2 = [
    {
        "id": "74225",
        "label": "spinning cube that quickly stops spinning",
        "template": "Spinning [something] that quickly stops spinning",
        "placeholders": ["cube"],
    },
    {
        "id": "116154",
        "label": "showing that cup is inside box",
        "template": "Showing that [something] is inside [something]",
        "placeholders": ["cup", "box"],
    },
]
SSV2_LABELS = {
    "Showing that something is inside something": "118",
    "Spinning something that quickly stops spinning": "143",
}


def test_ssv2_takes_the_template_without_brackets_as_the_class(write: Write) -> None:
    annotations, labels = write("validation.json", SSV2), write("labels.json", SSV2_LABELS)
    first, second = SSv2(annotations=annotations, labels=labels).samples()
    assert (first.id, first.media, first.split) == ("ssv2/74225", "74225.webm", "val")
    assert first.label == first.target == "Spinning something that quickly stops spinning"
    assert second.label == "Showing that something is inside something"


def test_ssv2_refuses_another_version(write: Write) -> None:
    v1 = write("v1.csv", "74225;Turning something upside down\n")
    with pytest.raises(ManifestError, match=r"v1.csv, line 1: not JSON .* something-something-v2-validation"):
        list(SSv2(annotations=v1).samples())
    test_split = write("test.json", [{"id": "1420"}])
    with pytest.raises(ManifestError, match="entry 1: 'template' is missing; found id"):
        list(SSv2(annotations=test_split).samples())
    labels = write("labels.json", {"Spinning something that quickly stops spinnin": "1"})
    with pytest.raises(ManifestError, match="did you mean 'Spinning something that quickly stops spinnin'"):
        list(SSv2(annotations=write("v.json", SSV2), labels=labels).samples())


EPIC = """\
narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,\
narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes
P01_11_0,P01,P01_11,00:00:00.560,00:00:00.00,00:00:01.89,1,113,take plate,take,0,plate,2,['plate'],[2]
P01_11_101,P01,P01_11,00:01:05.560,00:01:06.50,00:01:08.00,3990,4080,\
put chopping board into drawer,put-into,5,board:chopping,14,"['board:chopping', 'drawer']","[14, 8]"
"""
VERBS = "id,key,instances,category\n0,take,\"['take', 'grab']\",retrieve\n5,put-into,['put-into'],leave\n"
NOUNS = "id,key,instances,category\n2,plate,['plate'],crockery\n14,board:chopping,['board:chopping'],x\n"


def epic(write: Write, **more: Any) -> EpicKitchens100:
    files = {"annotations": EPIC, "verbs": VERBS, "nouns": NOUNS}
    paths: dict[str, Any] = {name: write(f"{name}.csv", text) for name, text in files.items()}
    return EpicKitchens100(**paths, **more)


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("action", ["take plate", "put into chopping board"]),
        ("verb", ["take", "put into"]),
        ("noun", ["plate", "chopping board"]),
    ],
)
def test_epic_names_classes_by_their_official_key_in_words(
    write: Write, label: Any, names: list[str]
) -> None:
    samples = list(epic(write, label=label).samples())
    assert [s.label for s in samples] == names
    assert [(s.start, s.end) for s in samples] == [(0.0, 1.89), (66.5, 68.0)]
    assert samples[1].media == "P01/videos/P01_11.MP4"
    assert samples[1].id == "epic_kitchens_100/P01_11_101"
    assert {s.kind for s in samples} == {None}


def test_epic_anticipation_sees_nothing_of_the_action_and_leaves_out_what_comes_too_early(
    write: Write,
) -> None:
    reader = epic(write, anticipation=1.0, observed=4.0)
    (sample,) = reader.samples()  # the first action begins at 0 s
    assert (sample.start, sample.end, sample.kind) == (61.5, 65.5, "anticipation/1s")
    assert reader.expected() == {}
    (clipped,) = epic(write, anticipation=0.5, observed=100.0).samples()
    assert (clipped.start, clipped.end, clipped.kind) == (0.0, 66.0, "anticipation/0.5s")


def test_epic_refuses_files_of_epic_kitchens_55_and_wrong_arguments(write: Write) -> None:
    old = write("old.csv", "uid,participant_id,video_id,narration\n0,P01,P01_01,open door\n")
    verbs, nouns = write("v.csv", VERBS), write("n.csv", NOUNS)
    with pytest.raises(ManifestError, match="column 'narration_id' is missing"):
        list(EpicKitchens100(annotations=old, verbs=verbs, nouns=nouns).samples())
    with pytest.raises(ManifestError, match="'2' is none of the 2 names"):
        # the two lists of classes exchanged
        list(EpicKitchens100(annotations=write("e.csv", EPIC), verbs=verbs, nouns=verbs).samples())
    with pytest.raises(RecipeError, match="anticipation"):
        epic(write, anticipation=-1.0)
    with pytest.raises(RecipeError, match="observed"):
        epic(write, observed=0.0)


KEYSTEPS = {
    "date": "04/02/2024",
    "description": "EgoExo4D Fine-grained Keystep Recognition",
    "splits": "val",
    "segments": [
        {
            "segment_name_list": [
                "val/georgiatech_covid_07_6/start0.85598_end33.20377_aria02_214-1.mp4",
                "val/georgiatech_covid_07_6/start0.85598_end33.20377_cam01.mp4",
            ],
            "ego_segment_name": "val/georgiatech_covid_07_6/start0.85598_end33.20377_aria02_214-1.mp4",
            "take_uid": "77cd56fc-6b68-4c7f-814b-81545484dd2d",
            "take_name": "georgiatech_covid_07_6",
            "start_time": 0.85598,
            "end_time": 33.20377,
            "step_unique_id": 843,
            "label_id": 35,
            "step_name": "Unbox package",
        }
    ],
}


def test_keysteps_take_the_egocentric_trimmed_clip(write: Write) -> None:
    labels = write(
        "map.csv", "label_id,step_unique_id,step_name,scenario_name\n35,843,Unbox package,health\n"
    )
    (sample,) = EgoExo4DKeysteps(annotations=write("k.json", KEYSTEPS), labels=labels).samples()
    assert sample.media == "val/georgiatech_covid_07_6/start0.85598_end33.20377_aria02_214-1.mp4"
    assert (sample.start, sample.end) == (None, None)
    assert sample.label == "Unbox package"
    assert sample.episode == "77cd56fc-6b68-4c7f-814b-81545484dd2d"


def test_keysteps_refuse_the_untrimmed_annotations_and_unknown_steps(write: Write) -> None:
    untrimmed = write("keystep_val.json", {"ds": "230921", "annotations": {}, "taxonomy": {}})
    with pytest.raises(ManifestError, match=r"'segments' is missing; .* reads keystep_segment_val.json"):
        list(EgoExo4DKeysteps(annotations=untrimmed).samples())
    labels = write("map.csv", "label_id,step_unique_id,step_name,scenario_name\n0,1567,Stir,cooking\n")
    with pytest.raises(ManifestError, match="'Unbox package' is none of the 1 names"):
        list(EgoExo4DKeysteps(annotations=write("k.json", KEYSTEPS), labels=labels).samples())


KINETICS = (
    "label,youtube_id,time_start,time_end,split\n"
    "javelin throw,--07WQ2iBlw,1,11,validate\n"
    '"dancing, macarena",-08yj6sT,0,10,val\n'
)


def test_kinetics_names_clips_by_id_and_seconds_in_either_layout(write: Write) -> None:
    path = write("val.csv", KINETICS)
    flat = list(Kinetics400(annotations=path).samples())
    assert [s.media for s in flat] == ["--07WQ2iBlw_000001_000011.mp4", "-08yj6sT_000000_000010.mp4"]
    assert {s.split for s in flat} == {"val"}
    assert flat[1].label == "dancing, macarena"
    first = next(Kinetics400(annotations=path, layout="class").samples())
    assert first.media == "javelin throw/--07WQ2iBlw_000001_000011.mp4"


def test_kinetics_refuses_a_list_of_paths(write: Write) -> None:
    path = write("val.csv", "videos/a.mp4 17\nvideos/b.mp4 3\n")
    with pytest.raises(ManifestError, match="column 'label' is missing"):
        list(Kinetics400(annotations=path).samples())


def coin(subset: str, *steps: tuple[str, float, float]) -> dict[str, Any]:
    return {
        "duration": 131.0309,
        "class": "ReplaceCDDriveWithSSD",
        "video_url": "https://www.youtube.com/embed/LtRSn-ntcLY",
        "start": 56.6,
        "annotation": [{"id": "212", "segment": [a, b], "label": text} for text, a, b in steps],
        "subset": subset,
        "end": 85.7,
        "recipe_type": 131,
    }


COIN = {
    "database": {
        "train1": coin("training", ("take out the laptop CD drive", 1.0, 2.0)),
        "LtRSn-ntcLY": coin(
            "testing",
            ("take out the laptop CD drive", 60.0, 69.0),
            ("insert the hard disk tray", 71.0, 82.0),
            ("screw", 90.0, 99.5),
        ),
    }
}


def test_coin_gives_steps_tasks_and_next_steps_of_the_subset(write: Write) -> None:
    path = write("COIN.json", COIN)
    steps = list(Coin(annotations=path).samples())
    assert [s.label for s in steps] == ["take out the laptop CD drive", "insert the hard disk tray", "screw"]
    assert [(s.start, s.end) for s in steps] == [(60.0, 69.0), (71.0, 82.0), (90.0, 99.5)]
    assert {(s.media, s.split, s.kind) for s in steps} == {("131/LtRSn-ntcLY.mp4", "test", "step")}
    (task,) = Coin(annotations=path, mode="task").samples()
    assert (task.label, task.start, task.kind) == ("replace CD drive with SSD", None, "task")
    after = list(Coin(annotations=path, mode="next_step").samples())
    assert [s.label for s in after] == ["insert the hard disk tray", "screw"]
    assert [(s.start, s.end) for s in after] == [(60.0, 69.0), (71.0, 82.0)]  # the step before
    assert {s.kind for s in after} == {"anticipation/next step"}
    (train,) = Coin(annotations=path, subset="training").samples()
    assert (train.id, train.split) == ("coin/train1/1", "train")


def test_coin_expects_a_number_of_videos_alone(write: Write) -> None:
    path = write("COIN.json", COIN)
    assert Coin(annotations=path, mode="task").expected() == {"test": 2_797}
    assert Coin(annotations=path).expected() == {}
    assert Coin(annotations=path, mode="task", subset="training").expected() == {}


def test_coin_refuses_activitynet_and_a_broken_step(write: Write) -> None:
    other = write("anet.json", {"database": {"v": {"subset": "validation", "annotations": []}}})
    with pytest.raises(ManifestError, match=re.escape("'validation' is none of the 2 names")):
        list(Coin(annotations=other).samples())
    broken = coin("testing", ("screw", 1.0, 2.0))
    broken["annotation"][0]["segment"] = ["1.0", "2.0"]
    path = write("b.json", {"database": {"v": broken}})
    with pytest.raises(
        ManifestError, match=r"'v', 'annotation', entry 1, 'segment': found .* expected \[start"
    ):
        list(Coin(annotations=path).samples())


TASKS = """\
23521
Make Jello Shots
https://www.wikihow.com/Make-Jello-Shots
3
pour water,pour jello powder,stir mixture

59684
Build Simple Floating Shelves
https://www.wikihow.com/Build-Simple-Floating-Shelves
2
cut shelve,assemble shelve

"""


def crosstask(write: Write, **more: Any) -> CrossTask:
    url = "https://www.youtube.com/watch?v="
    folder = Path(write("release/tasks_primary.txt", TASKS)).parent
    videos = "".join(f"{t},{v},{url}{v}\n" for t, v in (("23521", "a_b-1"), ("23521", "c2"), ("9999", "r")))
    write("release/videos.csv", videos)
    write("release/videos_val.csv", f"23521,c2,{url}c2\n59684,d3,{url}d3\n")
    write("release/annotations/23521_c2.csv", "1,10.5,12.0\n3,20,25.25\n2,30,30\n")
    write("release/annotations/23521_a_b-1.csv", "2,1,2\n")
    return CrossTask(annotations=str(folder), **more)


def test_crosstask_gives_the_steps_of_the_validation_list(write: Write) -> None:
    first, second = crosstask(write).samples()  # d3 has no steps, the third step of c2 no length
    assert (first.label, first.start, first.end) == ("pour water", 10.5, 12.0)
    assert (second.label, second.id, second.media) == ("stir mixture", "crosstask/23521/c2/2", "c2.mp4")
    (train,) = crosstask(write, part="train").samples()
    assert (train.label, train.split, train.episode) == ("pour jello powder", "train", "a_b-1")


def test_crosstask_gives_tasks_of_primary_videos_once_each(write: Write) -> None:
    samples = list(crosstask(write, mode="task", part="all").samples())
    assert [(s.episode, s.label) for s in samples] == [
        ("a_b-1", "Make Jello Shots"),
        ("c2", "Make Jello Shots"),
        ("d3", "Build Simple Floating Shelves"),
    ]


def test_crosstask_refuses_other_files(write: Write) -> None:
    reader = crosstask(write)
    write("release/annotations/23521_c2.csv", "4,10.5,12.0\n")
    with pytest.raises(ManifestError, match=r"23521_c2.csv, line 1: step 4 of a task with 3 steps"):
        list(reader.samples())
    write("release/tasks_primary.txt", TASKS.replace("\n3\n", "\n4\n"))
    with pytest.raises(ManifestError, match=r"tasks_primary.txt, line 1: not the card of a task"):
        list(reader.samples())
    with pytest.raises(ManifestError, match="annotation file"):
        list(CrossTask(annotations="/nowhere").samples())


SYNSETS = "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane, derrick\n"
SOLUTION = "ImageId,PredictionString\nILSVRC2012_val_00048981,n03126707 85 1 499 272 n03126707 1 2 3 4\n"


def test_imagenet_reads_the_solution_and_tells_classes_of_one_name_apart(write: Write) -> None:
    (sample,) = ImageNet(synsets=write("s.txt", SYNSETS), annotations=write("v.csv", SOLUTION)).samples()
    assert sample.media == "ILSVRC2012_val_00048981.JPEG"
    assert sample.label == "crane, derrick"


def test_imagenet_reads_folders_of_classes(write: Write, tmp_path: Path) -> None:
    for name in ("n01440764/ILSVRC2012_val_00000293.JPEG", "n02012849/b.JPEG", "n02012849/readme.txt"):
        write(f"val/{name}", "")
    reader = ImageNet(synsets=write("s.txt", SYNSETS), media=str(tmp_path / "val"))
    assert [(s.media, s.label) for s in reader.samples()] == [
        ("n01440764/ILSVRC2012_val_00000293.JPEG", "tench"),
        ("n02012849/b.JPEG", "crane"),
    ]


def test_imagenet_takes_own_names_in_the_order_of_the_numbers_and_refuses_doubles(write: Write) -> None:
    shuffled = "".join(reversed(SYNSETS.splitlines(keepends=True)))
    files = {"synsets": write("s.txt", shuffled), "annotations": write("v.csv", SOLUTION)}
    (sample,) = ImageNet(**files, names=write("n.txt", "tench\ncrane bird\nconstruction crane\n")).samples()
    assert sample.label == "construction crane"
    with pytest.raises(ManifestError, match="lines 2 and 3: class name 'crane' stands there 2 times"):
        list(ImageNet(**files, names=write("n.txt", "tench\ncrane\ncrane\n")).samples())
    with pytest.raises(ManifestError, match="found 2 class names, expected 3"):
        list(ImageNet(**files, names=write("n.txt", "tench\ncrane\n")).samples())


def test_imagenet_says_what_it_needs(write: Write, tmp_path: Path) -> None:
    synsets = write("s.txt", SYNSETS)
    with pytest.raises(RecipeError, match="name one of them"):
        ImageNet(synsets=synsets)
    with pytest.raises(ManifestError, match="has no folder of a class such as 'n01440764'"):
        list(ImageNet(synsets=synsets, media=str(tmp_path)).samples())
    with pytest.raises(ManifestError, match="line 1: found '0 tench'"):
        list(ImageNet(synsets=write("i.txt", "0 tench\n"), annotations=write("v.csv", SOLUTION)).samples())
