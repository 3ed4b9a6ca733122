"""Adversarial training: the mistakes of the field are absent, and each system learns to draw in seconds."""

import shutil

import numpy as np
import pytest

import nnscratch as nns
from nnscratch.cli import main
from nnscratch.data import Digits
from nnscratch.metrics.judge import train_judge
from nnscratch.models import DCGAN, GAN
from nnscratch.nn import functional as F
from nnscratch.training import Run
from nnscratch.training.recipe import Session, configure, restore
from nnscratch.training.tasks import TASKS


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    file = tmp_path_factory.mktemp("judge") / "judge.safetensors"
    nns.save(train_judge(Digits(train=True), (1, 8, 8), 10), file)
    return file


def session(folder, task, training=None, judge=None, limit=None, **options):
    config, data = configure(task, {"name": "digits", "size": 8, "limit": limit}, training or {}, options)
    run = Run(folder)
    run.create(config)
    if judge is not None:
        shutil.copy(judge, folder / "judge.safetensors")
    return Session(config, run, data, quiet=True)


# ------------------------------------------------------------------------------------------------- mistakes left out


def gradient_of_generator(sure, loss):
    """The size of the generator's gradient when the discriminator's score is lower by `sure`."""
    nns.manual_seed(0)
    model = GAN((1, 8, 8), latent=5, hidden=16)
    model.discriminator[3].bias.data[...] -= sure
    batch = (nns.rand(8, 1, 8, 8),)
    loss(model, batch).backward()
    return sum(float((p.grad.numpy() ** 2).sum()) for p in model.generator.parameters()) ** 0.5


@pytest.mark.parametrize("kind", ["non-saturating", "hinge", "wasserstein"])
def test_the_generator_has_a_usable_gradient_when_the_discriminator_is_sure(kind):
    task = TASKS["gan"](loss=kind)
    even, sure = (gradient_of_generator(s, lambda model, batch: task.generator_loss(model, batch, 0)[0]) for s in (0, 30))
    assert sure > 0.9 * even > 0

    def as_printed(model, batch):  # minimise log(1 - D(G(z))), which is flat just there
        return -F.softplus(model(model.generator(model.noise(8)))).mean()

    assert gradient_of_generator(30, as_printed) < 1e-6 * even


@pytest.mark.parametrize("kind", ["non-saturating", "hinge", "wasserstein", "least-squares"])
def test_the_generators_step_raises_the_score_of_its_samples(kind):
    """Minimising log D(G(z)), as one article prints it, would lower it."""
    nns.manual_seed(0)
    model = GAN((1, 8, 8), latent=5, hidden=16)
    weights, z = list(model.generator.parameters()), nns.randn(8, 5)
    model.noise = lambda n: z
    descent = nns.grad(TASKS["gan"](loss=kind).generator_loss(model, (z,), 0)[0], weights)
    ascent = nns.grad(model(model.generator(z)).mean(), weights)
    assert sum(float((a.numpy() * b.numpy()).sum()) for a, b in zip(descent, ascent)) < 0


def test_the_discriminator_sees_real_and_generated_images():
    nns.manual_seed(0)
    task, model = TASKS["dcgan"](width=4), DCGAN((1, 8, 8), latent=5, width=4)
    seen = []
    forward = model.forward
    model.forward = lambda x: seen.append(x.numpy()) or forward(x)
    real = nns.rand(6, 1, 8, 8)
    task.discriminator_loss(model, (real, None), 0)
    first, second = seen
    np.testing.assert_array_equal(first, 2 * real.numpy() - 1)
    assert second.shape == first.shape and np.abs(second).max() < 1 and np.abs(second - first).max() > 0.1


@pytest.mark.parametrize("name", ["dcgan", "wgan-gp"])
def test_penalties_and_augmentation_reach_the_losses(name, monkeypatch):
    from nnscratch.training.tasks import adversarial

    nns.manual_seed(0)
    model = DCGAN((1, 8, 8), latent=5, width=4, norm="none")
    batch = (nns.rand(6, 1, 8, 8), None)
    calls = []
    monkeypatch.setattr(adversarial, "gradient_penalty", lambda m, r, f: calls.append(("gp", r, f)) or nns.tensor(1.0))
    monkeypatch.setattr(adversarial, "r1_penalty", lambda m, r: calls.append(("r1", r)) or nns.tensor(1.0))
    monkeypatch.setattr(adversarial, "diff_augment", lambda x, policy, span: calls.append((policy, span)) or x + 5)

    def loss(**options):
        nns.manual_seed(1)
        calls.clear()
        return TASKS[name](loss="wasserstein", **{"gp": 0.0, **options}).discriminator_loss(model, batch, 0)[0].item()

    plain = loss()
    assert calls == []
    assert loss(gp=7.0) == pytest.approx(plain + 7, rel=1e-5) and [c[0] for c in calls] == ["gp"]
    assert loss(r1=3.0) == pytest.approx(plain + 3, rel=1e-5) and [c[0] for c in calls] == ["r1"]
    loss(diffaugment="color+translation", gp=1.0)
    policies, (_, real, fake) = calls[:2], calls[2]
    assert policies == [(["color", "translation"], 2.0)] * 2, "the same for real and generated"
    assert real.numpy().min() >= 4 and fake.numpy().min() >= 4, "the penalty is on what the discriminator sees"
    calls.clear()
    TASKS[name](diffaugment="cutout").generator_loss(model, batch, 0)
    assert calls == [(["cutout"], 2.0)], "and the generator's loss sees its images through it too"


def test_batch_norm_under_a_gradient_penalty_is_warned_of():
    with pytest.warns(UserWarning, match="the discriminator has batch norm"):
        TASKS["dcgan"](gp=10.0).optimizer(DCGAN((1, 16, 16), width=4), 1e-3)
    for task in (TASKS["wgan-gp"](), TASKS["dcgan"](gp=10.0, spectral_norm=True)):
        config = task.model_config((1, 28, 28), 10)
        task.optimizer(nns.models.build(task.name, {**config, "width": 4}), 1e-3)


# ------------------------------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize(
    ("task", "training", "options", "bound"),
    [
        ("gan", {"epochs": 25, "lr": 1e-3}, {}, 100),
        ("dcgan", {"epochs": 8, "lr": 1e-3}, {"width": 16}, 150),
        ("dcgan", {"epochs": 8, "lr": 1e-3}, {"width": 16, "loss": "hinge", "spectral_norm": True}, 150),
        ("wgan-gp", {"epochs": 20, "lr": 1e-3}, {"width": 16, "n_critic": 3}, 150),
    ],
)
def test_each_system_learns_to_draw_digits(tmp_path, judge, task, training, options, bound):
    """Untrained, the distance is above 600 and few classes are seen."""
    run = session(tmp_path / "run", task, training, judge, **options)
    run.model.eval()
    before = run.task.evaluate(run.model, run.test)
    run.trainer.fit()
    after = run.trainer.history[-1]
    assert before["judge_fid"] > 600 and before["classes_covered"] < 5
    assert after["test_judge_fid"] < bound and after["test_classes_covered"] >= 9 and 0.6 < after["test_diversity"] < 1.4
    assert after["test_recognised"] > 0.25
    assert run.trainer.best == min(row["test_judge_fid"] for row in run.trainer.history)
    restored, _ = restore(run.run)
    assert run.task.evaluate(restored, run.test) == pytest.approx({k[5:]: v for k, v in after.items() if k.startswith("test_")})


def test_the_average_is_of_the_generator_and_its_statistics():
    model = DCGAN((1, 16, 16), latent=5, width=4)
    names = TASKS["dcgan"]().averaged(model)
    assert set(names) == {
        name for name in model.state_dict() if name.startswith("generator.") and not name.endswith("num_batches_tracked")
    }


# -------------------------------------------------------------------------------------------------------- command line


@pytest.mark.parametrize("task", ["gan", "dcgan", "wgan-gp"])
def test_a_run_from_the_command_line(tmp_path, capsys, monkeypatch, task):
    from nnscratch.metrics import judge

    monkeypatch.setattr(judge, "STEPS", 20)
    folder = tmp_path / "run"
    args = ["train", task, "--data", "digits", "--size", "8", "--limit", "100", "--out", str(folder), "--epochs", "2"]
    width = [] if task == "gan" else ["--width", "4"]
    assert main([*args, "--latent", "7", *width]) == 0
    out = capsys.readouterr().out
    assert "train D(x) " in out and "train D(G(z)) " in out and "test classes covered " in out
    for name in ("epochs/samples-001.png", "epochs/samples-002.png", "samples.png", "training.gif", "curves.png"):
        assert (folder / name).stat().st_size > 0
    assert {"generator-optimizer", "discriminator-optimizer", "ema"} <= set(Run(folder).latest().parts)
    assert Run(folder).config["model"]["latent"] == 7
    monkeypatch.setattr(TASKS[task], "samples", 60)
    assert main(["evaluate", str(folder)]) == 0
    out = capsys.readouterr().out
    for name in ("judge_fid", "judge_kid", "judge_is", "precision", "recall", "classes_covered", "recognised", "judge_accuracy"):
        assert f"  {name} " in out
    assert main(["train", task, "--out", str(folder), "--resume", "--epochs", "3", "--quiet"]) == 0
    assert main(["train", task, "--out", str(folder), "--resume", "--latent", "8"]) == 2
    assert "--latent 7, which cannot become 8" in capsys.readouterr().err


def test_pictures_without_classes(tmp_path, capsys):
    """Few, of a folder, not square: they are scaled, compared by pixels, and what they are too few for is left out."""
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    args = ["train", "dcgan", "--data", f"folder:{tmp_path / 'pictures'}", "--out", str(tmp_path / "run"), "--epochs", "1"]
    assert main(args) == 1
    assert "dcgan draws square images, and these are 9x12: --size 32 scales them" in capsys.readouterr().err
    assert main([*args, "--size", "8", "--width", "2"]) == 0
    out = capsys.readouterr().out
    assert "test pixel fid " in out and "covered" not in out
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "pixel_kid " in out and "precision" not in out and "recognised" not in out


def test_a_summary_shows_both_networks(capsys):
    assert main(["summary", "dcgan"]) == 0
    out = capsys.readouterr().out
    assert "ConvTranspose2d" in out and "LeakyReLU" in out and out.count("mult-adds:") == 2
    up = 16 * 100 * 256 + 16 * 256 * 128 * 9 + 49 * 128 * 64 * 16 + 196 * 64 * 16
    down = 196 * 64 * 16 + 49 * 64 * 128 * 16 + 16 * 128 * 256 * 9 + 256 * 16
    assert f"mult-adds:   {up:,}" in out and f"mult-adds:   {down:,}" in out


def test_training_options_reach_both_networks(tmp_path, capsys, judge):
    made = session(tmp_path / "run", "gan", {"epochs": 1, "schedule": "cosine", "weight_decay": 0.1, "l1": 1e-5}, judge, limit=64)
    made.trainer.fit()
    for optimizer in made.trainer.optimizer.values():
        (group,) = optimizer.param_groups
        assert group["weight_decay"] == 0.1 and group["lr"] < 1e-9, "at the end of the cosine"
    args = ["train", "gan", "--data", "digits", "--limit", "64", "--out", str(tmp_path / "private")]
    assert main([*args, "--private-noise", "1"]) == 1
    assert "--private-noise is for systems with one loss; gan has discriminator and generator" in capsys.readouterr().err


def test_a_cnn_judges(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(TASKS["gan"], "samples", 60)
    data = ["--data", "digits", "--size", "8", "--limit", "100", "--epochs", "1", "--quiet"]
    from nnscratch.metrics import judge

    monkeypatch.setattr(judge, "STEPS", 2)
    for task in ("cnn", "gan"):
        assert main(["train", task, *data, "--out", str(tmp_path / task)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "gan"), "--judge", str(tmp_path / "cnn")]) == 0
    out = capsys.readouterr().out
    assert "  cnn_kid " in out and "  cnn_fid " in out and "  recognised " in out
    assert main(["evaluate", str(tmp_path / "gan"), "--judge", str(tmp_path / "gan")]) == 2
    assert "expected the run of a cnn, not of a gan" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "cnn"), "--judge", str(tmp_path / "cnn")]) == 1
    assert "a judge is for systems that generate images by themselves, not for cnn" in capsys.readouterr().err
    other = ["train", "cnn", "--data", "digits", "--size", "12", "--limit", "100", "--epochs", "1", "--quiet", "--out"]
    assert main([*other, str(tmp_path / "other")]) == 0
    assert main(["evaluate", str(tmp_path / "gan"), "--judge", str(tmp_path / "other")]) == 2
    assert "the cnn takes images (1, 12, 12), the samples are (1, 8, 8)" in capsys.readouterr().err


def test_resuming_gives_the_same_bits(tmp_path, judge):
    options = {"width": 4, "n_critic": 2, "diffaugment": "color+translation+cutout", "spectral_norm": True, "gp": 1.0, "r1": 0.5}
    training = {"epochs": 3, "save_every": 1, "batch_size": 16}

    def fit(folder, epochs):
        made = session(folder, "dcgan", {**training, "epochs": epochs}, judge, limit=40, **options)
        made.trainer.fit()

    fit(tmp_path / "whole", 3)
    fit(tmp_path / "parts", 2)
    run = Run(tmp_path / "parts")
    second = Session({**run.config, "training": {**run.config["training"], "epochs": 3}}, run, quiet=True)
    second.trainer.resume(run.latest())
    second.trainer.fit()
    a, b = (
        {p.name: p.read_bytes() for p in [*Run(tmp_path / name).latest().folder.iterdir(), tmp_path / name / "metrics.csv"]}
        for name in ("whole", "parts")
    )
    assert a == b
