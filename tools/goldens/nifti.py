"""Small NIfTI volumes of every data type and of many orientations, and what nibabel makes of them.

    python tools/goldens/nifti.py crates/pefomed-data/tests/fixtures/nifti

Pinned: nibabel 5.4.2, numpy 2.4.6. A picture is a slice of nibabel's `as_closest_canonical`, drawn
with the patient's right on the left.
"""

import json
import os
import sys

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1Image

SIZES = (7, 6, 5)


def rotation(a, b, c):
    def about(axis, angle):
        out = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        out[i, i] = out[j, j] = np.cos(angle)
        out[i, j], out[j, i] = -np.sin(angle), np.sin(angle)
        return out
    return about(0, a) @ about(1, b) @ about(2, c)


def volumes():
    rng = np.random.default_rng(2401)
    for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"):
        values = rng.integers(0, 100, SIZES).astype(dtype)
        yield f"type-{dtype}.nii", values, np.diag([1.0, 1, 1, 1]), {}
    base = rng.integers(-1000, 2000, SIZES).astype("i2")
    signs = ([-1, 1, 1], [1, -1, -1])
    for index, order in enumerate(([0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1])):
        for sign in signs:
            affine = np.zeros((4, 4))
            for stored, world in enumerate(order):
                affine[world, stored] = sign[stored] * (stored + 1)
            affine[:3, 3] = [10, -20, 30]
            affine[3, 3] = 1
            yield f"order-{index}{'-' if sign[1] < 0 else '+'}.nii", base, affine, {}
    oblique = np.eye(4)
    oblique[:3, :3] = rotation(0.3, -0.4, 0.5) @ np.diag([-1, 1, 2])
    yield "oblique.nii.gz", base, oblique, {}
    yield "quaternion.nii", base, oblique, {"qform": True}
    yield "no-form.nii", base, None, {}
    yield "big-endian.nii", base, np.eye(4), {"endian": ">"}
    yield "scaled.nii.gz", base, np.eye(4), {"scale": (0.25, -7.5)}
    yield "calibrated.nii", base, np.eye(4), {"cal": (-160.0, 240.0)}
    floats = base.astype("f4")
    floats[0, 0] = np.nan
    floats[1, 1, 1] = np.inf
    yield "not-numbers.nii", floats, np.eye(4), {}
    yield "series.nii.gz", np.stack([base, base[::-1], base // 2], -1), np.eye(4), {}
    rgb = np.zeros(SIZES, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for name in "RGB":
        rgb[name] = rng.integers(0, 256, SIZES)
    yield "colour.nii", rgb, np.diag([-1.0, 1, 1, 1]), {}


def picture(image, axis, index, volume, window):
    canonical = nibabel.as_closest_canonical(image)
    if canonical.get_data_dtype().names:
        data = np.asanyarray(canonical.dataobj)
        cut = np.take(data, index, axis)
        cut = np.stack([cut[name] for name in "RGB"], -1)
    else:
        data = np.asanyarray(canonical.dataobj).astype(np.float64)
        data = data[..., volume] if data.ndim == 4 else data
        finite = data[np.isfinite(data)]
        low, high = finite.min(), finite.max()
        header = image.header
        if window:
            low, high = window[0] - 0.5 - (window[1] - 1) / 2, window[0] - 0.5 + (window[1] - 1) / 2
        elif header["cal_min"] < header["cal_max"]:
            low, high = float(header["cal_min"]), float(header["cal_max"])
        cut = np.nan_to_num((np.take(data, index, axis) - low) / ((high - low) or 1.0), nan=0.0)
        cut = np.floor(np.clip(cut, 0, 1) * 255 + 0.5).astype(np.uint8)
        cut = np.repeat(cut[..., None], 3, -1)
    # [first, second, 3] with both axes rising; rows from the top, columns from the patient's right
    # (axial, coronal) or front (sagittal).
    return np.ascontiguousarray(cut.transpose(1, 0, 2)[::-1, ::-1])


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    pictures = {}
    for name, data, affine, options in volumes():
        header = Nifti1Header(endianness=options.get("endian", "<"))
        header.set_data_dtype(data.dtype)
        image = Nifti1Image(data, affine, header)
        if options.get("qform"):
            image.set_qform(affine, 1)
            image.set_sform(None, 0)
        elif affine is None:
            image.header["sform_code"] = image.header["qform_code"] = 0
        else:
            image.set_sform(affine, 1)
            image.set_qform(None, 0)
        if "cal" in options:
            image.header["cal_min"], image.header["cal_max"] = options["cal"]
        path = os.path.join(folder, name)
        if "scale" in options:
            image.header.set_slope_inter(*options["scale"])
            image = Nifti1Image(data * options["scale"][0] + options["scale"][1], affine, image.header)
            image.header.set_slope_inter(*options["scale"])
            image.set_data_dtype(np.int16)
        nibabel.save(image, path)
        read = nibabel.load(path)
        sizes = nibabel.as_closest_canonical(read).shape
        asked = [("", 2, sizes[2] // 2, 0, None)]
        if name.startswith(("order", "oblique", "quaternion", "no-form", "colour")):
            asked += [("#axis=x&slice=2", 0, 1, 0, None), ("#axis=y&slice=4", 1, 3, 0, None)]
        if name.startswith("series"):
            asked += [("#frame=3&slice=1", 2, 0, 2, None)]
        if name.startswith("oblique"):
            asked += [("#window=lung", 2, sizes[2] // 2, 0, (-600, 1500))]
        for view, axis, index, volume, window in asked:
            rgb = picture(read, axis, index, volume, window)
            pictures[name + view] = {"size": rgb.shape[1::-1], "rgb": rgb.tobytes().hex()}
    with open(os.path.join(folder, "nifti.json"), "w") as file:
        json.dump({"nibabel": nibabel.__version__, "pictures": pictures}, file, indent=0)
        file.write("\n")


main()
