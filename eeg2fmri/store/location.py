"""Location of a store: a folder of a local disk, or an fsspec URL such as ``s3://bucket/store``.

Credentials and endpoints of a URL come from the environment, as its fsspec driver documents them
(``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, … for S3).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from eeg2fmri.errors import MissingExtraError, StoreError, one_line, without_secrets
from eeg2fmri.server import check_place

METADATA = "zarr.json"
BUCKETS = ("s3://", "s3a://", "gs://", "gcs://")


@dataclass(frozen=True)
class Location:
    """Address of a store, as the user gave it."""

    address: str = field(repr=False)

    @classmethod
    def of(cls, where: str | Path | Location) -> Location:
        """Take a path, a URL, or a location as it is.

        Raises
        ------
        StoreError
            If it holds a key, which the drivers of object stores read as a part of the bucket's name.
        """
        if isinstance(where, Location):
            return where
        address = str(where).removeprefix("file://")
        if address.startswith(BUCKETS) and "@" in address:
            raise StoreError(f"{address}: its user or key is not used; set AWS_ACCESS_KEY_ID and the like instead")
        return cls(address)

    def __str__(self) -> str:
        """Return the address for people and logs, without passwords."""
        return without_secrets(self.address)

    @property
    def is_url(self) -> bool:
        """Return whether it is an fsspec URL rather than a local folder."""
        return "://" in self.address

    @property
    def name(self) -> str:
        """Return the last part of the address."""
        return self.address.rstrip("/").rsplit("/", 1)[-1]

    @property
    def one_process_only(self) -> bool:
        """Return whether other processes cannot see it."""
        return self.address.startswith("memory://")

    def absolute(self) -> Location:
        """Return the same place, independent of the working directory of the process that opens it."""
        return self if self.is_url else Location(str(Path(self.address).absolute()))

    def is_file(self) -> bool:
        """Return whether there is a file."""
        files, path = self._files()
        return bool(self._ask(files.isfile, path))

    def entries(self) -> list[str]:
        """Return the names directly below, sorted; none if there is nothing."""
        files, path = self._files()
        files.invalidate_cache()  # other processes write too
        if not self._ask(files.exists, path):
            return []
        found = self._ask(files.ls, path, detail=False)
        return sorted({str(name).rstrip("/").rsplit("/", 1)[-1] for name in found})

    def child(self, name: str) -> Location:
        """Return the place `name` below this one."""
        return Location(f"{self.address.rstrip('/')}/{name}")

    def remove(self) -> None:
        """Remove what is there, with everything below."""
        files, path = self._files()
        self._ask(files.rm, path, recursive=True)

    def metadata(self) -> dict[str, Any] | None:
        """Read attributes of the root group; ``None`` without one.

        Raises
        ------
        StoreError
            If it exists and cannot be read.
        """
        files, path = self._files()
        try:
            content = self._ask(files.cat_file, f"{path.rstrip('/')}/{METADATA}")
        except StoreError as err:
            if isinstance(err.__cause__, (FileNotFoundError, NotADirectoryError)):
                return None
            raise
        try:
            return dict(json.loads(content)["attributes"])
        except (ValueError, KeyError, TypeError) as err:
            raise StoreError(
                f"{self}: its {METADATA} is damaged ({type(err).__name__}); delete the store and preprocess again"
            ) from err

    def open(self, mode: Literal["r", "w"]) -> Any:
        """Open the group, to read it, or make a new and empty one."""
        zarr = _fast_zarr()
        return self._ask(zarr.open_group, self._zarr, mode=mode)

    def write_attributes(self, attributes: dict[str, Any]) -> None:
        """Write the attributes of the group in one step, new or old."""
        zarr = _fast_zarr()
        if self.metadata() is None:
            self._ask(zarr.create_group, self._zarr, attributes=attributes)
        else:
            self._ask(zarr.open_group, self._zarr, mode="r+").attrs.put(attributes)

    @property
    def _zarr(self) -> str | Path:
        return self.address if self.is_url else Path(self.address)

    def _files(self) -> tuple[Any, str]:
        import fsspec

        check_place(self.address, StoreError)
        found: tuple[Any, str] = self._ask(fsspec.url_to_fs, self.address)
        return found

    def _ask(self, call: Any, *arguments: Any, **options: Any) -> Any:
        """Call a driver; drivers raise many kinds of error if there is no answer, and all mean the same here."""
        try:
            return call(*arguments, **options)
        except ImportError as err:
            extra = "; pip install 'eeg2fmri[s3]'" if self.address.startswith("s3://") else ""
            raise MissingExtraError(f"{self}: {err}{extra}") from err
        except Exception as err:
            found = f"cannot be opened ({one_line(err)})"
            raise StoreError(f"{self}: {found}; check the address and the access rights") from err


def _fast_zarr() -> Any:
    """Return Zarr; from now on `zarrs` moves its chunks on local disks, in a third of the time.

    Other places stay with Zarr's own pipeline.
    """
    import zarr

    # One thread: chunks are small, and the workers of a preprocessing share the cores.
    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": 1})
    return zarr
