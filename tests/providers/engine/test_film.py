"""The finished film of the sample, judged as a viewer gets it."""

from __future__ import annotations

import av
import cv2
import numpy as np

from bench import lipsync

from . import rendering


def test_events_tell_the_whole_story(sample):
    assert sample.exit == 0, sample.stderr
    (plan,), (done,) = sample.named("plan"), sample.named("done")
    clips = sample.named("clip")
    assert [clip["index"] for clip in clips] == list(range(plan["clips"]))
    assert sum(clip["frames"] for clip in clips) == plan["frames"] == done["frames"] == 313
    assert sample.events.index(plan) < sample.events.index(clips[0])
    assert sample.last() is done
    assert done["has_audio"] is True
    assert all((sample.workdir / line["file"]).stat().st_size for line in [*clips, done])
    shares = [line["progress"] for line in sample.named("progress")]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert {line["phase"] for line in sample.named("progress")} == {"analyse", "render", "mux"}


def test_film_is_h264_and_aac_of_the_sounds_length(sample):
    with av.open(str(sample.output)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert audio.codec_context.name == "aac"
        assert (video.width, video.height) == (624, 624)
        assert video.average_rate == 25
        frames = sum(1 for _ in container.decode(video=0))
        seconds = float(video.duration * video.time_base)
    spoken = len(rendering.read_wav(rendering.SPEECH)[0]) / 24_000
    assert frames == 313
    assert abs(frames / 25 - spoken) <= 1 / 25
    assert abs(seconds - spoken) <= 1 / 25


def test_index_comes_before_the_data_so_that_players_can_start_at_once(sample):
    data = sample.output.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_sound_is_there_and_in_step(sample):
    heard, said = rendering.sound_of(sample.output), rendering.sound_of(rendering.SPEECH)
    assert abs(len(heard) - len(said)) < 0.05 * 16_000
    size = min(len(heard), len(said))
    spectrum = np.fft.rfft(heard[:size], 2 * size) * np.conj(np.fft.rfft(said[:size], 2 * size))
    match = np.fft.irfft(spectrum)
    lag = int(match.argmax())
    lag -= 2 * size if lag > size else 0
    assert abs(lag) <= 16  # one millisecond
    assert match.max() / (np.linalg.norm(heard[:size]) * np.linalg.norm(said[:size])) > 0.97


def test_lips_follow_the_voice(sample):
    frames = lipsync.gray_frames(sample.output)
    opening = lipsync.mouth_opening(frames)
    energy = lipsync.loudness(rendering.SPEECH, 25, len(frames))
    found = lipsync.compare(opening, energy, 25)
    assert found.correlation >= 0.6
    assert abs(found.lag_ms) <= 80
    shuffled = np.random.default_rng(0).permutation(energy)
    assert lipsync.compare(opening, shuffled, 25).correlation < 0.3, (
        "the measure itself finds what is not there"
    )


def test_poster_is_a_frame_of_the_film(sample):
    with av.open(str(sample.workdir / "poster.jpg")) as container:
        (poster,) = (frame.to_ndarray(format="bgr24") for frame in container.decode(video=0))
    frames = rendering.frames_of(sample.output)[:100]
    assert min(np.abs(poster.astype(int) - frame).mean() for frame in frames) < 4


def test_no_seam_between_clips(brief):
    """Seen at a quarter of the size, where what jumps is picture and not the texture of a key frame."""
    frames = [
        cv2.resize(frame.astype(np.float32), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        for frame in lipsync.gray_frames(brief.output)
    ]
    steps = np.array([np.abs(a - b).mean() for a, b in zip(frames[1:], frames[:-1], strict=True)])
    seams = [k * 20 - 1 for k in range(1, len(brief.named("clip")))]
    assert steps[seams].max() <= np.delete(steps, seams).max() * 1.1
