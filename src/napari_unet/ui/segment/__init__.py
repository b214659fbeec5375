"""The dock U-Net: Segment."""
