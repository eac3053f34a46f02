"""The linear VAE again, now trained to the end by the copy's own operations: it must arrive at probabilistic PCA."""


def oracle(copy):
    """`checks.check_linear_vae` with a fixed σ: ELBO, posterior, directions, lengths, collapsed latents, bias."""
    check = copy["checks"].check_linear_vae
    if not copy.runs(lambda: check(steps=1)):  # what one step does not run, three thousand like it do not run
        yield True, 1, "one step of training never runs the changed lines"
        return
    report = check()
    for q in report.quantities:
        yield q.ok, q.seen, f"trained to the end, {q.name} is {q.seen:.6g}, and {q.expected:.6g} in closed form"
