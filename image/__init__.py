"""Recipe of the golden image: the one disk from which every desktop starts.

``python -m image.build --output DIR`` builds it, without loop devices and without root.
"""
