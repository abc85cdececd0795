"""YAMNet files of the real signature with other insides: scores are weights times the loudest sample."""

import csv
import struct

import flatbuffers

from tests.conditioning.onnx_bytes import FLOAT, attribute, field, node, tensor

CLASSES = 521
NAMES = {0: "Speech", 24: "Singing", 132: "Music", 283: "Rain", 494: "Silence"}


def class_map(path, classes=CLASSES):
    """`yamnet_class_map.csv`; classes that no test is about get a name of their own."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "mid", "display_name"])
        writer.writerows([index, f"/m/{index}", NAMES.get(index, f"Sound {index}")] for index in range(classes))
    return path


def weights(**scores):
    """521 weights: those of the named classes, the others 0."""
    index = {name.lower(): number for number, name in NAMES.items()}
    values = [0.0] * CLASSES
    for name, score in scores.items():
        values[index[name]] = score
    return values


def write_onnx(path, values, classes=CLASSES):
    """Samples [n] to scores [1, classes]."""
    initializer = field(1, 1) + field(1, classes) + field(2, FLOAT) + field(8, "weights")
    initializer += field(9, struct.pack(f"<{classes}f", *values[:classes]))
    graph = field(1, node("ReduceMax", ["waveform"], ["loudest"], attribute("keepdims", integer=1)))
    graph += field(1, node("Mul", ["loudest", "weights"], ["scores"], b""))
    graph += field(2, "yamnet") + field(5, initializer)
    graph += field(11, tensor("waveform", ["n"])) + field(12, tensor("scores", [1, classes]))
    path.write_bytes(field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph))
    return path


# Numbers of the TFLite schema: https://github.com/google-ai-edge/LiteRT/blob/main/tflite/schema/schema.fbs
REDUCE_MAX, MUL = 82, 18
REDUCER_OPTIONS, MUL_OPTIONS = 27, 21
FLOAT32, INT32 = 0, 2


def write_tflite(path, values, samples=15_600):
    """Samples [15600] to scores [1, 521], as the published file has them; `samples` of -1 is any number."""
    builder = flatbuffers.Builder(1 << 14)
    buffers = [b"", struct.pack("<i", 0), struct.pack(f"<{CLASSES}f", *values)]
    tensors = [
        _tensor(builder, "waveform", [max(samples, 1)], FLOAT32, 0, [samples]),
        _tensor(builder, "axis", [1], INT32, 1),
        _tensor(builder, "loudest", [1], FLOAT32, 0),
        _tensor(builder, "weights", [1, CLASSES], FLOAT32, 2),
        _tensor(builder, "scores", [1, CLASSES], FLOAT32, 0),
    ]
    operators = [
        _operator(builder, 0, [0, 1], [2], REDUCER_OPTIONS, _table(builder, 1, [(0, "bool", True)])),
        _operator(builder, 1, [2, 3], [4], MUL_OPTIONS, _table(builder, 1, [])),
    ]
    fields = [(0, "offset", _vector(builder, tensors)), (1, "offset", _ints(builder, [0]))]
    fields += [(2, "offset", _ints(builder, [4])), (3, "offset", _vector(builder, operators))]
    subgraph = _table(builder, 5, fields)
    codes = [_table(builder, 4, [(0, "int8", code), (2, "int32", 1), (3, "int32", code)]) for code in (REDUCE_MAX, MUL)]
    data = [_buffer(builder, content) for content in buffers]
    description = builder.CreateString("yamnet of the real signature")
    model = [(0, "uint32", 3), (1, "offset", _vector(builder, codes)), (2, "offset", _vector(builder, [subgraph]))]
    model += [(3, "offset", description), (4, "offset", _vector(builder, data))]
    builder.Finish(_table(builder, 8, model), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def _table(builder, slots, fields):
    builder.StartObject(slots)
    for slot, kind, value in fields:
        put = {
            "offset": builder.PrependUOffsetTRelativeSlot,
            "bool": builder.PrependBoolSlot,
            "int8": builder.PrependInt8Slot,
            "uint8": builder.PrependUint8Slot,
            "int32": builder.PrependInt32Slot,
            "uint32": builder.PrependUint32Slot,
        }[kind]
        put(slot, value, 0)
    return builder.EndObject()


def _vector(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _ints(builder, numbers):
    builder.StartVector(4, len(numbers), 4)
    for number in reversed(numbers):
        builder.PrependInt32(number)
    return builder.EndVector()


def _buffer(builder, content):
    if not content:
        return _table(builder, 3, [])
    builder.StartVector(1, len(content), 16)
    for byte in reversed(content):
        builder.PrependByte(byte)
    return _table(builder, 3, [(0, "offset", builder.EndVector())])


def _tensor(builder, name, shape, kind, buffer, signature=None):
    fields = [(0, "offset", _ints(builder, shape)), (1, "int8", kind), (2, "uint32", buffer)]
    fields.append((3, "offset", builder.CreateString(name)))
    if signature and signature != shape:
        fields.append((7, "offset", _ints(builder, signature)))
    return _table(builder, 8, fields)


def _operator(builder, code, inputs, outputs, options_type, options):
    fields = [(0, "uint32", code), (1, "offset", _ints(builder, inputs)), (2, "offset", _ints(builder, outputs))]
    return _table(builder, 9, [*fields, (3, "uint8", options_type), (4, "offset", options)])
