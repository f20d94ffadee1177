"""A client of a served model: arrays in, arrays out."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import requests

from eeg2fmri.datasets import region_names
from eeg2fmri.errors import RequestError, ServerError, one_line
from eeg2fmri.serving.arrays import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from nibabel import Nifti1Image

    from eeg2fmri.serving.replies import DataType

CLOSE = 1e-3  # mm by which two grids may differ
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Synthesised:
    """A reply.

    volumes: (n, x, y, z), scanner intensity.  affine: (4, 4), voxels to mm.  tr, start_time: s; the first volume starts
    `start_time` after the first sample of the EEG.  interpolated: channels of the model that the EEG lacked.
    """

    volumes: np.ndarray
    affine: np.ndarray
    tr: float
    start_time: float
    interpolated: tuple[str, ...]

    def image(self) -> Nifti1Image:
        """Return a 4-D NIfTI image, (x, y, z, n), with the time of a volume in its header."""
        import nibabel

        image: Any = nibabel.Nifti1Image(np.moveaxis(self.volumes, 0, 3).astype(np.float32), self.affine)
        image.header.set_zooms((*image.header.get_zooms()[:3], self.tr))
        image.header.set_xyzt_units("mm", "sec")
        return image


class Client:
    """A served model, by `eeg2fmri serve` or `mlflow models serve`.

    Parameters
    ----------
    address : of the server.
    timeout : seconds to wait for an answer.
    auth : user name and password, if a proxy asks for them.

    Examples
    --------
    >>> client = Client("http://127.0.0.1:5001")  # doctest: +SKIP
    >>> reply = client.synthesise(eeg, 250.0, channels)  # doctest: +SKIP
    >>> reply.image().to_filename("bold.nii.gz")  # doctest: +SKIP
    """

    def __init__(
        self, address: str = "http://127.0.0.1:5001", *, timeout: float = 60.0, auth: tuple[str, str] | None = None
    ) -> None:
        self._address, self._timeout = address.rstrip("/"), timeout
        self._session = requests.Session()
        self._session.auth = auth

    def synthesise(
        self,
        eeg: np.ndarray,
        sampling_rate: float,
        channels: Sequence[str] | None = None,
        *,
        max_interpolated: float = 0.0,
        dtype: DataType = "float32",
    ) -> Synthesised:
        """Synthesise every volume that clean EEG allows; time zero is its first sample.

        Parameters
        ----------
        eeg : (channels, samples) in µV, clean.
        sampling_rate : Hz.
        channels : names of the rows, in any order; ``None`` means the model's channels in its order.
        max_interpolated : share of the model's channels that may be missing; they are interpolated.
        dtype : of the volumes on their way; ``"float16"`` halves the reply and keeps 3 digits.

        Raises
        ------
        RequestError
            If the server refuses the request, with its reason; or if the arguments are no numbers.
        ServerError
            If it does not answer, or fails.
        """
        record = _eeg_record(eeg, sampling_rate, channels)
        share = _number("max_interpolated", max_interpolated)
        return self._volumes(record, {"max_interpolated": share, "dtype": dtype})

    def synthesise_windows(self, windows: np.ndarray, *, dtype: DataType = "float32") -> Synthesised:
        """Synthesise a volume from each EEG window, (C, F, T) or (n, C, F, T) as a store has them; errors as above."""
        return self._volumes({"windows_npy": _array("windows", windows)}, {"dtype": dtype})

    def courses(
        self,
        eeg: np.ndarray,
        sampling_rate: float,
        labels: Path | str | Nifti1Image,
        channels: Sequence[str] | None = None,
        *,
        max_interpolated: float = 0.0,
    ) -> pd.DataFrame:
        """Synthesise courses of the regions of a label image, without the volumes.

        Parameters
        ----------
        eeg, sampling_rate, channels, max_interpolated : as `synthesise`.
        labels : NIfTI file or image on the model's grid; 0 is no region.

        Returns
        -------
        A column per label, a row per volume; the index is the time in s from the first sample of the EEG. A column has
        the name of its label in the table beside the file of the image (BIDS: the same name with ``.tsv``, the columns
        ``index`` and ``name``); without one it has the number, as a text.

        Raises
        ------
        RequestError, ServerError
            As `synthesise`; also if the image cannot be read, is no label image, or has another affine than the model.
        DatasetError
            If the table of names cannot be read, or gives two labels one name.
        """
        import pandas as pd

        record = _eeg_record(eeg, sampling_rate, channels)
        image, values = _labels(labels)
        record["labels_npy"] = encode(values)
        file = image.get_filename()
        names = region_names(Path(file), values) if file else {}
        share = _number("max_interpolated", max_interpolated)
        reply = self._ask(record, {"reply": "courses", "max_interpolated": share})
        if not np.allclose(image.affine, reply["affine"], atol=CLOSE):
            raise RequestError(
                "labels: the image has another affine than the model; resample it to the model's (nearest neighbour)"
            )
        columns = [names.get(label, str(label)) for label in reply["regions"]]
        time = reply["start_time"] + reply["tr"] * np.arange(reply["shape"][0])
        return pd.DataFrame(reply["courses"], index=pd.Index(time, name="time"), columns=columns)

    def _volumes(self, record: dict[str, Any], params: dict[str, Any]) -> Synthesised:
        reply = self._ask(record, params)
        volumes = np.load(io.BytesIO(base64.b64decode(reply["volumes_npy"])), allow_pickle=False)
        affine, interpolated = np.asarray(reply["affine"]), tuple(reply["interpolated"])
        return Synthesised(volumes, affine, reply["tr"], reply["start_time"], interpolated)

    def _ask(self, record: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        try:
            body = json.dumps({"inputs": [record], "params": params})
        except TypeError as err:
            raise RequestError(f"channels or dtype: {one_line(err)}; give texts") from err
        try:
            answer = self._session.post(f"{self._address}/invocations", body, headers=JSON, timeout=self._timeout)
        except requests.RequestException as err:
            raise ServerError(f"{self._address}: no answer ({type(err).__name__}); start the server") from err
        if answer.ok:
            reply: dict[str, Any] = answer.json()["predictions"][0]
            return reply
        try:
            reason = str(answer.json()["message"])
        except (ValueError, KeyError, TypeError):
            reason = answer.reason
        kind = RequestError if answer.status_code < 500 else ServerError
        raise kind(f"{self._address}: status {answer.status_code}, {reason}")


def _eeg_record(eeg: np.ndarray, sampling_rate: float, channels: Sequence[str] | None) -> dict[str, Any]:
    record = {"eeg_npy": _array("eeg", eeg), "sampling_rate": _number("sampling_rate", sampling_rate)}
    if channels is None:
        return record
    if isinstance(channels, str) or not np.iterable(channels):
        raise RequestError(f"channels: {channels!r:.60}; give a list of names")
    return {**record, "channels": list(channels)}


def _array(name: str, values: np.ndarray) -> str:
    """Return an array as a field of a record."""
    try:
        return encode(np.asarray(values, np.float32))
    except (TypeError, ValueError, OverflowError) as err:
        raise RequestError(f"{name}: {one_line(err)}; give an array of numbers") from err


def _number(name: str, value: float) -> float:
    """Return a number of a record or option; JSON has no others than finite ones."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as err:
        raise RequestError(f"{name}: {one_line(err)}; give a number") from err
    if not np.isfinite(number):
        raise RequestError(f"{name}: {number}; give a finite number")
    return number


def _labels(given: Path | str | Nifti1Image) -> tuple[Any, np.ndarray]:
    """Return a label image and its values, int64."""
    import nibabel

    try:
        image: Any = nibabel.load(given) if isinstance(given, (str, Path)) else given
        values = np.asarray(image.dataobj)
    except Exception as err:  # nibabel, gzip and zlib each raise their own for a damaged file
        raise RequestError(f"labels: it cannot be read ({one_line(err)}); give a label image (NIfTI)") from err
    # Colours are records, complex values have no order.
    if values.dtype.kind not in "iufb" or not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise RequestError("labels: its values are not all whole numbers; give labels, no probabilities or colours")
    return image, values.astype(np.int64)
