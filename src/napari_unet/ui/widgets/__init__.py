"""Widgets that know nothing of segmentation."""
