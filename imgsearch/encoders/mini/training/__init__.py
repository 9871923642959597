"""How `mini` is trained: public images, a teacher's features, a small network that learns them.

`python -m imgsearch.encoders.mini.training --help` tells the steps; each resumes where it was.
"""
