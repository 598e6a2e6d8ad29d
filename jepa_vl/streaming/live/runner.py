"""`StreamRun`: texts of a video as it goes, decoded only when the policy says so."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jepa_vl.decoders.base import TextDecoder
from jepa_vl.errors import RecipeError
from jepa_vl.objectives.base import DECODE, GENERATE
from jepa_vl.streaming.base import Decode, EmbeddingStream, Follower, OnlinePolicy, Policy
from jepa_vl.streaming.embedding import batched
from jepa_vl.streaming.event import Event
from jepa_vl.streaming.live.background import Background
from jepa_vl.streaming.live.choice import choose_policy, choose_rate, is_uniform
from jepa_vl.streaming.live.encoding import WindowEncoder
from jepa_vl.streaming.live.recording import Recording
from jepa_vl.streaming.live.source import Source, open_source
from jepa_vl.streaming.live.steps import Steps
from jepa_vl.streaming.live.tally import Tally
from jepa_vl.streaming.live.windows import Window, Windows, check_windows
from jepa_vl.use.abilities import need

if TYPE_CHECKING:
    from jepa_vl.use.model import Model

AT_ONCE = 8  # windows of a file that are encoded together, of what comes more slowly those that are there
WAITING = 2  # windows of a live stream that wait for the model before the oldest is skipped


class StreamRun(Iterator[Event]):
    """Says what a video shows, when its meaning changes: an iterator of `Event`s, also `jepa_vl.stream`.

    Args:
        model: With a decoder, or one that generates; such a one has no embeddings to decide by, and speaks
            at a fixed stride.
        source: A path, a URL, ``camera:0``, or an iterator of (seconds, frame).
        policy: When to decode: a policy or its name. ``online`` by default; one that is not online looks at
            the whole video first.
        rate: Decodes a second, on average; 0.35 by default.
        threshold: Of the policy ``online``, in place of a rate.
        window: Seconds of a window.
        stride: Seconds from one window to the next.
        query: What is asked of each window.
        texts: What may be said, for a decoder that chooses among texts (`nearest`).
        live: Whether an iterator's frames come as time goes by; cameras and live URLs are known.
        timeout: Seconds after which a live source that gives nothing has stalled.
        record: Keep embeddings, scores and thumbnails, for a report; memory grows with the stream.

    Attributes:
        tally: Counts and times, up to now.
        policy: Decides.
        rate: Decodes a second that are asked for; None where a threshold decides.
        recording: What is kept for a report, if it is.
        source: What is read.

    Raises:
        UserError: The model cannot say anything, or the source cannot be read.
        RecipeError: The rate cannot be met, or the policy does not fit the model or the source.

    Example:
        >>> model = jepa_vl.load("runs/quickstart", decoder="runs/decoder")
        >>> for event in jepa_vl.stream(model, "walk.mp4"):
        ...     print(f"{event.time:.1f} s: {event.text}")
        2.5 s: the agent opens the red door
    """

    def __init__(
        self,
        model: Model,
        source: str | Path | Iterable[tuple[float, Any]] | Source,
        *,
        policy: str | Policy | None = None,
        rate: float | None = None,
        threshold: float | None = None,
        window: float = 1.0,
        stride: float = 0.5,
        query: str = "",
        texts: Sequence[str] | None = None,
        live: bool = False,
        timeout: float = 10.0,
        record: bool = False,
    ) -> None:
        check_windows(window, stride)
        self.rate = choose_rate(rate, threshold, stride)
        need(model.objective, GENERATE)
        self._embeds = DECODE in model.abilities
        self.policy = choose_policy(policy, threshold, embeds=self._embeds)
        self.source = open_source(source, live=live, timeout=timeout)
        self._window, self._stride, self._timeout = window, stride, timeout
        self._follower = self._start()
        if texts is not None:
            model.tell_texts(texts)
        decoder = getattr(model.objective, "decoder", None)
        if isinstance(decoder, TextDecoder):
            decoder.check_texts()  # not at the first text, which may come after hours
        self.tally = Tally(model.objective.device, notes=self.source.notes)
        self.recording = Recording() if record or self._follower is None else None
        self._encoder = WindowEncoder(model, query, self.tally)
        self._cut = Windows(self.source, model.preprocessing, window=window, stride=stride)
        self._waiting: Background[Window] | None = None
        self._events = self._run()

    def __next__(self) -> Event:
        """Return the next event.

        Raises:
            UserError: The source stalls, or an embedding is not finite.
        """
        begun = time.perf_counter()
        try:
            return next(self._events)
        finally:
            self.tally.wall += time.perf_counter() - begun
            self._count()

    @property
    def reached(self) -> float:
        """Second up to which the stream was read."""
        return self._cut.reached

    def embedded(self) -> EmbeddingStream:
        """Return what was recorded, as a stream of embeddings."""
        assert self.recording is not None
        return self.recording.stream(
            window=self._window, stride=self._stride, duration=self.reached, name=self.source.name
        )

    def close(self) -> None:
        """Stop reading."""
        self._events.close()
        self._count()

    def _start(self) -> Follower | None:
        """Return what decides as the stream goes; None where the whole of it is wanted first.

        Raises:
            RecipeError: The whole of a live stream is wanted.
        """
        if isinstance(self.policy, OnlinePolicy):
            return self.policy.start(rate=self.rate, window=self._window, stride=self._stride)
        if self.rate is not None and is_uniform(self.policy):
            return Steps(rate=self.rate, window=self._window, stride=self._stride)
        if self.source.live:
            raise RecipeError(
                f"policy '{self.policy.label}' looks at the whole video, and '{self.source.name}' is live; "
                "choose online or uniform"
            )
        return None

    def _run(self) -> Generator[Event]:
        most = 1 if self.source.live or not self._embeds else AT_ONCE
        if self.source.blocking:
            self._waiting = Background(
                self._cut,
                capacity=WAITING if self.source.live else AT_ONCE,
                drop=self.source.live,
                timeout=self._timeout + self._window + self._stride,
                name=self.source.name,
            )
            found = self._waiting.batches(most)
        else:
            found = batched(self._cut, most)
        try:
            if self._follower is None:
                yield from self._whole(self._timed(found))
            else:
                yield from self._as_it_goes(self._timed(found), self._follower)
        finally:
            if self._waiting is not None:
                self._waiting.close()

    def _as_it_goes(self, found: Iterator[list[Window]], follower: Follower) -> Iterator[Event]:
        window: Window | None = None
        for several in found:
            for window, embedding, seconds in self._embedded(several):
                begun = time.perf_counter() - seconds
                with self.tally.timed("policy"):
                    decode = follower.push(window.centre, embedding)
                    status = follower.status()
                if self.recording is not None:
                    self.recording.add(window, embedding, status)
                if decode is not None:
                    yield self._event(decode, window, begun, status.get("score"))
        last = follower.finish()
        if last is not None and window is not None:
            yield self._event(last, window, time.perf_counter(), follower.status().get("score"))

    def _whole(self, found: Iterator[list[Window]]) -> Iterator[Event]:
        assert self.recording is not None
        assert self.rate is not None
        window: Window | None = None
        for several in found:
            for window, embedding, _ in self._embedded(several):
                self.recording.add(window, embedding, {})
        if window is None:
            return
        begun = time.perf_counter()
        with self.tally.timed("policy"):
            decodes = self.policy.decide(self.embedded(), self.rate)
        for decode in decodes:
            # also what could have been decided as it went was not
            yield self._event(replace(decode, decided=self.reached), window, begun, None)

    def _embedded(self, windows: list[Window]) -> Iterator[tuple[Window, NDArray[np.float32], float]]:
        """Yield windows, their embeddings (none where the model has none) and the seconds that each took."""
        begun = time.perf_counter()
        nothing = np.zeros((len(windows), 0), dtype=np.float32)
        embeddings = self._encoder.embed(windows) if self._embeds else nothing
        seconds = (time.perf_counter() - begun) / len(windows)
        self.tally.windows += len(windows)
        for window, embedding in zip(windows, embeddings, strict=True):
            yield window, embedding, seconds

    def _event(self, decode: Decode, window: Window, begun: float, score: Any) -> Event:
        """Have a decode said; ``begun`` is when the computing for it began."""
        text = self._encoder.decode(decode.embedding) if self._embeds else self._encoder.say(window)
        self.tally.decodes += 1
        return Event(
            time=decode.at,
            start=decode.start,
            end=decode.end,
            text=text,
            decided=decode.decided,
            latency=decode.decided - decode.at + time.perf_counter() - begun,
            score=None if score is None else float(score),
        )

    def _timed(self, found: Iterator[list[Window]]) -> Iterator[list[Window]]:
        """Count the time of reading; that of a live stream is waiting."""
        while True:
            begun = time.perf_counter()
            several = next(found, None)
            passed = time.perf_counter() - begun
            if self.source.live:
                self.tally.waited += passed
            else:
                self.tally.phases["reading"] += passed
            if several is None:
                return
            yield several

    def _count(self) -> None:
        """Bring the tally up to date with what was read."""
        self.tally.gaps = self._cut.gaps
        self.tally.seconds = max(0.0, self._cut.reached - self._cut.begun)
        self.tally.behind = 0 if self._waiting is None else self._waiting.dropped


#: As users call it.
stream = StreamRun
