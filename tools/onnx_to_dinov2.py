"""Takes the DINOv2-small encoder out of an ONNX saliency model, as hub checkpoints store it.

    python3 tools/onnx_to_dinov2.py MODEL.onnx OUT_FOLDER

Writes `model.safetensors` (float16), `config.json` and `preprocessor_config.json`. Needs
nothing but Python's standard library: the two file formats are simple enough to read and
write here, and the script then runs wherever `pip` does.

In the ONNX file biases, norms and the patch projection keep their names below `backbone.`.
The exporter transposed the weights of linear layers and named them after graph edges; the
node that multiplies by one carries the layer's path in its own name. The position table is
split in its class row and its 37 x 37 patch rows. The mask token, used in pre-training only,
is not in the file and is written as zeros.
"""

import json
import struct
import sys
from array import array
from pathlib import Path

PREFIX = "backbone."
WIDTH, GRID, LAYERS = 384, 37, 12
FLOAT = 1

CONFIG = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "image_size": 518,
    "patch_size": 14,
    "num_channels": 3,
    "layerscale_value": 1.0,
    "hidden_act": "gelu",
    "qkv_bias": True,
    "layer_norm_eps": 1e-06,
    "use_swiglu_ffn": False,
    "drop_path_rate": 0.0,
    "torch_dtype": "float16",
}
PREPROCESSOR = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "size": {"height": 224, "width": 224},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "do_resize": True,
}


def varint(data, at):
    """The variable-length number at `at`, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def fields(data):
    """The fields of a protobuf message: (number, value), bytes as views into `data`."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            length, at = varint(data, at)
            if at + length > len(data):
                sys.exit("the ONNX file is cut off")
            value, at = data[at : at + length], at + length
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value, at = data[at : at + length], at + length
        else:
            sys.exit(f"not an ONNX file: protobuf wire type {kind}")
        yield number, value


def text(view):
    return bytes(view).decode()


def read_tensor(message):
    """Name, shape and float32 values of a TensorProto; no values if it is of another type."""
    shape, name, kind, raw = [], "", 0, b""
    for number, value in fields(message):
        if number == 1 and isinstance(value, int):
            shape.append(value)
        elif number == 1:
            at = 0
            while at < len(value):
                size, at = varint(value, at)
                shape.append(size)
        elif number == 2:
            kind = value
        elif number == 8:
            name = text(value)
        elif number == 9:
            raw = value
    values = array("f")
    if kind == FLOAT:
        values.frombytes(raw)
        if sys.byteorder == "big":
            values.byteswap()
    return name, shape, values


def read_graph(path):
    """Initializers {name: (shape, values)} and the products [(node name, input names)]."""
    initializers, products = {}, []
    whole = memoryview(path.read_bytes())
    graphs = [value for number, value in fields(whole) if number == 7]
    if len(graphs) != 1:
        sys.exit(f"{path}: expected one ONNX graph, found {len(graphs)}")
    for number, value in fields(graphs[0]):
        if number == 5:
            name, shape, values = read_tensor(value)
            initializers[name] = (shape, values)
        elif number == 1:
            node = list(fields(value))
            if any(n == 4 and text(v) == "MatMul" for n, v in node):
                inputs = [text(v) for n, v in node if n == 1]
                products.append((next(text(v) for n, v in node if n == 3), inputs))
    return initializers, products


def transposed(shape, values):
    """[in, out] to [out, in]."""
    rows, columns = shape
    turned = array("f")
    for column in range(columns):
        turned.extend(values[column::columns])
    return [columns, rows], turned


def only(found, what):
    if len(found) != 1:
        sys.exit(f"expected one {what} in the ONNX file, found {len(found)}")
    return found[0]


def checkpoint(initializers, products):
    """The encoder's tensors under their hub names."""
    tensors = {
        name[len(PREFIX) :]: tensor
        for name, tensor in initializers.items()
        if name.startswith(PREFIX)
    }
    for node, inputs in products:
        weight = next((name for name in inputs if name in initializers), None)
        if weight is not None and node.startswith("/backbone/"):
            layer = node[len("/backbone/") : -len("/MatMul")].replace("/", ".")
            tensors[layer + ".weight"] = transposed(*initializers[weight])

    unnamed = [tensor for name, tensor in initializers.items() if name.startswith("onnx::")]
    first = only([v for shape, v in unnamed if shape == [1, 1, WIDTH]], "class position")
    rest = only([v for shape, v in unnamed if shape == [1, GRID**2, WIDTH]], "position table")
    tensors["embeddings.position_embeddings"] = ([1, GRID**2 + 1, WIDTH], first + rest)
    tensors["embeddings.mask_token"] = ([1, WIDTH], array("f", bytes(4 * WIDTH)))
    # 18 tensors a layer, 5 in the embeddings, 2 in the last norm.
    expected = 18 * LAYERS + 5 + 2
    if len(tensors) != expected:
        sys.exit(f"expected {expected} tensors for DINOv2-small, found {len(tensors)}")
    return tensors


def write_safetensors(path, tensors):
    """Writes float16 tensors, in order of their names."""
    header, parts, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, (shape, values) in sorted(tensors.items()):
        data = struct.pack(f"<{len(values)}e", *values)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        file.writelines(parts)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: onnx_to_dinov2.py MODEL.onnx OUT_FOLDER")
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    tensors = checkpoint(*read_graph(source))
    write_safetensors(out / "model.safetensors", tensors)
    (out / "config.json").write_text(json.dumps(CONFIG, indent=2))
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2))
    print(f"wrote {out}: {len(tensors)} tensors from {source.name}")


if __name__ == "__main__":
    main()
