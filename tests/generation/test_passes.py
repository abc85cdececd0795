import pytest
import torch

from nava.diffusion.guidance import Pass
from nava.generation.passes import Conditions, Latents, PassRunner, Speakers, conditions_of_passes

TEXT = torch.arange(12.0).reshape(2, 2, 3)
VOICE = Speakers(torch.ones(2, 4), torch.tensor([0, 3]))


class Ready:
    """A prepared context that remembers what it was made of."""

    def __init__(self, made_of, batch):
        self.made_of, self.batch = made_of, batch

    def expand(self, batch):
        return Ready(self.made_of, batch)

    @staticmethod
    def cat(contexts):
        return Ready([c.made_of for c in contexts], sum(c.batch for c in contexts))


class Preparing:
    """A model whose velocity is the sum of its context's number and the sample's latents."""

    def __init__(self):
        self.prepared, self.calls = [], []

    def prepare(self, text, vectors=None, slots=None):
        self.prepared.append((text, vectors))
        return Ready(len(self.prepared) * 100.0, len(text))

    def __call__(self, video, audio, timestep_B, text_BND, **arguments):
        self.calls.append({"text": text_BND, "timestep": timestep_B, **arguments})
        values = text_BND.made_of if isinstance(text_BND.made_of, list) else [text_BND.made_of]
        parts = audio.chunk(len(values))
        return None, torch.cat([part + value for part, value in zip(parts, values)])


def state():
    return Latents(None, torch.tensor([[[1.0]], [[2.0]]]))


def all_conditions(mode="corrected"):
    return conditions_of_passes(TEXT, None, VOICE, mode=mode)


def test_latents_are_packed_video_first():
    latents = Latents(torch.ones(2, 1, 2, 1, 1, dtype=torch.bfloat16), torch.zeros(2, 3, 1))
    assert len(latents) == 2
    assert latents.packed().tolist() == [[1, 1, 0, 0, 0]] * 2
    assert latents.packed().dtype == torch.float32
    assert latents.repeat(1) is latents
    assert latents.repeat(3).audio.shape == (6, 3, 1)
    assert state().repeat(2).audio.flatten().tolist() == [1, 2, 1, 2]
    assert state().repeat(2).video is None


def test_corrected_conditions():
    conditions = all_conditions()
    assert list(conditions) == list(Pass)
    assert conditions[Pass.CONDITIONAL] == Conditions(TEXT, VOICE)
    assert conditions[Pass.NO_ALIGNMENT] == Conditions(TEXT, VOICE, mask_modality=True)
    assert not conditions[Pass.NO_TEXT].text.any()
    assert conditions[Pass.NO_TEXT].speakers is None
    unknown = conditions[Pass.NO_TIMBRE].speakers
    assert not unknown.vectors.any()
    assert unknown.slots is VOICE.slots


def test_released_conditions():
    negative = TEXT + 1
    conditions = conditions_of_passes(TEXT, negative, VOICE, mode="release")
    assert conditions[Pass.NO_TEXT].text is negative
    assert conditions[Pass.NO_ALIGNMENT] == Conditions(TEXT, None, mask_modality=True)
    assert conditions[Pass.NO_TIMBRE] == Conditions(TEXT)


@pytest.mark.parametrize(("mode", "contexts"), [("corrected", 3), ("release", 3)])
def test_equal_conditions_share_a_context(mode, contexts):
    model = Preparing()
    runner = PassRunner(model, all_conditions(mode), 2, together=False)
    for _ in range(3):
        runner(state(), torch.tensor(500.0))
    assert len(model.prepared) == contexts
    # Corrected: the alignment pass has the conditional one's context. Release: that of the pass without timbre.
    twin = Pass.CONDITIONAL if mode == "corrected" else Pass.NO_TIMBRE
    contexts_of = dict(zip(Pass, (call["text"] for call in model.calls)))
    assert contexts_of[Pass.NO_ALIGNMENT] is contexts_of[twin]
    assert all(context.batch == 2 for context in contexts_of.values())


@pytest.mark.parametrize("together", [False, True])
def test_every_pass_gets_its_own_velocity(together):
    model = Preparing()
    velocities = PassRunner(model, all_conditions(), 2, together=together)(state(), torch.tensor(500.0))
    expected = {Pass.CONDITIONAL: 100, Pass.NO_TEXT: 200, Pass.NO_ALIGNMENT: 100, Pass.NO_TIMBRE: 300}
    assert {kind: v.flatten().tolist() for kind, v in velocities.items()} == {
        kind: [1 + value, 2 + value] for kind, value in expected.items()
    }


def test_passes_together_are_one_call_with_a_flag_for_each_sample():
    model = Preparing()
    PassRunner(model, all_conditions(), 2, together=True, first_frame_clean=True)(state(), torch.tensor(500.0))
    (call,) = model.calls
    assert call["mask_modality"] == [False] * 4 + [True] * 2 + [False] * 2
    assert call["first_frame_clean"]
    assert call["timestep"].tolist() == [500.0] * 8
    # Expanded, so that the model embeds the time once.
    assert call["timestep"].stride() == (0,)


def test_without_the_alignment_pass_there_are_no_flags():
    model = Preparing()
    conditions = {kind: c for kind, c in all_conditions().items() if kind is not Pass.NO_ALIGNMENT}
    PassRunner(model, conditions, 2, together=True)(state(), torch.tensor(500.0))
    assert model.calls[0]["mask_modality"] is False


def test_a_model_that_cannot_prepare_gets_text_and_speakers_pass_by_pass():
    calls = []

    def model(video, audio, timestep_B, text_BND, **arguments):
        calls.append({"text": text_BND, **arguments})
        return None, audio

    PassRunner(model, all_conditions(), 2, together=True)(state(), torch.tensor(500.0))
    assert [call["text"].shape for call in calls] == [(2, 2, 3)] * 4
    assert [call["speaker_SE"] is None for call in calls] == [False, True, False, False]
    assert [call["mask_modality"] for call in calls] == [False, False, True, False]
