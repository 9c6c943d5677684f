"""Small DICOM files of every kind that is read, and what pydicom makes of them.

    python tools/goldens/dicom.py crates/pefomed-data/tests/fixtures/dicom
    python tools/goldens/dicom.py --shipped shipped.json     # pydicom's own test files

Pinned: pydicom 3.0.2, numpy 2.4.6, pillow 13.0.0, pylibjpeg 2.1.0, pylibjpeg-libjpeg 2.5.0,
pylibjpeg-openjpeg 2.6.0, pyjpegls 1.5.1 (CharLS), imagecodecs 2026.3.6 (libjpeg-turbo, for
12 bits).

The files are written here, down to the lossless JPEG encoder. What they look like is pydicom's word:
pixel_array, apply_modality_lut, apply_voi_lut or apply_color_lut, and colours converted to RGB; then
grey is scaled to 8 bits by the ends of the window. Only presets, padding and MONOCHROME1, which
pydicom leaves to its callers, are worked out here.
"""

import argparse
import copy
import glob
import io
import itertools
import json
import math
import os
import warnings

import imagecodecs
import jpeg_ls
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000Lossless, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, RLELossless, DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian,
)

warnings.simplefilter("ignore")
ROWS, COLUMNS = 12, 18
PRESETS = {"lung": (-600, 1500), "bone": (400, 1800)}


# --- writing -------------------------------------------------------------------------------------

def lossless_jpeg(image, bits):
    """ITU-T T.81, process 14 with predictor 1; all 17 categories have codes of five bits."""
    out = bytearray(b"\xff\xd8")
    out += b"\xff\xc3" + (11).to_bytes(2, "big") + bytes([bits])
    out += image.shape[0].to_bytes(2, "big") + image.shape[1].to_bytes(2, "big") + b"\x01\x01\x11\x00"
    out += b"\xff\xc4" + (2 + 1 + 16 + 17).to_bytes(2, "big") + b"\x00"
    out += bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    out += b"\xff\xda" + (8).to_bytes(2, "big") + b"\x01\x01\x00\x01\x00\x00"
    text = ""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            before = (
                int(image[y, x - 1]) if x else int(image[y - 1, 0]) if y else 1 << (bits - 1)
            )
            difference = (int(image[y, x]) - before + 32768) % 65536 - 32768
            size = 16 if difference == -32768 else abs(difference).bit_length()
            text += format(size, "05b")
            if 0 < size < 16:
                text += format(difference if difference > 0 else difference + (1 << size) - 1, f"0{size}b")
    text += "1" * (-len(text) % 8)
    coded = int(text, 2).to_bytes(len(text) // 8, "big")
    return bytes(out + coded.replace(b"\xff", b"\xff\x00") + b"\xff\xd9")


def new(syntax, array, photometric, bits, signed=False, **attributes):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1"
    meta.TransferSyntaxUID = syntax
    ds = FileDataset(
        "", {}, file_meta=meta, preamble=bytes(128), is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality = attributes.pop("Modality", "CT")
    ds.PatientName = "Doe^Jane"
    colour = photometric not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    frames = array.shape[:-3] if colour else array.shape[:-2]
    ds.Rows, ds.Columns = array.shape[-3:-1] if colour else array.shape[-2:]
    if frames:
        ds.NumberOfFrames = str(frames[0])
    ds.SamplesPerPixel = 3 if colour else 1
    if colour:
        ds.PlanarConfiguration = attributes.pop("planar", 0)
        if ds.PlanarConfiguration:
            array = np.moveaxis(array, -1, -3)
    ds.PhotometricInterpretation = photometric
    ds.BitsAllocated = 8 * array.dtype.itemsize
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, int(signed)
    raw = attributes.pop("raw", None)
    coded = attributes.pop("coded", None)
    for name, value in attributes.items():
        setattr(ds, name, value)
    if coded is not None:
        ds.PixelData = encapsulate(coded)
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    else:
        data = array.astype(array.dtype.newbyteorder(">")) if syntax == ExplicitVRBigEndian else array
        data = raw if raw is not None else data.tobytes()
        data += b"\0" * (len(data) % 2)
        if syntax == ExplicitVRBigEndian and array.dtype.itemsize == 1:
            data = np.frombuffer(data, np.uint8).reshape(-1, 2)[:, ::-1].tobytes()
        ds.PixelData = data
        ds["PixelData"].VR = "OW" if array.dtype.itemsize > 1 or syntax == ExplicitVRBigEndian else "OB"
    return ds


def table(first, values, bits, explanation="made up"):
    item = Dataset()
    item.LUTDescriptor = [len(values) % 65536, first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTExplanation = explanation
    item.LUTData = np.asarray(values, "<u2").tobytes()
    item["LUTData"].VR = "OW"
    return Sequence([item])


def item(**attributes):
    ds = Dataset()
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


def kinds():
    rng = np.random.default_rng(2401)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    smooth = (np.sin(x / 3) + np.cos(y / 4) + 2) / 4
    noise = rng.random((ROWS, COLUMNS))
    ct = np.round(smooth * 3000 - 1100 + 40 * noise).astype(np.int16)
    twelve = np.round(smooth * 3900 + 100 * noise).astype(np.uint16)
    eight = np.round(smooth * 230 + 20 * noise).astype(np.uint8)
    colour = np.stack([eight, 255 - eight, np.round(noise * 255).astype(np.uint8)], -1)
    window = dict(WindowCenter="40", WindowWidth="400")
    rescale = dict(RescaleSlope="1.5", RescaleIntercept="-1024")
    E = ExplicitVRLittleEndian
    yield "ct", new(E, ct, "MONOCHROME2", 16, True, RescaleSlope="1", RescaleIntercept="0", **window), ["", "lung", "bone", "-100,50.5", "range"]
    yield "rescaled", new(E, twelve, "MONOCHROME2", 12, **rescale, WindowCenter=["700", "1"], WindowWidth=["2500", "2"]), [""]
    yield "exact", new(E, twelve, "MONOCHROME2", 12, **rescale, **window, VOILUTFunction="LINEAR_EXACT"), [""]
    yield "sigmoid", new(E, twelve, "MONOCHROME2", 12, **rescale, WindowCenter="900", WindowWidth="700.5", VOILUTFunction="SIGMOID"), [""]
    yield "inverted", new(E, twelve, "MONOCHROME1", 12, Modality="CR", WindowCenter="2000", WindowWidth="3000"), [""]
    yield "no-window", new(E, twelve, "MONOCHROME2", 12, Modality="MR"), [""]
    padded = ct.copy()
    padded[:3] = -2000
    yield "padding", new(E, padded, "MONOCHROME2", 16, True, PixelPaddingValue=-2000, RescaleSlope="2", RescaleIntercept="3"), [""]
    yield "modality-table", new(E, twelve, "MONOCHROME2", 12, Modality="CR", ModalityLUTSequence=table(64, [min(65535, i * i // 200) for i in range(3600)], 16), WindowCenter="20000", WindowWidth="50000"), [""]
    yield "voi-table", new(E, ct, "MONOCHROME2", 16, True, RescaleSlope="1", RescaleIntercept="0", VOILUTSequence=table(-900, [int(4095 * (i / 2399) ** 0.7) for i in range(2400)], 12), **window), [""]
    yield "eight", new(E, eight, "MONOCHROME2", 8, Modality="US"), [""]
    bits = (noise > 0.5).astype(np.uint8)
    two = np.stack([bits, 1 - bits])
    yield "one-bit", new(E, two, "MONOCHROME2", 1, Modality="SEG", BitsAllocated=1, raw=np.packbits(two.ravel(), bitorder="little").tobytes()), ["", "frame=2"]
    thirty = np.round(smooth * 4e9).astype(np.uint32)
    yield "thirty-two", new(E, thirty, "MONOCHROME2", 32, Modality="RTDOSE"), [""]
    three = np.stack([twelve, twelve[::-1], twelve[:, ::-1]])
    groups = [item(FrameVOILUTSequence=Sequence([item(WindowCenter=str(800 + 300 * i), WindowWidth="1500")])) for i in range(3)]
    shared = item(PixelValueTransformationSequence=Sequence([item(RescaleSlope="2", RescaleIntercept="-500")]))
    yield "enhanced", new(E, three, "MONOCHROME2", 12, Modality="MR", SharedFunctionalGroupsSequence=Sequence([shared]), PerFrameFunctionalGroupsSequence=Sequence(groups)), ["", "frame=2", "frame=3"]
    yield "rgb", new(E, colour, "RGB", 8, Modality="US"), [""]
    yield "rgb-planes", new(E, colour, "RGB", 8, Modality="US", planar=1), [""]
    yield "rgb-sixteen", new(E, (colour.astype(np.int64) * 257 - 5 * (colour > 0)).astype(np.uint16), "RGB", 16, Modality="OT"), [""]
    yield "ybr", new(E, colour, "YBR_FULL", 8, Modality="US"), [""]
    halved = np.stack([colour[:, 0::2, 0], colour[:, 1::2, 0], colour[:, 0::2, 1], colour[:, 0::2, 2]], -1)
    yield "ybr-halved", new(E, colour, "YBR_FULL_422", 8, Modality="US", raw=halved.tobytes()), [""]
    for depth in (8, 16):
        ramp = np.arange(256)
        lists = [ramp, 255 - ramp, ramp * 37 % 256]
        lists = [(l * 257 - 100 * (l > 0)).astype("<u2") if depth == 16 else l.astype(np.uint8) for l in lists]
        ds = new(E, eight, "PALETTE COLOR", 8, Modality="US")
        for name, values in zip(("Red", "Green", "Blue"), lists):
            setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [256, 0, depth])
            ds[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
            setattr(ds, f"{name}PaletteColorLookupTableData", values.tobytes())
        yield f"palette-{depth}", ds, [""]
    yield "implicit", new(ImplicitVRLittleEndian, ct, "MONOCHROME2", 16, True, RescaleSlope="1", RescaleIntercept="0", **window, VOILUTSequence=table(-900, range(0, 2000), 12)), [""]
    yield "big-endian", new(ExplicitVRBigEndian, ct, "MONOCHROME2", 16, True, **window), [""]
    yield "big-endian-eight", new(ExplicitVRBigEndian, eight, "MONOCHROME2", 8, Modality="US"), [""]
    yield "deflated", new(DeflatedExplicitVRLittleEndian, twelve, "MONOCHROME2", 12), [""]
    for name, array, photometric, depth, signed in (("rle", ct, "MONOCHROME2", 16, True), ("rle-rgb", colour, "RGB", 8, False)):
        ds = new(E, array, photometric, depth, signed, Modality="MR")
        ds.compress(RLELossless)
        yield name, ds, [""]
    ds = new(E, three, "MONOCHROME2", 12, Modality="MR")
    ds.compress(RLELossless)
    yield "rle-frames", ds, ["frame=3"]
    for name, array, mode in (("jpeg", eight, "L"), ("jpeg-rgb", colour, "RGB")):
        buffer = io.BytesIO()
        Image.fromarray(array, mode).save(buffer, "jpeg", quality=90, subsampling=0)
        yield name, new(JPEGBaseline8Bit, array, "YBR_FULL" if mode == "RGB" else "MONOCHROME2", 8, Modality="US", coded=[buffer.getvalue()]), [""]
    for name, sampling in (("jpeg-422", 1), ("jpeg-420", 2)):
        buffer = io.BytesIO()
        Image.fromarray(colour, "RGB").save(buffer, "jpeg", quality=90, subsampling=sampling)
        yield name, new(JPEGBaseline8Bit, colour, "YBR_FULL_422" if sampling == 1 else "YBR_FULL", 8, Modality="US", coded=[buffer.getvalue()]), [""]
    deep = [imagecodecs.jpeg8_encode(twelve, level=90, bitspersample=12)]
    yield "jpeg-extended", new(JPEGExtended12Bit, twelve, "MONOCHROME2", 12, Modality="DX", coded=deep), [""]
    # Two frames whose fragments are cut: the table of offsets tells where the second begins.
    buffers = []
    for array in (eight, eight[::-1]):
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(array), "L").save(buffer, "jpeg", quality=90)
        buffers.append(buffer.getvalue())
    ds = new(JPEGBaseline8Bit, np.stack([eight, eight]), "MONOCHROME2", 8, Modality="US", coded=buffers)
    ds.PixelData = encapsulate(buffers, fragments_per_frame=3, has_bot=True)
    yield "jpeg-fragments", ds, ["", "frame=2"]
    yield "jpeg-lossless", new(JPEGLosslessSV1, ct, "MONOCHROME2", 16, True, Modality="MR", coded=[lossless_jpeg(ct.view(np.uint16), 16)]), [""]
    yield "jpeg-lossless-12", new(JPEGLosslessSV1, twelve, "MONOCHROME2", 12, Modality="DX", coded=[lossless_jpeg(twelve, 12)]), [""]
    for name, array, photometric, depth, signed in (
        ("jpeg2000", ct, "MONOCHROME2", 16, True),
        ("jpeg2000-12", twelve, "MONOCHROME2", 12, False),
        ("jpeg2000-rgb", colour, "RGB", 8, False),
    ):
        # Six resolutions need a larger picture.
        array = np.tile(array, (3, 2) + (1,) * (array.ndim - 2))
        ds = new(E, array, photometric, depth, signed, Modality="MR")
        ds.compress(JPEG2000Lossless)
        yield name, ds, [""]


def jpeg_ls_kinds():
    """Flat ground, a disc, an edge and noise: runs that end at a line and inside of one, and every context."""
    rng = np.random.default_rng(87)
    y, x = np.mgrid[:40, :56]
    shape = ((y - 18) ** 2 + (x - 20) ** 2 < 180) * (0.5 + 0.3 * np.sin(x / 3) * np.cos(y / 2))
    shape = shape + (x > 45) * 0.4 * rng.random((40, 56)) + (y > 34) * 0.2
    shape = np.clip(shape, 0, 1)
    ct = np.round(shape * 3000 - 1100).astype(np.int16)
    twelve = np.round(shape * 4095).astype(np.uint16)
    sixteen = np.round(shape * 65535).astype(np.uint16)
    eight = np.round(shape * 255).astype(np.uint8)
    colour = np.stack([eight, np.roll(eight, 7, 1), np.where(eight > 100, 250, 3).astype(np.uint8)], -1)
    window = dict(WindowCenter="40", WindowWidth="400")

    def coded(array, bits, error=0, mode=0):
        # CharLS takes lines, like pixels, from samples that lie by pixel, whatever its wrapper says.
        samples = 3 if array.ndim == 3 else 1
        if samples == 3 and mode == 0:
            array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
        return [bytes(jpeg_ls.encode_buffer(
            array.tobytes(), 40, 56, samples, bits, lossy_error=error, interleave_mode=mode,
        ))]

    S, N = JPEGLSLossless, JPEGLSNearLossless
    yield "jpeg-ls", new(S, ct, "MONOCHROME2", 16, True, coded=coded(ct.view(np.uint16), 16), RescaleSlope="1", RescaleIntercept="0", **window), ["", "lung", "range"]
    yield "jpeg-ls-2", new(S, eight // 64, "MONOCHROME2", 2, Modality="US", coded=coded(eight // 64, 2)), [""]
    yield "jpeg-ls-8", new(S, eight, "MONOCHROME2", 8, Modality="US", coded=coded(eight, 8)), [""]
    yield "jpeg-ls-12", new(S, twelve, "MONOCHROME2", 12, Modality="DX", coded=coded(twelve, 12)), [""]
    yield "jpeg-ls-16", new(S, sixteen, "MONOCHROME2", 16, Modality="DX", coded=coded(sixteen, 16)), [""]
    yield "jpeg-ls-near-8", new(N, eight, "MONOCHROME2", 8, Modality="US", coded=coded(eight, 8, 2)), [""]
    yield "jpeg-ls-near-12", new(N, twelve, "MONOCHROME2", 12, Modality="DX", coded=coded(twelve, 12, 7)), [""]
    for mode, name in enumerate(("planes", "lines", "pixels")):
        yield f"jpeg-ls-rgb-{name}", new(S, colour, "RGB", 8, Modality="US", planar=int(mode == 0), coded=coded(colour, 8, 0, mode)), [""]
    for mode, name in ((1, "lines"), (2, "pixels")):
        yield f"jpeg-ls-near-{name}", new(N, colour, "RGB", 8, Modality="US", coded=coded(colour, 8, 3, mode)), [""]
    frames = [coded(twelve, 12)[0], coded(twelve[::-1].copy(), 12)[0]]
    yield "jpeg-ls-frames", new(S, np.stack([twelve, twelve]), "MONOCHROME2", 12, Modality="MR", coded=frames), ["", "frame=2"]


# --- reading, by pydicom -------------------------------------------------------------------------

def functional(ds, frame, group, name):
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        items = ds.get(groups)
        if items:
            chosen = items[frame if groups.startswith("Per") else 0]
            if group in chosen and name in chosen[group].value[0]:
                return chosen[group].value[0][name].value
    return ds.get(name)


def picture(ds, frame=0, window=""):
    """[rows, columns, 3], 8 bits."""
    if ds.file_meta.get("TransferSyntaxUID") in (JPEGBaseline8Bit, JPEGExtended12Bit) and ds.BitsStored == 8:
        # pylibjpeg has an inverse transform and an enlargement of colour of its own; this is libjpeg-turbo.
        ds.pixel_array_options(decoding_plugin="pillow")
    array = ds.pixel_array
    if int(ds.get("NumberOfFrames") or 1) > 1:
        array = array[frame]
    ds = copy.copy(ds)
    for group, name in (("FrameVOILUTSequence", "WindowCenter"), ("FrameVOILUTSequence", "WindowWidth"),
                        ("PixelValueTransformationSequence", "RescaleSlope"),
                        ("PixelValueTransformationSequence", "RescaleIntercept")):
        value = functional(ds, frame, group, name)
        if value is not None:
            setattr(ds, name, value)
    photometric = ds.PhotometricInterpretation
    full = 2.0 ** ds.BitsStored - 1
    if photometric == "PALETTE COLOR":
        array = apply_color_lut(array, ds)
        full = 2.0 ** ds.RedPaletteColorLookupTableDescriptor[2] - 1
    if array.ndim == 3:
        return np.floor(array.astype(np.float64) * 255 / full + 0.5).astype(np.uint8)[..., :3]
    values = apply_modality_lut(array, ds)
    has_table = bool(ds.get("VOILUTSequence"))
    width = ds.get("WindowWidth")
    width = None if width is None or width == "" else float(np.ravel(width)[0])
    if window:
        if window in PRESETS:
            centre, width = PRESETS[window]
        elif window != "range":
            centre, width = map(float, window.split(","))
        if window != "range":
            ds.WindowCenter, ds.WindowWidth = centre, width
            ds.VOILUTFunction = "LINEAR"
            low, high = ends(ds)
            shade = (apply_windowing(values, ds) - low) / (high - low)
    elif has_table:
        depth = ds.VOILUTSequence[0].LUTDescriptor[2]
        shade = apply_voi_lut(values.astype(np.int64), ds).astype(np.float64) / (2.0 ** depth - 1)
    elif width is not None and width >= 1:
        low, high = ends(ds)
        shade = (apply_windowing(values, ds) - low) / (high - low)
    elif ds.BitsStored <= 8 and ds.PixelRepresentation == 0 and "RescaleSlope" not in ds:
        shade = values / full
    else:
        window = "range"
    if window == "range":
        values = values.astype(np.float64)
        kept = np.ones(array.shape, bool)
        if "PixelPaddingValue" in ds:
            a = ds.PixelPaddingValue
            b = ds.get("PixelPaddingRangeLimit", a)
            kept = ~((array >= min(a, b)) & (array <= max(a, b)))
        inner = values[kept] if kept.any() else values
        low, high = inner.min(), inner.max()
        shade = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    grey = np.floor(np.clip(shade, 0, 1) * 255 + 0.5).astype(np.uint8)
    if photometric == "MONOCHROME1":
        grey = 255 - grey
    return np.repeat(grey[..., None], 3, -1)


def ends(ds):
    """The values that pydicom draws black and white with."""
    if ds.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** ds.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    half = 2.0 ** (ds.BitsStored - 1)
    low, high = (-half, half - 1) if ds.PixelRepresentation else (0.0, 2 * half - 1)
    slope, intercept = ds.get("RescaleSlope"), ds.get("RescaleIntercept")
    if slope is not None and intercept is not None:
        low, high = low * float(slope) + float(intercept), high * float(slope) + float(intercept)
    return low, high


def save(ds, path):
    syntax = ds.file_meta.TransferSyntaxUID
    ds.save_as(path, enforce_file_format=True)
    return pydicom.dcmread(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--shipped", help="write the pictures of pydicom's own test files here")
    arguments = parser.parse_args()
    if arguments.shipped:
        return shipped(arguments.shipped)
    os.makedirs(arguments.folder, exist_ok=True)
    pictures = {}
    for name, ds, views in itertools.chain(kinds(), jpeg_ls_kinds()):
        read = save(ds, os.path.join(arguments.folder, f"{name}.dcm"))
        for view in views:
            is_frame = view.startswith("frame=")
            rgb = picture(read, int(view[6:]) - 1 if is_frame else 0, "" if is_frame else view)
            suffix = "" if not view else f"#{view}" if is_frame else f"#window={view}"
            pictures[f"{name}.dcm{suffix}"] = {"size": rgb.shape[1::-1], "rgb": rgb.tobytes().hex()}
    with open(os.path.join(arguments.folder, "dicom.json"), "w") as file:
        json.dump({"pydicom": pydicom.__version__, "pictures": pictures}, file, indent=0)
        file.write("\n")


def shipped(out):
    root = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
    pictures = {}
    for path in sorted(glob.glob(os.path.join(root, "*.dcm"))):
        name = os.path.basename(path)
        ds = pydicom.dcmread(path, force=True)
        if "PixelData" not in ds:
            continue
        try:
            frames = min(int(ds.get("NumberOfFrames") or 1), 2)
            for frame in range(frames):
                rgb = picture(pydicom.dcmread(path, force=True), frame)
                # Sixteen by sixteen pixels, evenly spread, and how often each grey occurs.
                rows = np.linspace(0, rgb.shape[0] - 1, 16).astype(int)
                columns = np.linspace(0, rgb.shape[1] - 1, 16).astype(int)
                key = name if frames == 1 else f"{name}#frame={frame + 1}"
                pictures[key] = {
                    "size": rgb.shape[1::-1],
                    "sample": rgb[np.ix_(rows, columns)].tobytes().hex(),
                    "histogram": np.bincount(rgb.ravel(), minlength=256).tolist(),
                }
        except Exception as error:
            pictures[name] = {"refused": str(error).split("\n")[0][:100]}
    with open(out, "w") as file:
        json.dump({"pydicom": pydicom.__version__, "pictures": pictures}, file)


if __name__ == "__main__":
    main()
