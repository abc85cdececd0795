"""Damage is where the label says: whole packets of the picture, or files that no decoder opens."""

from fractions import Fraction

import av
import numpy as np
import pytest

from nava.data.synthetic.damage import DAMAGE_KINDS, DAMAGED_SHARE, UNDECODABLE, damage, make_undecodable
from nava.data.synthetic.files import Film, write_mp4


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    rng = np.random.default_rng(2)
    texture = rng.integers(0, 255, size=(12, 60, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    frames = np.stack([texture[:, 3 * t : 3 * t + 128] for t in range(100)])
    tone = 0.2 * np.sin(np.arange(4 * 48_000) / 20, dtype=np.float32)[None]
    path = tmp_path_factory.mktemp("moving") / "whole.mp4"
    write_mp4(path, Film(frames, Fraction(25), tone, 48_000))
    return path


def errors_and_frames(path):
    errors = frames = 0
    with av.open(str(path)) as container:
        for packet in container.demux():
            try:
                for frame in packet.decode():
                    if isinstance(frame, av.VideoFrame):
                        frames += 1
                        errors += frame.is_corrupt
            except av.FFmpegError:
                errors += 1
    return errors, frames


def hit(moving, tmp_path, kind, slightly):
    path = tmp_path / "hit.mp4"
    path.write_bytes(moving.read_bytes())
    detail = damage(path, kind, slightly, np.random.default_rng(0))
    return path, detail


def test_the_whole_film_has_no_errors(moving):
    assert errors_and_frames(moving) == (0, 100)


@pytest.mark.parametrize("kind", DAMAGE_KINDS)
def test_heavy_damage_gives_many_errors(moving, tmp_path, kind):
    path, detail = hit(moving, tmp_path, kind, slightly=False)
    assert detail == f"{kind}: {round(DAMAGED_SHARE * 100)} of 100 video packets"
    errors, _ = errors_and_frames(path)
    assert errors >= 3


@pytest.mark.parametrize("kind", DAMAGE_KINDS)
def test_slight_damage_hits_one_packet_and_at_most_two_errors_follow(moving, tmp_path, kind):
    path, detail = hit(moving, tmp_path, kind, slightly=True)
    assert detail == f"{kind}: 1 of 100 video packets"
    errors, frames = errors_and_frames(path)
    assert errors <= 2
    assert frames >= 98


def test_only_bytes_inside_packets_change(moving, tmp_path):
    path, _ = hit(moving, tmp_path, "flipped", slightly=False)
    before, after = moving.read_bytes(), path.read_bytes()
    assert len(before) == len(after)
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    with av.open(str(moving)) as container:
        spans = [(packet.pos, packet.pos + packet.size) for packet in container.demux(video=0) if packet.size]
    assert changed
    assert all(any(start + 8 <= place < end for start, end in spans) for place in changed)


def undecodable(variant, moving):
    return make_undecodable(variant, lambda front: fronted(moving) if front else moving.read_bytes(), rng())


def rng():
    return np.random.default_rng(9)


def fronted(moving):
    front = moving.with_name("front.mp4")
    with av.open(str(moving)) as source, av.open(str(front), "w", options={"movflags": "+faststart"}) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    return front.read_bytes()


@pytest.mark.parametrize("variant", range(2 * len(UNDECODABLE)))
def test_no_form_can_be_decoded_to_its_end(moving, tmp_path, variant):
    data, form = undecodable(variant, moving)
    assert form == UNDECODABLE[variant % len(UNDECODABLE)]
    path = tmp_path / "broken.mp4"
    path.write_bytes(data)
    if form != "broken off":
        with pytest.raises(av.FFmpegError):
            errors_and_frames(path)
    else:
        assert errors_and_frames(path)[1] < 80


def test_no_two_of_them_are_the_same_file(moving):
    generator = rng()
    whole = moving.read_bytes()
    films = (whole, whole[:2000] + b"!" + whole[2001:])
    made = [
        make_undecodable(round_ * len(UNDECODABLE) + form, lambda _, film=film: film, generator)[0]
        for round_, film in enumerate(films)
        for form in range(len(UNDECODABLE))
    ]
    assert len(set(made)) == len(made)
