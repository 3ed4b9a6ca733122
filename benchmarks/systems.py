"""RESULTS.md: every run below a folder, with its command, its numbers on the test images, and a gallery of its pictures.

    python benchmarks/systems.py runs/results               # writes RESULTS.md and docs/gallery/ at the root of the project
    python benchmarks/systems.py runs/results --iwae 500    # with a tighter bound on the likelihood of the VAEs; slow

A run is evaluated once: its numbers are kept in evaluation.json in its folder, beside the step that they belong to.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from nnscratch.serialization import atomic_write
from nnscratch.training import Run
from nnscratch.training.overview import find_runs
from nnscratch.training.recipe import DEFAULTS, load_data, restore, saved_config, task_of
from nnscratch.training.tasks import SMALL_SET, TASKS, Task

ROOT = Path(__file__).parent.parent
UNITS = {"loss": "{:.4g}", "accuracy": "{:.2%}", "precision": "{:.2%}", "recall": "{:.2%}", "f1": "{:.2%}"}
GANS = ("gan", "dcgan", "wgan-gp")
GENERATORS = ("lenet_fid", "judge_fid", "cnn_fid", "cnn_kid", "precision", "recall", "classes_covered", "recognised")
TITLES = {"lenet_fid": "LeNet-FID", "judge_fid": "FID of its own judge", "cnn_fid": "CNN-FID", "cnn_kid": "CNN-KID"}
SHOWN = {  # of each system the numbers that are compared with others'; of the rest all
    "cnn": ("accuracy", "f1"),
    "lstm": ("accuracy", "f1"),
    **dict.fromkeys(GANS, GENERATORS),
}
NATS = ("vae", "row-lstm")  # whose loss is one
PICTURES = (
    "samples.png", "reconstructions.png", "edits.png", "completions.png", "restored.png", "films.gif", "continued.png",
    "predictions.png",
)  # fmt: skip
HEAD = """# Results

Made by `python benchmarks/systems.py {folder}` from the runs in that folder; the numbers are those of `nnscratch evaluate` on the
test images of each data set. Every run is made by its command below; with the same version, machine and number of threads, bit
for bit. Time is from the start of a run to its last epoch, on two cores of which other work had most: an upper bound. Where fewer
epochs were done than asked for, the run was stopped there.

| run | system | data | on the test images | seed | epochs | time |
|---|---|---|---|---:|---:|---:|
"""


def command_of(config: dict[str, Any], name: str) -> str:
    """The command line that makes the run: everything that differs from the defaults."""
    task, data, training = TASKS[config["task"]], config["data"], config["training"]
    words = ["nnscratch", "train", config["task"], "--data", data["name"]]
    for key in ("size", "limit"):
        if data[key] not in (None, task.sizes.get(data["name"]) if key == "size" else None):
            words += [f"--{key}", str(data[key])]
    words += ["--label", data["label"]] if data.get("label") else []
    words += ["--skip-bad"] if data.get("skip_bad") else []
    train = load_data(**data)[0]
    defaults = task.small_set if len(train) <= SMALL_SET else task.large_set
    for key, value in {**training, **config["options"]}.items():
        usual = task.options[key].default if key in task.options else defaults.get(key, DEFAULTS.get(key))
        if value is None or value == usual or (value == 0 and usual is None):
            continue
        flag = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join([*words, "--out", f"runs/{name}"])


def evaluated(run: Run, iwae: int, judge: Path | None) -> dict[str, Any]:
    """The numbers of `nnscratch evaluate` and the step that they belong to."""
    path, config = run.folder / "evaluation.json", saved_config(run)
    model, checkpoint = restore(run)
    bounded = TASKS[config["task"]].likelihood_bound is not Task.likelihood_bound  # which only says that there is none
    asked = {"step": checkpoint.step, "iwae": iwae if bounded else 0}
    if path.exists() and (kept := json.loads(path.read_text())).items() >= asked.items():
        return kept["numbers"]
    train, test = load_data(**config["data"])
    task = task_of(config)
    task.begin(config["data"], train, run.folder)
    if judge is not None and config["task"] in GANS and saved_config(Run(judge))["data"]["name"] == config["data"]["name"]:
        task.judged_by(restore(Run(judge))[0])
    numbers = dict(task.report(model, test))
    if asked["iwae"]:
        nats, error = task.likelihood_bound(model, test, iwae)
        numbers |= {f"IWAE-NLL ({iwae})": nats, "standard error": error}
    atomic_write(path, json.dumps({**asked, "numbers": numbers}, indent=1).encode())
    return numbers


def shown(system: str, numbers: dict[str, float]) -> str:
    wanted = SHOWN.get(system)
    chosen = {name: value for name, value in numbers.items() if wanted is None or name in wanted}
    text = []
    for name, value in chosen.items():
        title = "nats" if name == "loss" and system in NATS else TITLES.get(name, name.replace("_", " "))
        text.append(f"{title} {UNITS.get(name, '{:.4g}').format(value)}")
    return ", ".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--iwae", type=int, default=0, metavar="K")
    parser.add_argument("--judge", type=Path, metavar="RUN", help="a cnn run that judges generators of the same data")
    parser.add_argument("--output", type=Path, default=ROOT)
    args = parser.parse_args()
    lines, commands, gallery = [], [], []
    pictures = args.output / "docs" / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    for entry in find_runs(args.folder):
        run, name = Run(entry.folder), entry.folder.name
        if entry.problem or not entry.numbers:
            print(f"left out: {entry.folder}: {entry.problem or 'no epoch is done'}")
            continue
        config = saved_config(run)
        numbers = evaluated(run, args.iwae, args.judge)
        minutes = ((run.folder / "metrics.csv").stat().st_mtime - (run.folder / "config.json").stat().st_mtime) / 60
        seed, what = config["training"]["seed"], shown(entry.system, numbers)
        lines.append(f"| {name} | {entry.system} | {entry.data} | {what} | {seed} | {entry.epochs} | {minutes:.0f} min |")
        commands.append(command_of(config, name))
        for picture in PICTURES:
            if (entry.system, picture) == ("map-vae", "samples.png"):  # its code, for edits, hardly follows the prior
                continue
            if (run.folder / picture).exists():
                target = f"{name}-{picture}"
                shutil.copyfile(run.folder / picture, pictures / target)
                gallery.append(f"**{name}**, `{picture}`\n\n![{name}](docs/gallery/{target})\n")
        print(lines[-1])
    text = HEAD.format(folder="runs") + "\n".join(lines) + "\n\n## Commands\n\n```sh\n" + "\n".join(commands)
    text += "\n```\n\n## Pictures\n\n" + "\n".join(gallery)
    atomic_write(args.output / "RESULTS.md", text.encode())
    print(f"written: {args.output / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
