"""Selective decoding: text from a video stream only when its meaning changes (section 4.6 of the paper)."""
