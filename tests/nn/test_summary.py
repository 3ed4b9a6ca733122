"""The model summary against hand counts."""

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn

# (layer, input shape, multiply-adds counted by hand)
COUNTS = [
    (nn.Linear(3, 4), (5, 3), 5 * 3 * 4),
    (nn.Linear(3, 4, bias=False), (2, 5, 3), 10 * 12),
    (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 6, 7), 2 * 6 * 7 * 8 * 3 * 9),
    (nn.Conv2d(4, 8, (3, 1), stride=2, groups=2), (1, 4, 7, 7), 3 * 4 * 8 * 2 * 3),
    (nn.Conv1d(2, 3, 5, dilation=2), (1, 2, 20), 12 * 3 * 2 * 5),
    (nn.Conv3d(1, 2, 2), (1, 1, 3, 3, 3), 8 * 2 * 8),
    (nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1), (2, 3, 5, 5), 2 * 25 * 3 * 8 * 16),
    (nn.ConvTranspose1d(4, 8, 3, groups=2), (1, 4, 5), 5 * 4 * 4 * 3),
    (nn.LSTM(3, 4), (7, 2, 3), 14 * 4 * 4 * (3 + 4)),
    (nn.LSTM(3, 4, proj_size=2), (7, 2, 3), 14 * (16 * (3 + 2) + 2 * 4)),
    (nn.GRU(3, 4, num_layers=2, bidirectional=True), (7, 2, 3), 14 * 2 * 12 * ((3 + 4) + (8 + 4))),
    (nn.RNN(3, 4, batch_first=True), (2, 7, 3), 14 * 4 * 7),
    (nn.LSTMCell(3, 4), (2, 3), 2 * 16 * 7),
    (nn.BatchNorm2d(3), (2, 3, 4, 4), 0),
    (nn.ReLU(), (2, 3), 0),
]


@pytest.mark.parametrize(("layer", "shape", "count"), COUNTS, ids=[repr(c[0]) for c in COUNTS])
def test_multiply_adds(layer, shape, count):
    result = nn.summary(layer, shape)
    assert result.mult_adds == count
    assert result.total_parameters == sum(p.numel() for p in layer.parameters())
    assert len(result.rows) == 1


def test_nested_model():
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()), nn.Flatten(), nn.Linear(4 * 16, 10)
    )
    net[2].bias.requires_grad_(False)
    net.train()
    net[0][1].eval()
    before = net[0][1].running_mean.numpy().copy()
    s = nn.summary(net, (2, 1, 4, 4))
    assert [(r.path, r.kind, r.depth) for r in s.rows] == [
        ("", "Sequential", 0), ("0", "Sequential", 1), ("0.0", "Conv2d", 2), ("0.1", "BatchNorm2d", 2), ("0.2", "ReLU", 2),
        ("1", "Flatten", 1), ("2", "Linear", 1),
    ]  # fmt: skip
    assert [r.output_shape for r in s.rows] == [(2, 10), *[(2, 4, 4, 4)] * 4, (2, 64), (2, 10)]
    assert [r.parameters for r in s.rows] == [0, 0, 40, 8, 0, 0, 650]
    assert (s.total_parameters, s.trainable_parameters) == (698, 688)
    assert s.mult_adds == 2 * 16 * 4 * 9 + 2 * 640
    assert s.input_bytes == 2 * 16 * 4
    images = 2 * 4 * 16 * 4
    assert [r.activation_bytes for r in s.rows] == [0, 0, images, images, images, s.rows[5].activation_bytes, 80]
    assert s.activation_bytes == sum(r.activation_bytes for r in s.rows)
    assert s.parameter_bytes == 698 * 4 + 2 * 4 * 4 + 8
    assert net.training
    assert not net[0][1].training
    np.testing.assert_array_equal(net[0][1].running_mean.numpy(), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    text = str(s)
    assert "    0: Conv2d" in text
    assert "698 (688 trainable, 10 frozen)" in text
    assert f"{s.mult_adds:,}" in text


def test_shared_modules_and_several_inputs():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.other = self.layer

        def forward(self, a, b):
            return self.layer(a) + self.other(b), a

    s = nn.summary(Twice(), [(2, 3), (2, 3)])
    assert [(r.path, r.repeated) for r in s.rows] == [("", False), ("layer", False), ("layer", True)]
    assert s.total_parameters == 12
    assert s.mult_adds == 2 * 18
    assert s.rows[0].output_shape == ((2, 3), (2, 3))
    assert "(shared)" in str(s)
    s = nn.summary(Twice(), (nns.tensor(np.ones((4, 3), np.float32)), nns.tensor(np.ones((4, 3), np.float32))))
    assert s.rows[1].output_shape == (4, 3)


def test_integer_inputs_own_counts_and_errors():
    net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    assert nn.summary(net, (3, 5), dtype=np.int64).mult_adds == 15 * 8
    assert nn.summary(net, nns.tensor([[1, 2]])).rows[1].output_shape == (1, 2, 4)

    class Own(nn.Module):
        def forward(self, x):
            return x @ x

        def multiply_adds(self, args, output):
            return output.numel() * args[0].shape[1]

    assert nn.summary(Own(), (3, 3)).mult_adds == 27
    with pytest.raises(TypeError, match="shape"):
        nn.summary(net, "3x5")
    broken = nn.Sequential(nn.Linear(3, 4), nn.Linear(3, 4))
    with pytest.raises(Exception) as caught:
        nn.summary(broken, (1, 3))
    assert any("in 1 (Linear" in note for note in caught.value.__notes__)
    assert not broken[1]._forward_hooks
    assert broken.training
    packed = nn.utils.rnn.pack_sequence([nns.tensor(np.ones((n, 3), np.float32)) for n in (4, 2)])
    assert nn.summary(nn.LSTM(3, 4), packed).mult_adds == 6 * 16 * 7
