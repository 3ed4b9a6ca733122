"""A script written for torch runs after its imports are changed, and trains to the same losses."""

import numpy as np
import pytest

pytest.importorskip("torch")

SCRIPT = """
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Net(nn.Module):
    def __init__(self, channels=6):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        )
        self.rnn = nn.LSTM(channels * 4, 8, batch_first=True)
        self.gate = nn.Parameter(torch.ones(8))
        self.head = nn.Linear(8, 3)
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x):
        h = self.features(x)
        n, c, rows, cols = h.shape
        h, _ = self.rnn(h.permute(0, 2, 1, 3).reshape(n, rows, c * cols))
        h = F.dropout(h[:, -1] * torch.sigmoid(self.gate), 0.5, training=False)
        return self.head(h)


torch.manual_seed(0)
model = Net()
with torch.no_grad():
    for i, p in enumerate(model.parameters()):
        p.copy_(0.3 * torch.sin(torch.arange(p.numel(), dtype=torch.float32) * (i + 1)).reshape(p.shape))

x = torch.cos(torch.arange(16 * 64, dtype=torch.float32) * 0.37).view(16, 1, 8, 8)
labels = torch.tensor([i % 3 for i in range(16)])
optimizer = optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-4)
criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
losses = []
model.train()
for epoch in range(6):
    for start in range(0, len(x), 8):
        optimizer.zero_grad()
        loss = criterion(model(x[start : start + 8]), labels[start : start + 8])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.steps += 1
        losses.append(loss.item())
model.eval()
with torch.no_grad():
    predicted = model(x).argmax(dim=1)
accuracy = (predicted == labels).float().mean().item()
steps = model.steps.item()
shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
text = str(model)
count = sum(p.numel() for p in model.parameters() if p.requires_grad)
"""


def test_a_torch_script():
    theirs, ours = {"__name__": "script"}, {"__name__": "script"}
    exec(SCRIPT, theirs)
    changed = SCRIPT.replace("import torch.", "import nnscratch.").replace("import torch\n", "import nnscratch as torch\n")
    exec(changed, ours)
    assert len(ours["losses"]) == 12
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=2e-4)
    assert ours["losses"][-1] < ours["losses"][0]
    for name in ("steps", "shapes", "text", "count", "accuracy"):
        assert ours[name] == theirs[name], name
