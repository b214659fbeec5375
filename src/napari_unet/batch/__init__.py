"""Many files and stacks on the disk, resumable, in bounded memory."""
