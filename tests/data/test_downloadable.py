import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from data_cases import cifar_records, idx

from nnscratch.data import CIFAR10, KMNIST, MNIST, DataError, FashionMNIST
from nnscratch.data.cifar import CIFAR10 as cifar_class


def write_mnist(folder, n=6, part="train", compressed=True, images=None, labels=None):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 28, 28)).astype("u1") if images is None else images
    labels = (np.arange(n) % 10).astype("u1") if labels is None else labels
    for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
        data = idx(array)
        (folder / (name + ".gz" * compressed)).write_bytes(gzip.compress(data) if compressed else data)
    return images, labels


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("place", ["root", "root/mnist", "environment", "environment/mnist", "cache/nnscratch/mnist"])
def test_files_are_found_where_they_may_lie(isolated, monkeypatch, place, compressed):
    monkeypatch.setenv("NNSCRATCH_DATA", str(isolated / "environment"))
    images, labels = write_mnist(isolated / place, part="t10k", compressed=compressed)
    mnist = MNIST(root=isolated / "root", train=False)
    np.testing.assert_array_equal(mnist.data[:, 0], images)
    np.testing.assert_array_equal(mnist.labels, labels)
    image, label = mnist[2]
    assert image.shape == (1, 28, 28) and image.dtype == np.float32 and label == 2
    np.testing.assert_allclose(image[0], images[2] / 255, rtol=1e-6)
    np.testing.assert_array_equal(mnist.images[2], image)


def test_root_comes_first(isolated, monkeypatch):
    monkeypatch.setenv("NNSCRATCH_DATA", str(isolated / "environment"))
    write_mnist(isolated / "environment" / "mnist", n=3)
    write_mnist(isolated / "root", n=4)
    assert len(MNIST(isolated / "root")) == 4 and len(MNIST()) == 3
    assert MNIST(size=32).data.shape == (3, 1, 32, 32) and MNIST(size=32).data.dtype == np.uint8


def test_several_folders_are_searched_in_order(isolated, monkeypatch):
    folders = [isolated / name for name in ("absent", "first one", "second")]
    monkeypatch.setenv("NNSCRATCH_DATA", os.pathsep.join(map(str, [*folders, ""])))
    write_mnist(folders[2] / "mnist", n=3)
    assert len(MNIST()) == 3
    write_mnist(folders[1], n=4)
    assert len(MNIST()) == 4 and len(MNIST(folders[2])) == 3
    write_mnist(folders[2] / "mnist", n=5, part="t10k")
    assert len(MNIST(train=False)) == 5, "not all in one folder"
    with pytest.raises(DataError, match="cifar10") as caught:
        CIFAR10()
    assert all(str(folder / "cifar10") in str(caught.value) for folder in folders)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST])
def test_without_files_or_network_the_error_says_what_to_do(isolated, kind):
    with pytest.raises(DataError) as caught:
        kind(root=isolated / "here")
    message = str(caught.value)
    for part in ("train-images-idx3-ubyte.gz", str(isolated / "here"), "no route to host", "NNSCRATCH_DATA", kind.url):
        assert part in message
    with pytest.raises(DataError, match="not to be downloaded"):
        kind(root=isolated / "here", download=False)


def test_download_passes_published_checksums(isolated, monkeypatch):
    import pooch

    asked = []

    def retrieve(url, known_hash, fname, path, progressbar):
        asked.append((url, known_hash))
        write_mnist(path, n=5)
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert len(MNIST()) == 5
    assert asked == [(MNIST.url + "train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873")]  # labels came along
    assert (isolated / "cache" / "nnscratch" / "mnist").is_dir()
    monkeypatch.setenv("NNSCRATCH_DATA", os.pathsep.join([str(isolated / "mine"), str(isolated / "yours")]))
    assert len(FashionMNIST()) == 5
    assert (isolated / "mine" / "fashion-mnist").is_dir() and not (isolated / "yours").exists()


def test_hashes_are_distinct_md5():
    hashes = [h for kind in (MNIST, FashionMNIST, KMNIST) for h in kind.md5.values()] + [CIFAR10.md5]
    assert len(set(hashes)) == 13 and all(len(h) == 32 and int(h, 16) for h in hashes)


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"labels": np.zeros(5, "u1")}, "each of 6 images"),
        ({"labels": np.array([0, 1, 2, 3, 4, 11], "u1")}, "label 11 of sample 5"),
        ({"labels": np.zeros(6, ">i4")}, "one byte for each"),
        ({"images": np.zeros((6, 28, 27), "u1")}, r"\(6, 28, 27\)"),
        ({"images": np.zeros((6, 784), "u1")}, r"\(6, 784\)"),
        ({"images": np.zeros((6, 28, 28), ">f4")}, "float32"),
    ],
)
def test_files_of_the_wrong_kind(isolated, files, fault):
    write_mnist(isolated, **files)
    with pytest.raises(DataError, match=fault) as caught:
        MNIST(isolated)
    assert "idx" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        (MNIST, {True: [5, 0, 4, 1, 9], False: [7, 2, 1, 0, 4]}),
        (FashionMNIST, {True: [9, 0, 0, 3, 0], False: [9, 2, 1, 1, 6]}),
    ],
)
def test_real_files(real_data, kind, first):
    for train, labels in first.items():
        dataset = kind(real_data, train, download=False)
        assert len(dataset) == (60_000 if train else 10_000)
        assert dataset.labels[:5].tolist() == labels
        for path in (real_data / kind.folder).glob(("train" if train else "t10k") + "*.gz"):
            assert hashlib.md5(path.read_bytes()).hexdigest() == kind.md5[path.stem]
    assert kind(real_data).classes[first[True][0]] == ("5" if kind is MNIST else "Ankle boot")
    mean = kind(real_data).data.mean() / 255
    assert abs(mean - (0.1307 if kind is MNIST else 0.2860)) < 1e-4


# CIFAR-10


def write_cifar(folder, n=4):
    folder.mkdir(parents=True)
    for k, name in enumerate([*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]):
        (folder / name).write_bytes(cifar_records((np.arange(n) + k) % 10).tobytes())


@pytest.mark.parametrize("place", [".", "cifar-10-batches-bin", "cifar10", "cifar10/cifar-10-batches-bin"])
def test_cifar_files_are_found(isolated, place):
    write_cifar(isolated / "root" / place)
    train, test = CIFAR10(isolated / "root"), CIFAR10(isolated / "root", train=False)
    assert len(train) == 20 and test.labels.tolist() == [5, 6, 7, 8]
    assert train.labels.tolist()[:8] == [0, 1, 2, 3, 1, 2, 3, 4]
    assert train[0][0].shape == (3, 32, 32) and train.classes[9] == "truck"


def test_cifar_archive_is_unpacked_safely(isolated, monkeypatch):
    monkeypatch.setattr(cifar_class, "file_bytes", 100 * 3073)
    (isolated / "root").mkdir()
    with tarfile.open(isolated / "root" / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name in [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]:
            info = tarfile.TarInfo("cifar-10-batches-bin/" + name)
            info.size = 100 * 3073
            archive.addfile(info, io.BytesIO(cifar_records([1, 2] * 50).tobytes()))
    assert len(CIFAR10(isolated / "root", train=False)) == 100
    (isolated / "root" / "cifar-10-binary.tar.gz").write_bytes(b"")
    assert len(CIFAR10(isolated / "root")) == 500  # the unpacked files are used from now on
    (isolated / "root" / "cifar10" / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    with pytest.raises(DataError, match="damaged or truncated"):
        CIFAR10(isolated / "root", train=False)


def test_cifar_without_files(isolated):
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz .*no route to host"):
        CIFAR10()


@pytest.mark.slow
def test_real_cifar(real_data, tmp_path):
    script = real_data / "unpack_cifar10.py"
    if not script.exists():
        pytest.skip("no CIFAR-10 files")
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)
    train, test = CIFAR10(tmp_path, download=False), CIFAR10(tmp_path, train=False, download=False)
    assert len(train) == 50_000 and len(test) == 10_000
    assert np.bincount(train.labels).tolist() == [5000] * 10 and np.bincount(test.labels).tolist() == [1000] * 10
    np.testing.assert_allclose(train.data.mean(axis=(0, 2, 3)) / 255, [0.4914, 0.4822, 0.4465], atol=1e-4)
