"""One file per exercise: its hints, its cases, the typical mistakes that it recognises, and its layers."""
