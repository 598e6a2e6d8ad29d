"""Sources: what is odd about a video is noted or refused in one message, and what can be read is read."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from jepa_vl.errors import RecipeError, UserError
from jepa_vl.streaming.live.source import Source, open_source
from jepa_vl.vision.base import Preprocessing

READ = Preprocessing(size=(8, 8), num_frames=4, interpolation="nearest")
Write = Callable[..., Path]


def colours(source: Source) -> list[tuple[float, tuple[int, ...]]]:
    return [(p.time, tuple((p.fit(READ).float().mean(dim=(1, 2)) > 127).int().tolist())) for p in source]


RED, GREEN, BLUE = (1, 0, 0), (0, 1, 0), (0, 0, 1)


def test_frames_come_with_their_seconds_and_at_the_size_of_the_encoder(
    write_video: Write, tmp_path: Path
) -> None:
    source = open_source(write_video(tmp_path / "a.mp4", [("red", 2), ("blue", 1)]))
    assert colours(source) == [(0.0, RED), (0.25, RED), (0.5, BLUE)]
    assert (source.live, source.notes, source.length) == (False, [], 0.75)


def test_nothing_is_read_ahead_of_what_is_asked_for() -> None:
    read = []

    def endless() -> Iterator[tuple[float, np.ndarray]]:
        for i in range(10**9):
            read.append(i)
            yield i / 4, np.zeros((4, 4, 3), np.uint8)

    source = iter(open_source(endless()))
    next(source)
    next(source)
    assert len(read) == 2


def test_a_variable_frame_rate_keeps_its_times(write_video: Write, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", [("red", 1), ("blue", 2)], rate=10, stamps=[0, 3, 20])
    assert colours(open_source(video)) == [(0.0, RED), (pytest.approx(0.3), BLUE), (pytest.approx(2.0), BLUE)]


def test_files_that_were_joined_may_change_size_and_their_time_goes_on(
    write_video: Write, tmp_path: Path
) -> None:
    small = write_video(tmp_path / "a.ts", [("red", 8)], size=32)
    large = write_video(tmp_path / "b.ts", [("green", 8)], size=64, rate=8)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    source = open_source(joined)
    found = colours(source)
    times = [time for time, _ in found]
    assert times == sorted(set(times))
    assert [colour for _, colour in found] == [RED] * 8 + [GREEN] * 8
    assert "jumped back" in source.notes[0]


@pytest.mark.parametrize("kind", ["mkv", "ts"])
def test_of_a_file_that_was_cut_off_what_is_there_counts_with_one_warning(
    kind: str, write_video: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    whole = write_video(tmp_path / f"whole.{kind}", noise)
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source = open_source(cut)
    assert 10 < len(list(source)) < 30
    if kind == "mkv":  # a transport stream does not say how long it should be
        assert len(source.notes) == len(caplog.records) == 1
        assert "what was there counts" in source.notes[0]


def test_an_early_end_is_noted_where_the_header_announces_more(write_video: Write, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "whole.mp4", noise, options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source = open_source(cut)
    assert 10 < len(list(source)) < 30
    assert len(source.notes) == 1


def test_damaged_packets_cost_no_more_than_their_frames(write_video: Write, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    content = bytearray(write_video(tmp_path / "a.ts", noise).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    damaged = tmp_path / "damaged.ts"
    damaged.write_bytes(content)
    times = [picture.time for picture in open_source(damaged)]
    assert len(times) > 25
    assert times[-1] > 9.0  # it goes on behind the damage


def test_a_file_without_a_video_track_is_refused(tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(UserError, match="no video track"):
        open_source(sound)


def test_what_is_not_there_is_said_with_what_is(write_video: Write, tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", [("red", 1)])
    with pytest.raises(UserError, match=r"walk\.mp4"):
        open_source(tmp_path / "wlk.mp4")
    with pytest.raises(UserError, match="it is a folder"):
        open_source(tmp_path)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UserError, match="corrupt or of an unknown format"):
        open_source(tmp_path / "text.mp4")


def test_a_camera_that_is_not_there_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(UserError, match=r"no camera 'camera:77' \(/dev/video77\)"):
        open_source("camera:77")


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
def test_a_timeout_that_is_no_time_is_refused(timeout: float) -> None:
    with pytest.raises(RecipeError, match="timeout"):
        open_source("walk.mp4", timeout=timeout)


def test_an_iterator_that_yields_something_else_is_refused() -> None:
    with pytest.raises(UserError, match=r"pairs \(seconds, frame\), found a ndarray"):
        list(open_source([np.zeros((4, 4, 3))]))  # type: ignore[list-item]


@contextmanager
def stalling(content: bytes) -> Iterator[str]:
    """Serve a part of a file, then nothing, with the connection open."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + content)
            done.wait(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/live.ts"
    finally:
        done.set()
        server.close()
        thread.join(5)


def test_a_url_that_stalls_is_an_error_after_the_timeout(write_video: Write, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 64, 64, 3), dtype=np.uint8)
    content = write_video(tmp_path / "a.ts", noise).read_bytes()
    with stalling(content) as url:
        source = open_source(url, timeout=1.0)
        read = []
        with pytest.raises(UserError, match=r"live\.ts' stalled: nothing came for 1 s"):
            read.extend(colours(source))


def test_a_url_that_nobody_answers_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UserError, match="cannot read 'http"):
        open_source(f"http://127.0.0.1:{port}/a.ts", timeout=1.0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_read_as_it_is_filled(write_video: Write, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.ts", [("red", 4)])
    pipe = tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    threading.Thread(
        target=lambda: shutil.copyfileobj(video.open("rb"), pipe.open("wb")), daemon=True
    ).start()
    source = open_source(pipe)
    assert source.blocking
    assert [colour for _, colour in colours(source)] == [RED] * 4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("begun", [False, True], ids=["nobody writes", "a header and no more"])
def test_a_pipe_that_stalls_before_its_first_frame_is_an_error(
    begun: bool, write_video: Write, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe.mkv"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if begun else None  # so that it can be written to
    writer = os.open(pipe, os.O_WRONLY) if begun else None
    if writer is not None:
        os.write(writer, write_video(tmp_path / "a.mkv", [("red", 4)]).read_bytes()[:200])
    with pytest.raises(UserError, match=r"pipe\.mkv' stalled: nothing came for"):
        open_source(pipe, timeout=0.3)
    # let the thread that waits go
    os.close(os.open(pipe, os.O_WRONLY) if writer is None else writer)
    if reader is not None:
        os.close(reader)
