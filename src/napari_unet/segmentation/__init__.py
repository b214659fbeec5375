"""Segmentation: an image and a model in, labels out."""
