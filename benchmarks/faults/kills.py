"""Kills at every write, and disks that are full: whatever is cut short goes on to the same bytes."""

import ctypes
import os
import shutil
import warnings
from pathlib import Path

from scratchvae.errors import RunWarning, ScratchVAEError
from scratchvae.models import VAE
from scratchvae.training import RunFolder, first_model, fit, load_model, resume

from .child import in_child
from .formats import data, fresh

OPTIONS = {"batch_size": 20, "log_every": 2, "threads": 1, "progress": False}
EPOCHS = 2
CHANGES = {"extend": {"epochs": 3}, "chapter": {"epochs": 3, "lr": 5e-4}}  # what a resume is asked for


def new_model():
    return VAE(12, (4,), 2, seed=3)


def train(folder, images=None, **options):
    fit(new_model(), images or data(), out=folder, epochs=EPOCHS, **{**OPTIONS, **options})


def go_on(folder, images=None, changes=None, **options):
    """Whatever is in the folder: train on, from the start if need be (then with these options), to the last epoch."""
    run = RunFolder(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        if not run.config_path.exists():
            train(folder, images, **options)
        model = load_model(folder, best=False) if run.checkpoint_path.exists() else first_model(folder)
        resume(model, images or data(), folder, threads=1, progress=False, **(changes or {}))


def told(folder):
    """What must be the same: the bytes of the checkpoints, the configuration, and the metrics but for their times."""
    run = RunFolder(folder)
    records = [{name: value for name, value in r.items() if name not in ("seconds", "images_per_s")} for r in run.records()]
    checkpoints = {path.name: path.read_bytes() for path in sorted(run.path.glob("*.npz"))}
    return checkpoints, run.config(), records


def kills(folder, every=1):
    """A kill before every operation that changes a file, of a run with a validation split and without, and of a resume that extends one
    or begins a chapter → {"kills": n, "faults": […]}"""
    folder, faults, number = Path(folder), [], 0
    train(fresh(folder) / "cut", max_steps=3)
    for name in ("train", "validation", *CHANGES):
        images = data().with_validation(0.2) if name == "validation" else data()
        changes, run, whole = CHANGES.get(name), folder / "run", folder / name

        def begin(place, name=name, images=images, changes=changes):
            if name in CHANGES:
                shutil.copytree(folder / "cut", place)
            return lambda: go_on(place, images, changes) if name in CHANGES else train(place, images)

        begin(whole)()
        wanted, n, ended = told(whole), 0, False
        while not ended:
            shutil.rmtree(run, ignore_errors=True)
            answer = in_child(begin(run), kill_at=n, under=folder)
            ended = "value" in answer
            if not ended and "killed" not in answer:
                faults.append([f"{name}, kill {n}", str(answer)])
                break
            answer = in_child(lambda run=run, images=images, changes=changes: go_on(run, images, changes))
            if "value" not in answer:
                faults.append([f"{name}, kill {n}, going on", str(answer)])
            elif told(run) != wanted:
                faults.append([f"{name}, kill {n}", "went on to something else"])
            elif left := [path.name for path in run.iterdir() if ".part" in path.name]:
                faults.append([f"{name}, kill {n}", f"left {left}"])
            number, n = number + (not ended), n + every
    return {"kills": number, "faults": faults}


def full_files(folder, every=1, deadly=False):
    """A run whose files may not grow beyond a limit, for every limit → {"limits": n, "faults": […]}

    It ends in one line of ours, or well; deadly: it is killed in the middle of the write. What is left goes on to the same bytes.
    """
    folder, faults, number = Path(folder), [], 0
    options = {"batch_size": 2, "log_every": 1}  # so many lines that the metrics become the largest file
    train(fresh(folder) / "whole", **options)
    wanted = told(folder / "whole")
    sizes = sorted({path.stat().st_size for path in (folder / "whole").iterdir()})
    limits = sorted({limit for size in sizes for limit in range(max(0, size - 40), size + 1, 13)} | set(range(0, max(sizes), 499)))
    for limit in limits[::every]:
        shutil.rmtree(folder / "run", ignore_errors=True)
        answer = in_child(lambda: train(folder / "run", **options), file_size=limit, deadly=deadly)
        number += 1
        if not {"value", "killed"} & set(answer) and ("\n" in answer.get("told", "\n") or len(answer["told"]) > 500):
            faults.append([f"limit {limit}", str(answer)])
            continue
        answer = in_child(lambda: go_on(folder / "run", **options))
        if "value" not in answer or told(folder / "run") != wanted:
            faults.append([f"limit {limit}, going on", str(answer)])
    return {"limits": number, "faults": faults}


def small_disks(folder, pages):
    """A run on a disk (tmpfs) of so many pages, for each of `pages`, which is then given room → {"small_disks": n, "faults": […]}

    n is 0 where the system lets nobody mount one.
    """
    folder, faults, number = fresh(folder), [], 0
    train(folder / "whole")
    wanted, disk = told(folder / "whole"), fresh(folder / "disk")

    def on(size):
        _mount(disk, size, 0)
        try:
            train(disk / "run")
        except ScratchVAEError as error:
            what = str(error)
        else:
            what = ""
        _mount(disk, 4096, MS_REMOUNT)
        go_on(disk / "run")
        return {"what": what, "same": told(disk / "run") == wanted}

    for size in pages:
        answer = in_child(lambda size=size: on(size))
        if "OSError: [Errno 1]" in answer.get("raw", ""):  # not permitted
            break
        found = answer.get("value", {"same": False})
        if not found["same"] or "\n" in found["what"] or len(found["what"]) > 500:
            faults.append([f"{size} pages", str(answer)])
        number += 1
    return {"small_disks": number, "faults": faults}


CLONE_NEWNS, CLONE_NEWUSER, MS_REMOUNT, MS_PRIVATE = 0x00020000, 0x10000000, 32, 1 << 18 | 1 << 14


def _mount(disk, pages, flags):
    """Mount (or remount) a tmpfs of so many pages of 4 KiB at `disk`, seen by this process alone. Raises OSError where it may not."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, *arguments):
        if getattr(libc, name)(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    if not flags:
        call("unshare", CLONE_NEWNS if os.geteuid() == 0 else CLONE_NEWNS | CLONE_NEWUSER)
        call("mount", None, b"/", None, MS_PRIVATE, None)
    call("mount", b"none", os.fsencode(disk), b"tmpfs", flags, f"size={pages * 4096}".encode())


def little_memory(folder, sizes):
    """Training of a model that needs some 100 MB with less than that to be had → {"memories": n, "faults": […]}"""
    faults = []

    def train_large():
        fit(VAE(12, (3000, 1000), 2, seed=3), data(), out=fresh(folder), epochs=1, batch_size=20, threads=2, progress=False)

    for size in sizes:
        answer = in_child(train_large, memory=size)
        if "value" not in answer and ("\n" in answer.get("told", "\n") or len(answer["told"]) > 500):
            faults.append([f"{size} bytes", str(answer)])
    return {"memories": len(sizes), "faults": faults}
