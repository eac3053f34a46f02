"""Does backward write the derivative of what forward computes? The classic check, exact and approximate, on everything."""

from . import small

SAMPLE = 4  # entries of each tensor of a network of several paths, and a random direction over all of them


def complex_step(copy):
    """Every operation, module and model, by complex steps (E34)."""
    yield from _gradcheck(copy, "complex")


def differences(copy):
    """The same by central differences (E35), the check that most code has."""
    yield from _gradcheck(copy, "difference")


def _gradcheck(copy, method):
    checks = copy["checks"]
    reports = checks.check_all(method=method)
    model = copy["study.museum.iwae"].IWAE(6, (5,), 3, samples=4)
    reports["importance-weighted"] = checks.gradcheck(model, method=method, name="importance-weighted")
    for name, (model, inputs) in small.networks(copy).items():
        reports[name] = checks.gradcheck(model, *inputs, method=method, sample=SAMPLE, name=name, training=False)
    for name, report in reports.items():
        wrong = next((e for e in report.entries if e.verdict == "FAIL"), None)
        what = f"{name}: relative error {report.worst:.1e}"
        if wrong is not None:
            what = f"{name}, gradient of {wrong.name}: {wrong.note if wrong.numeric != wrong.numeric else _off(wrong)}"
        yield report.ok, report.worst, what


def _off(entry):
    return f"backward says {entry.analytic:.4g}, forward says {entry.numeric:.4g}"
