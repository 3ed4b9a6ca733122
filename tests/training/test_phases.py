"""Several losses in turn: who is changed by whom, how often, and what a checkpoint keeps."""

import math
import signal

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn, optim
from nnscratch.data import DataLoader, TensorDataset
from nnscratch.training import CheckpointError, Interrupted, NonFiniteLoss, Progress, Run, Trainer


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)

    def forward(self, x):
        return self.a(x), self.b(x)


def make(folder=None, epochs=2, losses=None, **options):
    """a is pulled to what b says, b to the data plus noise; 5 steps an epoch."""
    nns.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((20, 2)).astype(np.float32)
    model = Two()

    def first(model, batch):
        a, b = model(batch[0])
        return ((a - b) ** 2).mean(), {"a": a.detach().mean().item()}

    def second(model, batch):
        a, b = model(batch[0])
        return ((b - batch[1] + 0.1 * nns.randn(len(b), 1) - 0.1 * a) ** 2).mean()

    run = None
    if folder is not None:
        run = Run(folder)
        if not run.exists():
            run.create({})
    optimizers = {"one": optim.Adam(model.a.parameters(), lr=0.05), "two": optim.SGD(model.b.parameters(), lr=0.1, momentum=0.9)}
    losses = losses or {"one": first, "two": second}
    loader = DataLoader(TensorDataset(x, x @ np.array([[1.0], [2.0]], np.float32)), 4, shuffle=True, seed=0)
    return Trainer(
        model,
        losses,
        optimizers,
        loader,
        epochs=epochs,
        run=run,
        progress=Progress(quiet=True),
        **{"every": {"two": 3}, **options},
    )


def test_each_loss_changes_its_own_parameters_at_its_turn():
    trainer = make(epochs=3)
    seen = []

    def watch(name, loss):
        def wrapped(model, batch):
            seen.append((trainer.step, name, model.a.weight.data.copy(), model.b.weight.data.copy()))
            frozen = {"one": (True, False), "two": (False, True)}[name]
            assert (model.a.weight.requires_grad, model.b.weight.requires_grad) == frozen
            return loss(model, batch)

        return wrapped

    trainer.loss = {name: watch(name, loss) for name, loss in trainer.loss.items()}
    trainer.fit()
    assert [(step, name) for step, name, *_ in seen if name == "two"] == [(k, "two") for k in (2, 5, 8, 11, 14)]
    assert [step for step, name, *_ in seen if name == "one"] == list(range(15))
    for before, after in zip(seen, seen[1:]):
        changed = not np.array_equal(before[2], after[2]), not np.array_equal(before[3], after[3])
        assert changed == ((True, False) if before[1] == "one" else (False, True))
    assert all(p.requires_grad for p in trainer.model.parameters())


def test_numbers_are_averaged_over_the_turns_of_their_loss():
    trainer = make(epochs=1)
    values = {"one": [], "two": []}

    def watch(name, loss):
        def wrapped(model, batch):
            result = loss(model, batch)
            values[name].append((result[0] if isinstance(result, tuple) else result).item())
            return result

        return wrapped

    trainer.loss = {name: watch(name, loss) for name, loss in trainer.loss.items()}
    (row,) = trainer.fit()
    assert row["train_one_loss"] == pytest.approx(np.mean(values["one"])) and len(values["one"]) == 5
    assert row["train_two_loss"] == values["two"][0] and len(values["two"]) == 1
    assert "train_a" in row and row["lr"] == 0.05
    assert trainer.best == row["train_one_loss"]


def test_the_average_moves_with_the_last_of_the_losses():
    trainer = make(epochs=2)
    trainer.ema = optim.EMA({"b.weight": trainer.model.b.weight}, 0.5)
    trainer.fit()
    assert trainer.ema.updates == 10 // 3


def test_clips_each_by_itself():
    norms = []
    trainer = make(epochs=1, clip_norm=0.01, every={})
    for optimizer in trainer.optimizer.values():
        (p,) = optimizer.param_groups[0]["params"]
        step = optimizer.step
        optimizer.step = lambda p=p, step=step: norms.append(math.sqrt(float((p.grad.data**2).sum()))) or step()
    trainer.fit()
    np.testing.assert_allclose(norms, [0.01] * 10, rtol=1e-3)


def final(folder):
    latest = Run(folder).latest()
    return {path.name: path.read_bytes() for path in latest.folder.iterdir()}, (folder / "metrics.csv").read_bytes()


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5, 8])
def test_stopped_at_any_step_it_resumes_to_the_same_bits(tmp_path, stop_at):
    whole = make(tmp_path / "whole")
    whole.fit()
    first = make(tmp_path / "parts")
    loss = first.loss["one"]

    def interrupting(model, batch):
        if first.step + 1 == stop_at:
            signal.raise_signal(signal.SIGINT)
        return loss(model, batch)

    first.loss = {**first.loss, "one": interrupting}
    with pytest.raises(Interrupted):
        first.fit()
    assert sorted(first.run.latest().parts) == ["model", "one-optimizer", "two-optimizer"]
    second = make(tmp_path / "parts")
    second.resume(second.run.latest())
    assert second.step == stop_at
    second.fit()
    assert final(tmp_path / "whole") == final(tmp_path / "parts")


def test_the_loss_that_is_not_finite_is_named(tmp_path):
    trainer = make(tmp_path / "run")
    losses = dict(trainer.loss)
    trainer.loss = {**losses, "two": lambda model, batch: losses["two"](model, batch) * math.nan}
    with pytest.raises(NonFiniteLoss, match=r"the two loss became nan at step 3 .*a learning rate below 0.1 "):
        trainer.fit()
    assert all(p.requires_grad for p in trainer.model.parameters()), "nothing stays frozen"


def test_a_checkpoint_of_one_optimiser_does_not_fit(tmp_path):
    trainer = make(tmp_path / "run", epochs=1)
    trainer.fit()
    model = Two()
    one = Trainer(
        model, lambda m, b: m(b[0])[0].mean(), optim.SGD(model.parameters(), 0.1), trainer.loader, epochs=1, run=trainer.run
    )
    with pytest.raises(CheckpointError, match="has no 'optimizer', only model, one-optimizer, two-optimizer"):
        one.resume(trainer.run.latest())


def test_losses_and_optimisers_must_fit():
    model = Two()
    sgd = optim.SGD(model.parameters(), 0.1)
    loss = lambda m, b: m(b[0])[0].mean()  # noqa: E731
    for losses, optimizers, every, message in [
        ({"a": loss}, sgd, None, "expected a dict of optimisers for the losses a, got SGD"),
        ({"a": loss, "b": loss}, {"a": sgd}, None, "for the losses a, b, got a"),
        (loss, {"a": sgd}, None, "need a dict of losses"),
        (loss, sgd, {"a": 2}, "need a dict of losses"),
        ({}, {}, None, "is empty"),
        ({"a": loss}, {"a": sgd}, {"b": 2}, r"for some of a, got \{'b': 2\}"),
        ({"a": loss}, {"a": sgd}, {"a": 0}, "at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            Trainer(model, losses, optimizers, [], epochs=1, every=every)
