"""Sample images with their truths, and the script that made them."""
