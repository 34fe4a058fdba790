"""Building images from Dockerfiles: each RUN is a container on a network of ours, each other step a layer or a word.

A program for builds would bring a second store of layers and a second network set-up; what it takes longer for is in
docs/decisions/builds-are-steps-of-the-engine.md.
"""
