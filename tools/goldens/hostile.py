"""Writes the small hostile DICOM and NIfTI files of crates/pefomed-data/tests/hostile.

    python3 tools/goldens/hostile.py crates/pefomed-data/tests/hostile

Standard library only. The README that it writes too says what each file tries.
"""

import gzip
import os
import struct
import sys

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
JPEG, LOSSLESS, J2K = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"
JLS = "1.2.840.10008.1.2.4.80"
LONG = {b"OB", b"OW", b"SQ", b"UN", b"UT"}
UNDEFINED = 0xFFFFFFFF


def element(group, number, vr, value, length=None):
    length = len(value) if length is None else length
    head = struct.pack("<HH2s", group, number, vr)
    head += struct.pack("<HI", 0, length) if vr in LONG else struct.pack("<H", length)
    return head + value


def text(value):
    value = value.encode()
    return value + b" " * (len(value) % 2)


def head(syntax):
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM" + element(2, 0x10, b"UI", uid)


def us(group, number, value):
    return element(group, number, b"US", struct.pack("<H", value))


def image(rows=4, columns=4, bits=16, stored=None, high=None, photometric="MONOCHROME2", samples=1,
          frames=None, before=b"", after=b""):
    stored = bits if stored is None else stored
    out = us(0x28, 2, samples) + element(0x28, 4, b"CS", text(photometric))
    if frames is not None:
        out += element(0x28, 8, b"IS", text(frames))
    out += us(0x28, 0x10, rows) + us(0x28, 0x11, columns) + us(0x28, 0x100, bits)
    out += us(0x28, 0x101, stored) + us(0x28, 0x102, stored - 1 if high is None else high)
    return before + out + us(0x28, 0x103, 0) + after


def pixels(data, length=None):
    return element(0x7FE0, 0x10, b"OW", data, length)


def fragments(*pieces, end=True):
    out = element(0x7FE0, 0x10, b"OB", b"", UNDEFINED)
    for piece in (b"",) + pieces:
        out += struct.pack("<HHI", 0xFFFE, 0xE000, len(piece)) + piece
    return out + (struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if end else b"")


def sequence(group, number, *items):
    body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return element(group, number, b"SQ", body)


def lut(words, first, bits, data):
    return element(0x28, 0x3002, b"US", struct.pack("<HHH", words, first, bits)) + element(0x28, 0x3006, b"OW", data)


def nifti(dims=(3, 4, 4, 4), code=4, offset=352.0, magic=b"n+1\0", size=348, data=b"", slope=1.0):
    header = bytearray(348)
    struct.pack_into("<i", header, 0, size)
    struct.pack_into(f"<{len(dims)}h", header, 40, *dims)
    struct.pack_into("<hh", header, 70, code, 16)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<fff", header, 108, offset, slope, 0)
    header[344:348] = magic
    return bytes(header) + bytes(4) + data


def deep(levels):
    body = b""
    for _ in range(levels):
        body = sequence(8, 0x1140, body)
        if len(body) > 60000:
            break
    return body


def files():
    data = bytes(32)
    jpeg = b"\xff\xd8\xff\xc0\x00\x0b\x08%s\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x00\xff\xd9"
    yield "empty.dcm", head(EXPLICIT), "a head and no data set"
    yield "no-pixels.dcm", head(EXPLICIT) + image(), "an image without pixel data"
    yield "short-pixels.dcm", head(EXPLICIT) + image() + pixels(data[:30]), "two bytes of pixel data too few"
    yield "long-value.dcm", head(EXPLICIT) + image() + pixels(data, 0xFFFFFFF0), "a length of 4 GiB, which would be taken at its word"
    yield "sixty-thousand.dcm", head(EXPLICIT) + image(65535, 65535) + pixels(data), "65,535 rows and columns"
    yield "many-frames.dcm", head(EXPLICIT) + image(frames="999999999") + fragments(data), "a thousand million frames"
    yield "minus-frames.dcm", head(EXPLICIT) + image(frames="-3") + pixels(data), "a negative number of frames"
    yield "no-rows.dcm", head(EXPLICIT) + image(rows=0) + pixels(data), "no rows"
    yield "bits.dcm", head(EXPLICIT) + image(bits=16, stored=17) + pixels(data), "more bits stored than allocated"
    yield "no-bits.dcm", head(EXPLICIT) + image(bits=16, stored=0, high=0) + pixels(data), "no bits stored"
    yield "high-bit.dcm", head(EXPLICIT) + image(stored=12, high=3) + pixels(data), "a high bit below the bits it tops"
    yield "odd-bits.dcm", head(EXPLICIT) + image(bits=24) + pixels(bytes(48)), "24 bits a sample"
    yield "samples.dcm", head(EXPLICIT) + image(samples=200) + pixels(data), "200 samples of grey"
    yield "colour-model.dcm", head(EXPLICIT) + image(photometric="ARGB", samples=4, bits=8) + pixels(bytes(64)), "a colour model that was retired"
    yield "odd-halved.dcm", head(EXPLICIT) + image(rows=4, columns=3, bits=8, photometric="YBR_FULL_422", samples=3) + pixels(bytes(24)), "halved colour over an odd number of columns"
    yield "deep.dcm", head(EXPLICIT) + deep(60) + image() + pixels(data), "sixty sequences in one another"
    yield "open-sequence.dcm", head(EXPLICIT) + element(8, 0x1140, b"SQ", b"", UNDEFINED), "a sequence that is never closed"
    yield "item-too-long.dcm", head(EXPLICIT) + element(8, 0x1140, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 400)), "an item longer than its file"
    yield "stray-delimiter.dcm", head(EXPLICIT) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) + image() + pixels(data), "the end of a sequence that never began"
    yield "no-representation.dcm", head(EXPLICIT) + image() + b"\x28\x00\x06\x01\x01\x02\x03\x04" + pixels(data), "an element without letters in an explicit file"
    yield "syntax.dcm", head("1.2.3.4") + image() + pixels(data), "an unknown transfer syntax"
    yield "video.dcm", head("1.2.840.10008.1.2.4.102") + image(bits=8) + fragments(data), "a film"
    yield "deflated-noise.dcm", head(DEFLATED) + b"\xff" * 64, "a deflated part that is none"
    yield "rle-segments.dcm", head(RLE) + image() + fragments(struct.pack("<16I", 15, *range(64, 79)) + data), "fifteen segments of run lengths instead of two"
    yield "rle-offsets.dcm", head(RLE) + image() + fragments(struct.pack("<16I", 2, 0xFFFFFFFF, 3, *[0] * 13) + data), "run lengths that begin behind the end"
    yield "rle-short.dcm", head(RLE) + image() + fragments(struct.pack("<16I", 2, 64, 66, *[0] * 13) + b"\x02\x01"), "run lengths that stop early"
    yield "jpeg-size.dcm", head(JPEG) + image(bits=8) + fragments(jpeg % b"\xff\xff\xff\xff"), "a JPEG of 65,535 pixels a side in a file of four"
    yield "jpeg-tables.dcm", head(JPEG) + image(bits=8) + fragments(jpeg % b"\x00\x04\x00\x04"), "a JPEG without tables"
    yield "jpeg-cut.dcm", head(JPEG) + image(bits=8) + fragments((jpeg % b"\x00\x04\x00\x04")[:-2]), "a JPEG without its end"
    yield "jpeg2000-size.dcm", head(J2K) + image(bits=8) + fragments(b"\xff\x4f\xff\x51\x00\x29" + struct.pack(">H8IH3B", 0, 1 << 31, 1 << 31, 0, 0, 1, 1, 0, 0, 1, 7, 1, 1) + b"\xff\xd9"), "a JPEG 2000 stream of 2,147,483,648 tiles a side"
    yield "jpeg2000-head.dcm", head(J2K) + image(bits=8) + fragments(b"\xff\x4f\xff\x51"), "a JPEG 2000 stream that is all head"
    frame = lambda rows, columns, bits=8: b"\xff\xd8\xff\xf7\x00\x0b" + struct.pack(">BHHB", bits, rows, columns, 1) + b"\x01\x11\x00"
    scan = lambda near=0: b"\xff\xda\x00\x08\x01\x01\x00" + bytes([near, 0, 0])
    ls = lambda data, rows=4, columns=4: head(JLS) + image(rows, columns, bits=8) + fragments(data)
    yield "jpeg-ls-size.dcm", ls(frame(65535, 65535) + scan() + data + b"\xff\xd9"), "a JPEG-LS frame of 65,535 pixels a side in a file of four"
    yield "jpeg-ls-bare.dcm", ls(frame(9999, 9999) + scan() + b"\xff\xd9", 9999, 9999), "a JPEG-LS frame of 100 megapixels that has none"
    yield "jpeg-ls-cut.dcm", ls(frame(4, 4) + scan() + b"\xff"), "a JPEG-LS scan that ends in its first line"
    yield "jpeg-ls-run.dcm", ls(frame(8, 2) + scan() + b"\xff\x30\x00\x00\xff\xd9", 8, 2), "a JPEG-LS run that goes on behind its line"
    yield "jpeg-ls-code.dcm", ls(frame(4, 4) + scan() + data + b"\xff\xd9"), "a JPEG-LS code longer than any"
    yield "jpeg-ls-near.dcm", ls(frame(4, 4) + scan(200) + data + b"\xff\xd9"), "a JPEG-LS error larger than half of the range"
    yield "jpeg-ls-parameters.dcm", ls(frame(4, 4) + b"\xff\xf8\x00\x0d\x01" + struct.pack(">5H", 255, 9, 8, 7, 64) + scan() + data + b"\xff\xd9"), "JPEG-LS thresholds that fall"
    yield "jpeg-ls-restart.dcm", ls(frame(4, 4) + b"\xff\xdd\x00\x04\x00\x01" + scan() + data + b"\xff\xd9"), "JPEG-LS restart intervals, which are not read"
    yield "jpeg-ls-frame.dcm", ls(scan() + data), "a JPEG-LS scan before any frame, and no beginning"
    yield "open-fragments.dcm", head(JPEG) + image(bits=8) + fragments(data, end=False), "fragments without an end"
    yield "no-fragments.dcm", head(JPEG) + image(bits=8) + fragments(), "pixel data of no fragment"
    yield "frame-lost.dcm", head(JPEG) + image(bits=8, frames="4") + fragments(data, data), "four frames in two fragments, and no table"
    yield "table-empty.dcm", head(EXPLICIT) + image(after=sequence(0x28, 0x3010, lut(0, 0, 16, b"\0\0"))) + pixels(data), "a lookup table of 65,536 entries that has one"
    yield "table-bits.dcm", head(EXPLICIT) + image(after=sequence(0x28, 0x3000, lut(1, 0, 99, b"\0\0"))) + pixels(data), "a lookup table of 99 bits"
    palette = b"".join(element(0x28, 0x1101 + i, b"US", struct.pack("<HHH", 0, 0, 16)) for i in range(3))
    yield "palette-short.dcm", head(EXPLICIT) + image(photometric="PALETTE COLOR", after=palette) + pixels(data), "a palette without colours"
    yield "slope.dcm", head(EXPLICIT) + image(after=element(0x28, 0x1053, b"DS", text("1e999"))) + pixels(data), "a slope beyond all numbers"
    yield "nifti-size.nii", nifti((3, 32767, 32767, 32767)), "a volume of 64 TiB"
    yield "nifti-rank.nii", nifti((9, 4, 4, 4)), "nine dimensions"
    yield "nifti-minus.nii", nifti((3, 4, -4, 4)), "a negative dimension"
    yield "nifti-short.nii", nifti(data=bytes(100)), "a volume that stops early"
    yield "nifti-type.nii", nifti(code=77, data=bytes(128)), "an unknown data type"
    yield "nifti-offset.nii", nifti(offset=float("nan"), data=bytes(128)), "numbers that begin nowhere"
    yield "nifti-pair.nii", nifti(magic=b"ni1\0", data=bytes(128)), "a header whose numbers are elsewhere"
    yield "nifti-cut.nii.gz", gzip.compress(nifti(data=bytes(128)), mtime=0)[:40], "a compressed volume cut in its header"
    packed = gzip.compress(nifti(data=bytes(range(128))), mtime=0)
    yield "nifti-tail.nii.gz", packed[:-30], "a compressed volume cut in its numbers"
    yield "nifti-bomb.nii.gz", gzip.compress(nifti((4, 4, 4, 4, 32000), code=64) + bytes(1 << 16), mtime=0), "a compressed volume shorter than its header says"


ELSEWHERE = """\
## Elsewhere

Hostile files of other formats, and hostile bytes that tests make as they run:

| format | where | tries |
|---|---|---|
| data sets: CSV, JSON, XML, pickle, parquet | `formats/`, listed in `formats/README.md` | encodings, quotes, nesting, paths, entities, code |
| data sets, damaged at random | `tests/data_hostile.rs` | cuts and changed bytes of every layout |
| PNG, JPEG | `tests/data_image.rs` | cut files, sizes, other kinds under these names |
| SentencePiece | `tests/sentencepiece.rs` | cuts, rules that are not followed |
| predictions of other programs | `tests/results.rs` | columns, encodings, ids twice |
| `torch.save` | `crates/pefomed-model/tests/hostile/pickle`, with a README | code, nesting, sizes, strides, bombs |
| safetensors | `crates/pefomed-model/tests/weights_safetensors.rs` | headers, offsets, shards that lead out |
| GGUF | `crates/pefomed-model/tests/weights_gguf.rs` | counts, offsets, types, alignment |
| all of these | `fuzz/` at the root | whatever a fuzzer finds |
"""


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    lines = []
    for name, data, what in files():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        lines.append(f"| `{name}` | {what} |")
    with open(os.path.join(folder, "README.md"), "w") as file:
        file.write(
            "# Files that mean harm\n\n"
            "Each must be refused with an error that names it, without a panic and without taking more\n"
            "memory than it has bytes. `tools/goldens/hostile.py` writes them.\n\n"
            "| file | tries |\n|---|---|\n" + "\n".join(lines) + "\n\n" + ELSEWHERE
        )


main()
