"""The U-Net: its numbers, its file, and how it is run fast."""
