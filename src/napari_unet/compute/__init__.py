"""A process of its own for what takes long: `process.ComputeProcess` runs a `Call`."""
