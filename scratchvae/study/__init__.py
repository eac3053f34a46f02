"""For studying: the book's equations bound to the code that computes them, and the small models that its derivations use."""
