"""ONNX models byte by byte: the package `onnx` is not needed to write a graph of four nodes."""

import struct
from collections.abc import Sequence

FLOAT, INT_ATTRIBUTE, INTS_ATTRIBUTE = 1, 2, 7


def statistics_model(matrix: Sequence[Sequence[float]], inputs: int = 1) -> bytes:
    """A model that maps samples [1, N] to [mean, largest] @ matrix; further inputs are added to the result."""
    width = len(matrix[0])
    names = ["samples", *(f"more{index}" for index in range(1, inputs))]
    nodes = [
        node("ReduceMean", ["samples"], ["mean"], attribute("axes", ints=[1]) + attribute("keepdims", integer=1)),
        node("ReduceMax", ["samples"], ["largest"], attribute("axes", ints=[1]) + attribute("keepdims", integer=1)),
        node("Concat", ["mean", "largest"], ["both"], attribute("axis", integer=1)),
        node("MatMul", ["both", "matrix"], ["vector"], b""),
    ]
    values = [value for row in matrix for value in row]
    initializer = field(1, len(matrix)) + field(1, width) + field(2, FLOAT) + field(8, "matrix")
    initializer += field(9, struct.pack(f"<{len(values)}f", *values))
    graph = b"".join(field(1, item) for item in nodes) + field(2, "statistics") + field(5, initializer)
    graph += b"".join(field(11, tensor(name, [1, "n"])) for name in names) + field(12, tensor("vector", [1, width]))
    return field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph)


def node(kind: str, inputs: list[str], outputs: list[str], attributes: bytes) -> bytes:
    return (
        b"".join(field(1, name) for name in inputs)
        + b"".join(field(2, name) for name in outputs)
        + field(4, kind)
        + attributes
    )


def attribute(name: str, integer: int | None = None, ints: Sequence[int] = ()) -> bytes:
    value = field(3, integer) + field(20, INT_ATTRIBUTE) if integer is not None else b""
    if ints:
        value = b"".join(field(8, number) for number in ints) + field(20, INTS_ATTRIBUTE)
    return field(5, field(1, name) + value)


def tensor(name: str, shape: list[int | str]) -> bytes:
    dims = b"".join(field(1, field(1, size) if isinstance(size, int) else field(2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dims)))


def field(number: int, value: int | str | bytes) -> bytes:
    """A protobuf field: varint for numbers, length and bytes for the rest."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
