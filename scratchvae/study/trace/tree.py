"""The parts of a model as the page draws them: a box for each part that holds others, and in it what computes, in the
order of forward."""

from dataclasses import dataclass, field

from .lessons import named, symbol


@dataclass
class Node:
    """One that computes.   key: its place · label, below: what stands on it · title: for the heading of its steps"""

    key: str
    label: str
    below: str
    title: str


@dataclass
class Group:
    """A part that holds others: nodes and groups.   kind: its class"""

    key: str
    label: str
    kind: str
    items: list = field(default_factory=list)

    @property
    def size(self):
        """How many nodes stand in it, at any depth."""
        return sum(item.size if isinstance(item, Group) else 1 for item in self.items)


class Tree:
    """groups: what comes in, the model, the optimiser · nodes: {place: Node} · titles: {place: title}, of groups too"""

    def __init__(self, model, calls, given):
        """calls: of forward, in their order · given: {place: (label, below)} of what comes in"""
        self.modules, self.calls, self.places, self.nodes, self.titles = dict(model.modules()), calls, {}, {}, {}
        root = self.group("", "")
        boxes = {"": root}
        for call in calls:
            box = root
            for path in self.parents(call):
                if path not in boxes:
                    boxes[path] = self.group(path, path[len(box.key) :].strip("."))
                    box.items.append(boxes[path])
                box = boxes[path]
            box.items.append(self.node(call))
        inputs = Group("given", "given", "", [self.put(Node(key, *names, names[1])) for key, names in given.items()])
        self.groups = [
            inputs,
            root,
            Group("optimiser", "optimiser", "", [self.put(Node("adam", "Adam", "update", "Adam"))]),
        ]

    def group(self, path, label):
        kind = self.titles[path] = type(self.modules[path]).__name__
        return Group(path, label, kind)

    def put(self, node):
        self.nodes[node.key], self.titles[node.key] = node, node.title
        return node

    def above(self, path):
        """Paths of the modules that hold the one at this path, and itself."""
        names = path.split(".") if path else []
        return [found for i in range(len(names)) if (found := ".".join(names[: i + 1])) in self.modules]

    def parents(self, call):
        """Paths of the boxes in which a call stands."""
        shown, outer = [], self.modules[""]
        for path in self.above(call.path):
            module = self.modules[path]
            if (holds(module) and not alone(module, outer)) or (path == call.path and len(self.own(call)) > 1):
                shown.append(path)
            outer = module
        return shown

    def own(self, call):
        """What the module of a call does of its own in forward."""
        return [other for other in self.calls if other.path == call.path]

    def node(self, call):
        """The node of a call, which bears its module's name, or where that makes several calls the operation's."""
        own = self.own(call)
        again = [other for other in own if other.name == call.name]
        key, below = call.path, ""
        if holds(call.module) or len(own) > 1:
            key = ".".join(filter(None, (call.path, call.name or "lines"))) + (
                f".{call.nth + 1}" if len(again) > 1 else ""
            )
        self.places[call.path, call.name, call.nth] = key
        if key == call.path:
            label, below = described(call.module)
            title, last = f"{label} {below}".strip(), call.path.rpartition(".")[2]
            below = below or ("" if last.isdigit() else last)
        elif call.name:
            label, title = symbol(call.name), named(call.function)
            below = f"{call.nth + 1} of {len(again)}" if len(again) > 1 else ""
        else:
            label, below, title = ", ".join(call.outs), "own lines", f"{type(call.module).__name__}: lines of its own"
        return self.put(Node(key, label, below, title))

    def place(self, call):
        """Where a call belongs: backward, where its forward stands, and where a path divided, the part in which it
        did."""
        if call.phase == "forward":
            return self.places[call.path, call.name, call.nth]
        name = call.name and call.name.removesuffix("_backward")
        found = [key for (path, forward, _), key in self.places.items() if path == call.path and forward == name]
        if found and name != "plus" and (name or not holds(call.module)):
            return found[::-1][call.nth % len(found)]  # what was done last is undone first
        return call.path


def holds(module):
    """Whether there are others in it."""
    return any(True for _ in module.children())


def alone(module, outer):
    """Whether these are layers, and all that a module, which is none itself, holds of others: no box of its own."""
    holders = [child for _, child in outer.children() if holds(child)]
    return holders == [module] and hasattr(module, "layers") and not hasattr(outer, "layers")


def described(module):
    """What stands on a node, in large and in small: "Conv2D", "1 → 16, 3 × 3"."""
    told = vars(module)
    sizes = f"{told['inputs']} → {told['outputs']}" if {"inputs", "outputs"} <= told.keys() else ""
    window = told.get("size")
    return type(module).__name__, sizes + (
        f", {window[0]} × {window[1]}" if sizes and isinstance(window, tuple) else ""
    )
