"""A prepared set on object storage, in Amazon S3 or what speaks its protocol."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from jepa_vl.data.shards.store import SCRATCH, Store
from jepa_vl.errors import UserError

#: A store that does not answer is given up after about a minute, not after boto3's many retries.
PATIENCE = {
    "connect_timeout": 5,
    "read_timeout": 30,
    "retries": {"total_max_attempts": 3, "mode": "standard"},
}
MISSING = ("404", "NoSuchKey", "NotFound")


class BucketStore(Store):
    """Objects under ``s3://bucket/prefix``.

    Credentials, region and endpoint come from where every AWS tool has them (``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``, ``~/.aws``), or from ``options``.

    Args:
        url: ``s3://bucket/prefix``.
        options: What boto3's client is given besides the environment.

    Raises:
        UserError: The URL names no bucket.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.place = url.rstrip("/")
        self.bucket, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        if not self.bucket:
            raise UserError(f"'{url}' names no bucket; expected s3://bucket/prefix")
        self.prefix = f"{prefix}/" if prefix else ""
        self.options = dict(options)
        self._client: Any = None
        self._process = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    @property
    def client(self) -> Any:
        """The client of this process: one that was made before a fork must not be used."""
        if self._client is None or self._process != os.getpid():
            import boto3
            from botocore.config import Config

            try:
                self._client = boto3.client("s3", **{"config": Config(**PATIENCE), **self.options})
            except Exception as error:
                self._fail(error)
            self._process = os.getpid()
        return self._client

    def names(self) -> set[str]:
        """Return the name of every object under the prefix."""
        found: set[str] = set()
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            for page in pages:
                found.update(entry["Key"].removeprefix(self.prefix) for entry in page.get("Contents", ()))
        except Exception as error:
            self._fail(error)
        return found

    def read(self, name: str) -> bytes | None:
        """Return what an object holds; None where there is none."""
        try:
            return self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
        except Exception as error:
            if _code(error) in MISSING:
                return None
            self._fail(error)

    def put(self, file: Path, name: str) -> None:
        """Upload a file; an object appears when all of it is there."""
        try:
            self.client.upload_file(str(file), self.bucket, self.prefix + name)
        except Exception as error:
            self._fail(error)

    def fetch(self, name: str, target: Path) -> None:
        """Download an object."""
        try:
            # download_file writes to a name of its own, which a kill would leave and no limit would count
            with target.open("wb") as file:
                self.client.download_fileobj(self.bucket, self.prefix + name, file)
        except OSError:
            raise
        except Exception as error:
            if _code(error) in MISSING:
                raise UserError(f"'{self.place}': there is no '{name}' in it") from None
            self._fail(error)

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        try:
            self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)
        except Exception as error:
            self._fail(error)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder of this machine."""
        with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder:
            yield Path(folder)

    def sweep(self) -> None:
        """Nothing: an upload that was cut off is no object."""

    def _fail(self, error: Exception) -> NoReturn:
        where = self.options.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL") or "Amazon S3"
        reason = str(error).removeprefix("An error occurred ")
        raise UserError(
            f"'{self.place}' cannot be used: {where} said: {reason}. Endpoint, region and credentials come "
            "from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL, or from "
            "'storage_options' of the recipe's data"
        ) from error


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
