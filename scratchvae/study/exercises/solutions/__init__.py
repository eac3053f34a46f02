"""One file per exercise: the answer as plain NumPy. The stub that a student starts from is made from this file."""
