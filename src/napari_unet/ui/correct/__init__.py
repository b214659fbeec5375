"""The dock U-Net: Correct."""
