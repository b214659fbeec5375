"""An image and a model in, labels out."""
