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


TRAINING = """
import torch
from torch import nn, optim
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(p=0.0)
        self.head = nn.Linear(10, 3)

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
        out, (h, c) = self.lstm(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.head(self.dropout(torch.cat([h[-2], h[-1]], dim=1) + out.mean(dim=1)))


def parameters(model):
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(0.5 * torch.cos(torch.arange(p.numel(), dtype=torch.float32) * (i + 2)).view_as(p))
    return model


lengths = torch.tensor([1 + i % 5 for i in range(24)])
tokens = torch.tensor([[1 + (3 * i + 7 * t) % 11 if t < 1 + i % 5 else 0 for t in range(5)] for i in range(24)])
labels = torch.tensor([i % 5 // 2 for i in range(24)])
loader = DataLoader(TensorDataset(tokens, lengths, labels), batch_size=8, shuffle=False, num_workers=0, pin_memory=False)
model = parameters(Classifier()).to("cpu")
optimizer = optim.AdamW(model.parameters(), lr=0.02, weight_decay=1e-2)
scheduler = OneCycleLR(optimizer, max_lr=0.02, epochs=6, steps_per_epoch=len(loader))
criterion = nn.CrossEntropyLoss()
losses, rates = [], []
for epoch in range(6):
    model.train()
    for inputs, sizes, targets in loader:
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(model(inputs.to("cpu"), sizes), targets)
        loss.backward()
        norm = clip_grad_norm_(model.parameters(), max_norm=0.5)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        rates.append(scheduler.get_last_lr()[0])

torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, path)
saved = torch.load(path)
again = Classifier()
keys = str(again.load_state_dict(saved["model"]))
optimizer = optim.AdamW(again.parameters(), lr=1.0)
optimizer.load_state_dict(saved["optimizer"])
again.eval()
with torch.no_grad():
    logits = again(tokens, lengths)
    top, predicted = torch.max(logits.data, 1)
    same = torch.equal(logits, model.eval()(tokens, lengths))
correct = (predicted == labels).sum().item()
rate, epoch = optimizer.param_groups[0]["lr"], saved["epoch"]
"""


def test_a_torch_training_script(tmp_path):
    theirs, ours = {"__name__": "script", "path": str(tmp_path / "a")}, {"__name__": "script", "path": str(tmp_path / "b")}
    exec(TRAINING, theirs)
    changed = TRAINING.replace("from torch", "from nnscratch")
    exec(changed.replace("import torch\n", "import nnscratch as torch\n"), ours)
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-3)
    np.testing.assert_allclose(ours["rates"], theirs["rates"], rtol=1e-6)
    assert ours["losses"][-1] < 0.8 * ours["losses"][0]
    assert ours["rate"] == pytest.approx(theirs["rate"])
    for name in ("keys", "correct", "epoch"):
        assert ours[name] == theirs[name], name
    assert ours["same"] and theirs["same"]
