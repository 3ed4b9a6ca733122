"""A small adversarial training with everything that has state, killed by the tests: `resumable_gan.py FOLDER EPOCHS`."""

import sys

import nnscratch as nns
from nnscratch import optim
from nnscratch.data import DataLoader, Digits, Subset
from nnscratch.models import DCGAN
from nnscratch.training import Progress, Run, Trainer
from nnscratch.training.tasks import TASKS


def build(folder, epochs):
    nns.manual_seed(3)
    task = TASKS["dcgan"](loss="hinge", n_critic=2, r1=0.5, gp=1.0, diffaugment="color+translation+cutout", spectral_norm=True)
    model = DCGAN((1, 8, 8), latent=6, width=4, spectral_norm=True)
    return Trainer(
        model,
        {name: lambda model, batch, loss=loss: loss(model, batch, 0) for name, loss in task.losses().items()},
        task.optimizer(model, 1e-3),
        DataLoader(Subset(Digits(train=True), range(160)), 8, shuffle=True, seed=1),
        epochs=epochs,
        every=task.every,
        ema=optim.EMA(task.averaged(model), 0.9),
        clip_norm=5.0,
        run=Run(folder),
        save_every=3,
        progress=Progress(quiet=True),
    )


if __name__ == "__main__":
    trainer = build(sys.argv[1], int(sys.argv[2]))
    latest = trainer.run.latest()
    if latest is None:
        trainer.run.create({"task": "resumable"})
    else:
        trainer.resume(latest)
    trainer.fit()
