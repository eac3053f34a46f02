"""The museum: mistakes that real VAE code made, each planted for real in a private copy of this package.

    bugs/      the pieces: a story, a few lines changed, threads that tell of it
    layers/    the layers of proof, which every piece is put through
    table      every bug against every layer, computed; shipped as table.json, and written to docs/museum_table.md by `make`
    exhibit    one piece on show: its story, its diff, what catches it
    trial      correct and wrong code trained side by side, and judged by the correct one; figure draws both
    quiz       one bug planted, and not named
    iwae, clock            what some bugs need and the package has not: an importance-weighted model, a device to time
    private_copy           how a bug is planted without anything else noticing

Nothing is imported here, so that a private copy may load `iwae` or `clock` alone.
"""
