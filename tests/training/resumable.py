"""A small training with everything that has state, run as a process that the tests kill: `resumable.py FOLDER EPOCHS`."""

import sys

import nnscratch as nns
from nnscratch import nn, optim
from nnscratch.data import DataLoader, Digits, MapDataset, Subset, transforms
from nnscratch.nn import functional as F
from nnscratch.training import Progress, Run, Trainer


def build(folder, epochs, **options):
    nns.manual_seed(3)
    noise = nns.Generator(5)
    train, test = Digits(train=True), Digits(train=False)
    data = MapDataset(Subset(train, range(320)), transforms.RandomCrop(8, padding=1))
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(384, 10)
    )
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def loss(model, batch):
        x, labels = batch
        logits = model(x + 0.05 * nns.randn_like(x, generator=noise))
        return F.cross_entropy(logits, labels), {"mean": logits.detach().mean().item()}

    def evaluate(model):
        x, labels = test.batch(range(100))
        return {"test_loss": F.cross_entropy(model(nns.tensor(x)), nns.tensor(labels)).item()}

    return Trainer(
        model,
        loss,
        optimizer,
        DataLoader(data, 16, shuffle=True, seed=1, prefetch=2),
        epochs=epochs,
        evaluate=evaluate,
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20 * epochs),
        schedule_batches=True,
        ema=optim.EMA(model, 0.99),
        clip_norm=1.0,
        run=Run(folder),
        generators={"noise": noise},
        progress=Progress(quiet=True),
        **{"save_every": 3, **options},
    )


if __name__ == "__main__":
    trainer = build(sys.argv[1], int(sys.argv[2]))
    latest = trainer.run.latest()
    if latest is None:
        trainer.run.create({"task": "resumable"})
    else:
        trainer.resume(latest)
    trainer.fit()
