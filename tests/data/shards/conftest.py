"""Small prepared sets, of the manifests and encoders of tests/data."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jepa_vl.data.catalogue import Catalogue
from jepa_vl.data.shards.description import Features, Frames
from jepa_vl.data.shards.preparing import Preparation, prepare
from jepa_vl.data.shards.store import open_store

TWO_CLIPS = 24  # bytes of a shard of two clips of the tiny encoder's tokens, in bfloat16

Prepare = Callable[..., Path]


def preparation(
    manifest: Path,
    encoder: Any,
    *,
    features: bool = True,
    stills: tuple[str, ...] = ("test",),
    **options: Any,
) -> Preparation:
    """What is to be prepared; the kind of numbers or pictures among the options."""
    if features:
        kind: Features | Frames = Features(
            encoder=type(encoder).__name__,
            fingerprint=encoder.fingerprint(),
            grid=encoder.grid,
            dim=encoder.dim,
            dtype=options.pop("dtype", "bfloat16"),
        )
    else:
        kind = options.pop("frames", Frames(codec="png"))
        stills = ()
    return Preparation(
        catalogue=Catalogue([manifest]),
        preprocessing=encoder.preprocessing,
        kind=kind,
        encoder=encoder if features else None,
        stills=stills,
        **{"shard_size": TWO_CLIPS if features else 300, **options},
    )


@pytest.fixture
def prepare_set(tmp_path: Path, objective: Any) -> Prepare:
    """``prepare_set(manifest, features=…, output=…)`` → the folder of the set, or its URL."""

    def make(manifest: Path, *, output: str = "set", encoder: Any = None, **options: Any) -> Any:
        encoder = encoder or objective.vision_encoder
        place = output if "://" in output else tmp_path / output
        prepare(preparation(manifest, encoder, **options), open_store(place))
        return place

    return make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Endpoint of a server on this machine that speaks S3's protocol."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty bucket; who it belongs to stands in the environment."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    name = f"bucket-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"
