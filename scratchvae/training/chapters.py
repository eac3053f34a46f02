"""The chapters of a run: which settings and data held from which step on, so that a change is recorded and a resume
repeats it."""

import reprlib
from dataclasses import asdict, dataclass, replace

from ..errors import ConfigError, RunFolderError
from .run import without_places
from .settings import Settings

# a run has one of each, from its first step to its last
KEPT = ("seed", "optimiser", "optimiser_settings", "shards", "tf32")
SCHEDULE = {"lr", "schedule", "warmup", "every", "factor"}


@dataclass(frozen=True)
class Origin:
    """Where a chapter counts from: `step` begins epoch number `epoch` (from 0), and the schedule's first step is
    `schedule`."""

    step: int = 0
    epoch: int = 0
    schedule: int = 0


START = Origin()


def go_on(config, model, data, step, options, other_data=False):
    """(Settings, Origin, configuration) with which a run goes on from `step`.

    config: of the run · options: the settings that were asked for by name. Where they or the data change anything but
    the number of epochs, a chapter begins, and what held until then joins the history if a step was made under it. A
    new batch size and other data begin a new epoch: what the epoch that they cut short had left is not visited. Options
    of the schedule begin it anew.

    Raises ConfigError for what cannot change, RunFolderError for data that are not the run's.
    """
    old, origin = Settings.from_dict(config["training"]), Origin(**config.get("origin", {}))
    new = Settings.of(**{**old.to_dict(), **options})
    changed = {name for name in options if getattr(new, name) != getattr(old, name)}
    if kept := changed.intersection(KEPT):
        name = min(kept)
        raise ConfigError(f"a run keeps its {name}, here {getattr(old, name)!r}: begin another run for another one")
    same_data = data.is_of(config["data"])
    if not same_data and not other_data:
        raise RunFolderError(
            f"{data.name} is other data than the run was trained on: {difference(config['data'], data)}. "
            "To go on with it, as a new chapter: --other-data, in Python other_data=True"
        )

    if not same_data and "splits" not in config["data"]:
        raise ConfigError(
            "this run was made by version 0.1.0, which did not keep how many images it had: begin another run"
        )
    images = len(data.train.images) if same_data else config["data"]["splits"]["train"]
    per_epoch = old.steps_per_epoch(images)
    whole, part = divmod(step - origin.step, per_epoch)
    done = origin.epoch + whole + (part > 0)
    if new.epochs < done:
        raise ConfigError(
            f"{done} epochs are {'done' if not part else 'begun'}: this run cannot end after {new.epochs}"
        )
    anew = bool(changed & SCHEDULE) or (bool(changed) and "schedule" in options)
    cut = "batch_size" in changed or not same_data
    if old.schedule == "cosine" and not anew and (cut or "epochs" in changed):
        raise ConfigError(
            "a cosine schedule ends with its last epoch: this run can be changed so only with another --schedule or "
            "--lr"
        )
    if model.backend.no_tf32:
        new = replace(new, tf32=False)
    going = origin
    if cut:
        going = replace(going, step=step, epoch=done)
    if anew:
        going = replace(going, schedule=step)
    begins = bool(changed - {"epochs"}) or going != origin or not same_data
    per_epoch_now = new.steps_per_epoch(len(data.train.images))
    if begins and step >= going.step + (new.epochs - going.epoch) * per_epoch_now:
        raise ConfigError(
            f"all {new.epochs} epochs are done, so that a change would change nothing: ask for more --epochs, too"
        )
    now, before = data.note(model.reads), config["data"]
    note = {**before, "splits": now["splits"], "location": now["location"] or before["location"]} if same_data else now
    history = config["history"]
    if begins and step != (history[-1]["ended"]["step"] if history else 0):
        held = {"data": without_places(config)["data"], "training": config["training"], "origin": asdict(origin)}
        history = [
            *history,
            {**held, "ended": {"step": step, "epoch": origin.epoch + (step - origin.step) / per_epoch}},
        ]
    told = {"data": note, "backend": model.backend.name, "training": new.to_dict(), "origin": asdict(going)}
    return new, going, {**config, **told, "history": history}


def difference(note, data):
    """How data differ from those of a run, by what the run's configuration keeps of them, in words."""
    now = data.note()
    for key, what in (("image_shape", "images of shape"), ("splits", "splits of"), ("preparation", "been prepared by")):
        if key in note and note[key] != now[key]:
            told = f"{what} {reprlib.repr(note[key])}, now {reprlib.repr(now[key])}"
            break
    else:
        told = "other labels"
        if note["fingerprint"] != now["fingerprint"]:
            told = f"the fingerprint {note['fingerprint'][:12]}, now {now['fingerprint'][:12]}"
    return f"it had {told}"


def story(config):
    """The chapters of a run in words, one line each: from which step to which, and what was asked for; after the first,
    what changed."""
    lines, before, step = [], {}, 0
    for number, part in enumerate([*config["history"], config], 1):
        told = Settings.from_dict(part["training"]).to_dict()
        told["data"] = f"{part['data']['name']} ({part['data']['fingerprint'][:8]})"
        changed = {name: value for name, value in told.items() if before.get(name, ...) != value}
        if number == 1:
            changed = {
                name: value
                for name, value in changed.items()
                if value is not None and value is not False and value != {}
            }
        words = ", ".join(f"{name} {value}" for name, value in changed.items())
        ended = part.get("ended")
        to = f" to {ended['step']:,} (epoch {ended['epoch']:.4g})" if ended else ""
        lines.append(f"chapter {number}, from step {step:,}{to}: {words}")
        before, step = told, ended["step"] if ended else step
    return lines


def epoch_at(config, step):
    """Passes over the training images at a step of a run's present chapter."""
    origin, settings = Origin(**config["origin"]), Settings.from_dict(config["training"])
    per_epoch = settings.steps_per_epoch(config["data"]["splits"]["train"])
    return origin.epoch + (step - origin.step) / per_epoch
