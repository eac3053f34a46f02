"""Races between scratchvae and its peers: see README.md in this folder."""
