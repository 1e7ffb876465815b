import pytest
import torch
import torch.nn.functional as F

from models.layers import Gate, ShortConvolution


def test_it_is_a_causal_depthwise_convolution() -> None:
    convolution, chunk = ShortConvolution(num_features=6), torch.randn(2, 9, 6)
    output, state = convolution(chunk, convolution.initial_state(2))
    weight = convolution.weight.T[:, None]
    expected = F.conv1d(F.pad(chunk.mT, (3, 0)), weight, convolution.bias, groups=6).mT
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(state, chunk[:, -3:])


@pytest.mark.parametrize("kernel_size", [1, 2, 4])
@pytest.mark.parametrize("border", [1, 5, 9])
def test_two_halves_are_the_whole_and_documents_see_nothing_before_themselves(kernel_size: int, border: int) -> None:
    convolution, chunk = ShortConvolution(num_features=3, kernel_size=kernel_size).double(), torch.randn(2, 10, 3)
    chunk = chunk.double()
    reset = torch.zeros(2, 10, dtype=torch.bool)
    reset[0, [4, 5]] = True
    reset[1, [0, 9]] = True
    state = torch.randn(2, kernel_size - 1, 3).double()
    whole, end = convolution(chunk, state, reset)
    first, middle = convolution(chunk[:, :border], state, reset[:, :border])
    second, last = convolution(chunk[:, border:], middle, reset[:, border:])
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, atol=1e-14, rtol=0)
    assert torch.equal(last, end)
    alone, _ = convolution(chunk[:1, 5:], convolution.initial_state(1))
    torch.testing.assert_close(whole[:1, 5:], alone, atol=1e-14, rtol=0)


def test_a_kernel_needs_a_step() -> None:
    with pytest.raises(ValueError, match="kernel_size: 0 given, at least 1 is needed"):
        ShortConvolution(num_features=3, kernel_size=0)


def test_a_gate_starts_as_open_as_asked() -> None:
    gate = Gate(input_size=4, num_gates=3, openness=0.9)
    torch.testing.assert_close(gate(torch.zeros(2, 4)), torch.full((2, 3), 0.9))
    with torch.autocast("cpu", torch.bfloat16):
        assert gate(torch.zeros(2, 4)).dtype == torch.float32


@pytest.mark.parametrize("openness", [0.0, 1.0, -1.0])
def test_a_gate_starts_between_open_and_closed(openness: float) -> None:
    with pytest.raises(ValueError, match=f"openness: {openness} given, must be between 0 and 1"):
        Gate(input_size=4, num_gates=3, openness=openness)
