"""The training loop: what it records, when it stops, what it says."""

import math
import signal

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn, optim
from nnscratch.data import DataLoader, TensorDataset
from nnscratch.training import CheckpointError, Interrupted, NonFiniteLoss, Progress, Run, Trainer


def make(epochs=3, lr=0.1, optimizer=None, loss=None, **options):
    nns.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3)).astype(np.float32)
    data = TensorDataset(x, x @ np.array([[1.0], [2.0], [-1.0]], np.float32))
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=lr) if optimizer is None else optimizer(model.parameters())

    def mean_square(model, batch):
        error = model(batch[0]) - batch[1]
        return (error * error).mean()

    return Trainer(
        model, loss or mean_square, optimizer, DataLoader(data, 8), epochs=epochs, progress=Progress(quiet=True), **options
    )


def test_learns_and_averages_over_samples_not_batches():
    losses = []

    def loss(model, batch):
        error = model(batch[0]) - batch[1]
        value = (error * error).mean()
        losses.append((len(batch[0]), value.item()))
        return value, {"size": len(batch[0])}

    trainer = make(epochs=20, loss=loss)
    history = trainer.fit()
    assert [row["epoch"] for row in history] == list(range(1, 21))
    assert history[-1]["step"] == 60
    assert history[-1]["train_loss"] < 0.01 * history[0]["train_loss"]
    assert history[0]["train_loss"] == sum(n * v for n, v in losses[:3]) / 20
    assert history[0]["train_size"] == (8 * 8 + 8 * 8 + 4 * 4) / 20
    assert trainer.fit() is history and len(history) == 20, "a finished run has nothing left to do"


def test_evaluates_in_eval_mode_without_gradients_and_returns_to_training():
    seen = []

    def evaluate(model):
        seen.append((model.training, nns.is_grad_enabled()))
        return {"test_loss": 1.0}

    trainer = make(epochs=2, evaluate=evaluate)
    trainer.fit()
    assert seen == [(False, False)] * 2
    assert trainer.model.training


def test_evaluates_the_averaged_weights():
    seen = []
    trainer = make(epochs=1, evaluate=lambda model: seen.append(model.weight.data.copy()) or {})
    trainer.ema = optim.EMA(trainer.model, 0.5)
    trainer.fit()
    np.testing.assert_array_equal(seen[0], trainer.ema.averages["weight"])
    assert not np.array_equal(seen[0], trainer.model.weight.data)


def test_clips_the_gradient():
    norms = []

    class Spy(optim.SGD):
        def step(self):
            norms.append(math.sqrt(sum(float((p.grad.data**2).sum()) for g in self.param_groups for p in g["params"])))
            return super().step()

    runs = [make(epochs=1, optimizer=lambda ps, kind=kind: kind(ps, lr=0.1), clip_norm=0.01) for kind in (Spy, optim.SGD)]
    for run in runs:
        run.fit()
    np.testing.assert_allclose(norms, 0.01, rtol=1e-3)
    for a, b in zip(runs[0].model.parameters(), runs[1].model.parameters()):  # whose own step clips
        assert a.data.tobytes() == b.data.tobytes()


@pytest.mark.parametrize("each_batch", [False, True])
def test_steps_the_schedule(each_batch):
    trainer = make(epochs=2)
    trainer.scheduler, trainer.schedule_batches = optim.lr_scheduler.ExponentialLR(trainer.optimizer, 0.5), each_batch
    history = trainer.fit()
    assert [row["lr"] for row in history] == ([0.1 * 0.5**3, 0.1 * 0.5**6] if each_batch else [0.1, 0.05])


def test_a_plateau_schedule_gets_the_monitored_value():
    values = iter([3.0, 2.0, 2.0, 2.0, 1.0])
    trainer = make(epochs=5, evaluate=lambda model: {"score": next(values)}, monitor="score")
    trainer.scheduler = optim.lr_scheduler.ReduceLROnPlateau(trainer.optimizer, patience=1)
    trainer.fit()
    assert trainer.scheduler.best == 1.0
    np.testing.assert_allclose([row["lr"] for row in trainer.history], [0.1, 0.1, 0.1, 0.1, 0.01])


def test_stops_early_and_remembers_the_best(tmp_path, capsys):
    values = iter([3.0, 1.0, 2.0, 2.0, 0.0])
    run = Run(tmp_path / "run", keep=1)
    run.create({})
    trainer = make(epochs=5, evaluate=lambda model: {"test_loss": next(values)}, patience=2, run=run)
    trainer.progress = Progress()
    assert len(trainer.fit()) == 4
    assert capsys.readouterr().out.splitlines()[4:] == ["stopped early: no test loss below 1 for 2 epochs"]
    assert (trainer.best, trainer.best_step) == (1.0, 6)
    assert [c.step for c in run.checkpoints()] == [6, 12]
    resumed = make(epochs=5, evaluate=lambda model: {"test_loss": 0.0}, patience=2, run=run)
    resumed.resume(run.latest())
    assert len(resumed.fit()) == 4, "patience stays lost after a restart"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_it_does_harm(tmp_path, value):
    run = Run(tmp_path / "run")
    run.create({})
    trainer = make(run=run, save_every=2)
    good = trainer.loss

    def loss(model, batch):
        return good(model, batch) * (value if trainer.step == 4 else 1)

    trainer.loss = loss
    with pytest.raises(NonFiniteLoss, match=f"became {value} at step 5 .epoch 2.*below 0.1 .*checkpoint of step 4"):
        trainer.fit()
    assert np.isfinite(trainer.model.weight.data).all()


def test_sigterm_is_reported_as_such(tmp_path):
    run = Run(tmp_path / "run")
    run.create({})
    trainer = make(run=run, on_epoch=lambda trainer: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted, match="SIGTERM") as stop:
        trainer.fit()
    assert stop.value.signum == signal.SIGTERM
    assert run.latest().step == 3


def test_prints_one_line_an_epoch(capsys):
    trainer = make(epochs=2, evaluate=lambda model: {"test_loss": 12.0, "test_accuracy": 0.5})
    trainer.progress = Progress()
    trainer.fit()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2   train loss ")
    assert "test loss 12.00  test accuracy 50.00%   " in lines[1]


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    trainer = make(epochs=1)
    trainer.progress = Progress()
    trainer.fit()
    assert "epoch 1/1" in capsys.readouterr().err


def test_wrong_options():
    with pytest.raises(ValueError, match="save_every must be at least 1, got 0"):
        make(save_every=0)
    with pytest.raises(ValueError, match="patience"):
        make(patience=0)
    with pytest.raises(ValueError, match=r"monitor 'val_los' is not among .*: epoch, step, lr, train_loss, val_loss"):
        make(monitor="val_los", evaluate=lambda model: {"val_loss": 1.0}).fit()
    trainer = make()
    with pytest.raises(TypeError, match="batches with a length"):
        Trainer(trainer.model, trainer.loss, trainer.optimizer, iter([]), epochs=1)
    with pytest.raises(ValueError, match="no batches"):
        Trainer(trainer.model, trainer.loss, trainer.optimizer, [], epochs=1).fit()


@pytest.mark.parametrize(
    ("loss", "given"), [(lambda m, b: 3.0, "float"), (lambda m, b: m(b[0]), r"shape \(8, 1\)"), (lambda m, b: (2, {}), "int")]
)
def test_a_loss_that_is_not_one_number_is_named(loss, given):
    with pytest.raises(TypeError, match=f"must return one number as a tensor.*got {given}"):
        make(loss=loss).fit()


def test_evaluate_gives_numbers_by_name(tmp_path):
    with pytest.raises(TypeError, match="must return a dict of numbers by name, got float"):
        make(evaluate=lambda model: 0.5).fit()
    run = Run(tmp_path / "run")
    make(epochs=1, evaluate=lambda model: {"score": nns.tensor(0.5)}, run=run).fit()
    assert run.latest().state["history"][0]["score"] == 0.5


def test_without_monitor_the_test_loss_counts_and_else_the_training_loss():
    for evaluate, expected in ((lambda model: {"test_loss": 7.0}, "test_loss"), (lambda model: {"score": 0.0}, "train_loss")):
        trainer = make(epochs=1, evaluate=evaluate)
        row = trainer.fit()[0]
        assert trainer.best == row[expected]


def test_does_not_mix_two_trainings_in_one_folder(tmp_path):
    run = Run(tmp_path / "run")
    with pytest.raises(CheckpointError, match="no checkpoint to resume from"):
        make(run=run).resume(run.latest())
    make(epochs=3, run=run).fit()
    with pytest.raises(CheckpointError, match=r"already holds a training, up to step 9; continue it with trainer\.resume"):
        make(epochs=1, run=run).fit()
    assert run.latest().step == 9
    run.create({})
    make(epochs=1, run=run).fit()
    assert [c.step for c in run.checkpoints()] == [3]


@pytest.mark.parametrize("form", [lambda x: x, lambda x: {"x": x, "name": ["a"] * len(x)}, lambda x: ((x, x), ["b"] * len(x))])
def test_batches_of_any_structure(form):
    def loss(model, batch):
        x = batch if isinstance(batch, nns.Tensor) else batch["x"] if isinstance(batch, dict) else batch[0][1]
        return model(x).square().mean()

    trainer = make(epochs=1, loss=loss)
    trainer.loader = [form(nns.tensor(np.ones((n, 3), np.float32))) for n in (4, 2)]
    assert trainer.fit()[0]["step"] == 2
