"""Broken and hostile files for the reader of `torch.save`'s format. Standard library only.

    python tools/goldens/hostile_pickles.py [--out crates/pefomed-model/tests/hostile/pickle]

Each file is one attack or accident; `README.md` beside them says what each tries. The pickles are
put together operation by operation, for no well-meaning program writes them.
"""

import argparse
import struct
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "crates/pefomed-model/tests/hostile/pickle"
PROTO = b"\x80\x02"
STOP = b"."
EARLY = (1980, 1, 1, 0, 0, 0)


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def many(items):
    return b"(" + b"".join(items) + b"t"


def storage(key="0", values=4, kind="FloatStorage"):
    parts = [text("storage"), name("torch", kind), text(key), text("cpu"), integer(values)]
    return many(parts) + b"Q"


def tensor(stored=None, offset=0, shape=(2, 2), strides=(2, 1)):
    hooks = name("collections", "OrderedDict") + b")R"
    parts = [
        stored or storage(),
        integer(offset),
        many(map(integer, shape)),
        many(map(integer, strides)),
        b"\x89",
        hooks,
    ]
    return name("torch._utils", "_rebuild_tensor_v2") + many(parts) + b"R"


def dictionary(**items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def system(command="touch pefomed-was-here"):
    """What `__reduce__` of a hostile object gives: a call of `os.system`."""
    return name("posix", "system") + text(command) + b"\x85R"


def archive(path, pickle, data=(("0", bytes(16)),), packed=(), extra=()):
    with zipfile.ZipFile(path, "w") as out:
        entries = [("archive/data.pkl", pickle), ("archive/byteorder", b"little")]
        entries += [(f"archive/data/{key}", raw) for key, raw in data]
        entries += list(extra)
        for entry, raw in entries:
            info = zipfile.ZipInfo(entry, EARLY)
            kind = zipfile.ZIP_DEFLATED if entry in packed else zipfile.ZIP_STORED
            out.writestr(info, raw, compress_type=kind)


def overlapping(path):
    """Two entries of the archive's list that lie in the same bytes of the file."""
    archive(path, PROTO + dictionary(a=tensor(), b=tensor(storage("1"))) + STOP, extra=[])
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path, "a") as out:
        out.writestr(zipfile.ZipInfo("archive/data/1", EARLY), bytes(16))
    raw = bytearray(path.read_bytes())
    first = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"archive/data/0"))
    second = raw.rindex(b"PK\x01\x02")
    raw[second + 42 : second + 46] = raw[first + 42 : first + 46]
    path.write_bytes(bytes(raw))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    def write(file, pickle, **options):
        archive(folder / f"{file}.pth", PROTO + pickle + STOP, **options)

    # Code.
    write("system-as-root", system())
    write("system-among-tensors", dictionary(weight=tensor(), bias=system()))
    write("system-beside-tensors", dictionary(model=dictionary(weight=tensor()), config=system()))
    write("eval-as-key", b"}" + name("builtins", "eval") + text("1") + b"\x85R" + tensor() + b"s")
    write("getattr-chain", dictionary(weight=name("builtins", "getattr") + name("os", "sys") + text("x") + b"\x86R"))
    write("class-as-tensor", dictionary(weight=tensor(), bias=name("subprocess", "Popen")))
    write("call-of-text", text("os.system") + text("id") + b"\x85R")
    write("name-with-escapes", dictionary(weight=tensor(), bias=name("\x1b[2J", "\x07") + b")R"))

    # Length, depth, number.
    write("text-of-4-gigabytes", b"X" + struct.pack("<I", 2**32 - 1))
    write("frame-of-8-exabytes", b"\x95" + struct.pack("<Q", 2**63))
    write("name-without-end", b"c" + b"a" * 1000)
    write("nested-marks", b"(" * 2000)
    write("memo-bomb", b"]q\x00" + b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)))
    write("list-in-itself", b"]q\x00h\x00a")
    write("dictionary-in-itself", b"}q\x00" + text("model") + b"h\x00s")
    write("reference-to-nothing", b"j\xff\xff\xff\xff")
    write("nothing-to-take", b"R")
    write("take-below-mark", integer(1) + integer(2) + b"(\x86")
    write("odd-number-of-items", b"}(" + text("weight") + b"u")
    write("protocol-4", b"\x80\x04" + dictionary(weight=tensor()))
    write("text-that-is-latin", b"X\x01\x00\x00\x00\xe4")
    write("bytes-after-the-end", dictionary(weight=tensor()) + STOP + b"extra")

    # Tensors that lie.
    write("storage-absent", dictionary(weight=tensor(storage("../../etc/passwd"))))
    write("storage-too-short", dictionary(weight=tensor(storage(values=5), shape=(5,), strides=(1,))))
    write("storage-too-long", dictionary(weight=tensor(storage(values=2**62))))
    write("offset-outside", dictionary(weight=tensor(offset=1)))
    write("offset-huge", dictionary(weight=tensor(offset=2**63 - 1)))
    write("offset-negative", dictionary(weight=tensor(offset=-4)))
    write("stride-outside", dictionary(weight=tensor(strides=(3, 1))))
    write("stride-huge", dictionary(weight=tensor(strides=(2**62, 2**62))))
    write("stride-negative", dictionary(weight=tensor(strides=(-2, 1))))
    write("stride-zero", dictionary(weight=tensor(shape=(2**40, 2), strides=(0, 1))))
    write("shape-overflows", dictionary(weight=tensor(shape=(2**32, 2**32), strides=(0, 0))))
    write("shape-overflows-behind-zero", dictionary(weight=tensor(shape=(0, 2**32, 2**32), strides=(0, 0, 0))))
    write("shape-without-strides", dictionary(weight=tensor(strides=(1,))))
    write("shape-of-text", dictionary(weight=tensor()).replace(integer(0) + b"(", text("0") + b"(", 1))
    write("hundred-dimensions", dictionary(weight=tensor(shape=(1,) * 100, strides=(1,) * 100)))
    write("quantized-storage", dictionary(weight=tensor(storage(kind="QInt8Storage"))))
    write("key-is-a-number", b"}(" + text("a") + tensor() + integer(7) + tensor() + b"u")
    write("name-twice", b"}(" + 2 * (text("weight") + tensor()) + b"u")
    write("number-among-tensors", dictionary(weight=tensor(), steps=integer(3)))
    write("two-models", dictionary(model=dictionary(a=tensor()), state_dict=dictionary(a=tensor())))
    write("no-model", dictionary(optimizer=dictionary(a=tensor()), epoch=integer(3)))

    # The archive.
    good = PROTO + dictionary(weight=tensor()) + STOP
    archive(folder / "zip-bomb.pth", good, data=(("0", bytes(16)), ("1", bytes(1 << 20))), packed=["archive/data/1"])
    archive(folder / "compressed-pickle.pth", good, packed=["archive/data.pkl"])
    archive(folder / "two-pickles.pth", good, extra=[("other/data.pkl", good)])
    archive(folder / "no-pickle.pth", good)
    raw = (folder / "no-pickle.pth").read_bytes().replace(b"data.pkl", b"data.txt")
    (folder / "no-pickle.pth").write_bytes(raw)
    archive(folder / "big-endian.pth", good)
    raw = (folder / "big-endian.pth").read_bytes().replace(b"little", b"bigend")
    (folder / "big-endian.pth").write_bytes(raw)
    overlapping(folder / "overlapping-storages.pth")
    archive(folder / "cut.pth", good)
    whole = (folder / "cut.pth").read_bytes()
    (folder / "cut.pth").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "bare-pickle.pth").write_bytes(PROTO + system() + STOP)
    (folder / "good.pth").write_bytes(whole)


if __name__ == "__main__":
    main()
