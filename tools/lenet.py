"""Train the LeNet of LeNet-FID on MNIST and write nnscratch/metrics/weights/lenet.safetensors: `python tools/lenet.py`.

Prints the accuracy on the test images and the SHA-256, which belong into nnscratch/metrics/lenet.py. Training images are shifted
by up to two pixels; the weights are stored in half precision and tested as stored.
"""

import hashlib
import sys
from pathlib import Path

import nnscratch as nns
from nnscratch import optim
from nnscratch.data import DataLoader, MapDataset, load, transforms
from nnscratch.metrics.lenet import LeNet
from nnscratch.nn import functional as F
from nnscratch.tensor import as_tensor
from nnscratch.training import Trainer, metrics

OUTPUT = Path(__file__).resolve().parent.parent / "nnscratch" / "metrics" / "weights" / "lenet.safetensors"


def loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def main(epochs=12, seed=0):
    nns.manual_seed(seed)
    train, test = load("mnist", train=True), load("mnist", train=False)
    model = LeNet()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    loader = DataLoader(MapDataset(train, transforms.RandomCrop(28, padding=2)), 128, shuffle=True, seed=seed)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * len(loader))
    ema = optim.EMA(model, 0.998, warmup=True)

    def evaluate(model):
        scores = [model(as_tensor(test.batch(range(k, k + 1000))[0])) for k in range(0, 10_000, 1000)]
        labels = test.batch(range(10_000))[1]
        return {"test_accuracy": metrics.accuracy(nns.cat(scores).numpy(), labels)}

    Trainer(
        model, loss, optimizer, loader, epochs=epochs, evaluate=evaluate, scheduler=schedule, schedule_batches=True, ema=ema
    ).fit()
    with ema.applied():
        stored = {name: w.detach().to(nns.float16) for name, w in model.state_dict().items()}
    OUTPUT.parent.mkdir(exist_ok=True)
    nns.save(stored, OUTPUT)
    model.load_state_dict({name: w.float() for name, w in stored.items()})
    with nns.no_grad():
        print(f"ACCURACY = {evaluate(model.eval())['test_accuracy']}")
    print(f'SHA256 = "{hashlib.sha256(OUTPUT.read_bytes()).hexdigest()}"  # {OUTPUT.stat().st_size} bytes')


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
